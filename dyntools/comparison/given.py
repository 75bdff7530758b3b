"""Given: the width or the learning rate of each run, read from its report or said with --x.

A width is read from the shapes of the parameters: of all axes whose size differs between the runs,
the size that most of them have. Proportional axes (64, 128 and 3 × 64, 3 × 128) tell the same.
A learning rate is the peak of the logged curve, else of the `lr` beside `effective_lr`, else of the
`learning_rate` beside a metric of curvature.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dyntools.comparison.side import Side
from dyntools.errors import UsageError, nearest
from dyntools.log import Role
from dyntools.report import Report

BESIDE = (("effective_lr", "lr"), ("hessian_top", "learning_rate"),
          ("adam_sharpness", "learning_rate"))  # fmt: skip


@dataclass(frozen=True)
class Given:
    """values: one a side. sentence: where they were read."""

    values: tuple[float, ...]
    sentence: str


def widths(sides: Sequence[Side], said: Mapping[str, float]) -> Given:
    """The width of each side. Raises UsageError where the shapes do not tell it."""
    if told := _told(sides, said, "width"):
        return told
    shapes = [side.reports[0].shapes for side in sides]
    shared = [name for name in shapes[0] if all(name in other for other in shapes)]
    sizes: Counter[tuple[int, ...]] = Counter()
    for name in shared:
        axes = [shape[name] for shape in shapes]
        if len({len(axis) for axis in axes}) == 1:
            sizes.update(along for along in zip(*axes, strict=True) if len(set(along)) > 1)
    if not sizes:
        why = "no tensor that all have differs in its shape"
        raise UsageError(
            "The runs do not tell their widths: "
            + (f"{why}." if shared else "they have no tensor of one name."),
            remedy=_remedy(sides),
        )
    most = max(sizes.values())
    found = min(along for along, count in sizes.items() if count == most)
    others = [a for a in sizes if not _proportional(a, found)]
    sentence = f"Widths are the sizes of {most} of {sum(sizes.values())} axes that differ"
    if others:
        sentence += f"; others differ otherwise, such as {', '.join(map(str, others[0]))}"
    return Given(tuple(map(float, found)), sentence + ".")


def by_width(sides: Sequence[Side], said: Mapping[str, float]) -> tuple[list[Side], Given]:
    """The sides from narrow to wide, with their widths. Raises UsageError like `widths`."""
    given = widths(sides, said)
    order = np.argsort(given.values, kind="stable").tolist()
    return [sides[i] for i in order], Given(tuple(given.values[i] for i in order), given.sentence)


def rates(sides: Sequence[Side], said: Mapping[str, float]) -> list[tuple[float, ...]]:
    """The learning rate of each report of each side. Raises UsageError where one is not known."""
    _known_names(sides, said)
    found = []
    for side in sides:
        if side.name in said:
            found.append(tuple(said[side.name] for _ in side.reports))
            continue
        of_side = [rate_of(report) for report in side.reports]
        for value, file in zip(of_side, side.files, strict=True):
            if not math.isfinite(value) or value <= 0:
                raise UsageError(
                    "The report does not tell the learning rate of its run.",
                    where=file,
                    remedy=_remedy([side]),
                )
        found.append(tuple(of_side))
    return found


def rate_of(report: Report) -> float:
    """The peak learning rate of a run, NaN if the report does not know it."""
    curve = None if report.log is None else report.log.curve(Role.learning_rate)
    if curve is not None and np.isfinite(curve.values).any():
        return float(np.nanmax(curve.values))
    for metric, companion in BESIDE:
        series = report.series.get(metric)
        array = None if series is None else series.beside.get(companion)
        if array is not None and np.isfinite(array).any():
            return float(np.nanmax(array))
    return math.nan


def _told(sides: Sequence[Side], said: Mapping[str, float], what: str) -> Given | None:
    _known_names(sides, said)
    if not said:
        return None
    missing = [side.name for side in sides if side.name not in said]
    if missing:
        raise UsageError(
            f"A {what} is given for some runs and not for {', '.join(missing)}.",
            remedy=_remedy(sides),
        )
    return Given(tuple(said[side.name] for side in sides), f"The {what}s are those given.")


def _known_names(sides: Sequence[Side], said: Mapping[str, float]) -> None:
    names = [side.name for side in sides]
    for name in said:
        if name not in names:
            raise UsageError(f"--x names no run: {name!r}.", remedy=nearest(name, names))


def _proportional(one: tuple[int, ...], two: tuple[int, ...]) -> bool:
    return all(a * two[0] == b * one[0] for a, b in zip(one, two, strict=True))


def _remedy(sides: Sequence[Side]) -> str:
    return " ".join(f"--x {side.name}=VALUE" for side in sides[:3])
