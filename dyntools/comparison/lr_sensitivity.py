"""Learning-rate sensitivity: what is lost on average when the learning rate is not the best one.

    sensitivity = mean over lr in the grid of  min(loss(lr), loss at the start)  -  best loss

(Wortsman et al. 2023, Small-scale proxies for large-scale Transformer training instabilities,
arXiv:2309.14322). The minimum lets a run that diverged count as one that learned nothing. The loss
is the last one of validation, else the mean of the last `WINDOW` of training. Numbers of two
recipes compare over one grid only, and not where a change alters what a learning rate means.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dyntools.comparison.given import rates
from dyntools.comparison.side import Side
from dyntools.errors import ReportError
from dyntools.log import Role
from dyntools.report import Report

WINDOW = 10  # training losses averaged at the end, as in the metric `divergence`; chosen
LOSSES = (Role.validation_loss, Role.train_loss)


@dataclass(frozen=True)
class Point:
    """A learning rate. losses, starts: of each seed, at the end and at the start of its run."""

    rate: float
    losses: tuple[float, ...]
    starts: tuple[float, ...]

    @property
    def diverged(self) -> int:
        """Seeds that ended no lower than they began, or with no number."""
        return sum(not a < b for a, b in zip(self.losses, self.starts, strict=True))

    @property
    def counted(self) -> float:
        """The mean over seeds of the smaller of the two."""
        pairs = zip(self.losses, self.starts, strict=True)
        return float(np.mean([a if a < b else b for a, b in pairs]))


@dataclass(frozen=True)
class Sensitivity:
    """Of one recipe. points: by increasing learning rate."""

    recipe: str
    points: tuple[Point, ...]

    @property
    def best(self) -> Point:
        return min(self.points, key=lambda point: point.counted)

    @property
    def value(self) -> float:
        """The expected loss above the best."""
        return float(np.mean([point.counted for point in self.points])) - self.best.counted

    @property
    def at_edge(self) -> bool:
        """Whether the best rate is the first or the last tried, so that a better may lie beyond."""
        return self.best in (self.points[0], self.points[-1])


@dataclass(frozen=True)
class LrSensitivity:
    """loss: which one was taken. one_grid: whether all recipes were tried at the same rates."""

    loss: Role
    recipes: tuple[Sensitivity, ...]

    @property
    def one_grid(self) -> bool:
        return len({tuple(p.rate for p in one.points) for one in self.recipes}) == 1


def lr_sensitivity(sides: Sequence[Side], said: Mapping[str, float]) -> LrSensitivity:
    """Reports that stand alone are the grid of one recipe; each group of reports is a recipe.

    Raises ReportError where the logs do not share a loss, or a recipe has a single rate.
    """
    role = _role(sides)
    known = rates(sides, said)
    recipes: dict[str, list[tuple[float, Report]]] = {}
    for side, of_side in zip(sides, known, strict=True):
        name = side.name if len(side.reports) > 1 else ""
        recipes.setdefault(name, []).extend(zip(of_side, side.reports, strict=True))
    found = tuple(Sensitivity(name, _points(runs, role)) for name, runs in recipes.items())
    for one in found:
        if len(one.points) < 2:
            raise ReportError(
                "A sensitivity takes runs at several learning rates.",
                where=one.recipe or ", ".join(side.name for side in sides),
                found=f"{one.points[0].rate:g} alone",
                remedy="--x NAME=RATE, if the rates of the reports are not those of the runs",
            )
    return LrSensitivity(role, found)


def _role(sides: Sequence[Side]) -> Role:
    reports = [report for side in sides for report in side.reports]
    for role in LOSSES:
        if all(r.log is not None and r.log.curve(role) is not None for r in reports):
            return role
    lacking = [
        file
        for side in sides
        for file, report in zip(side.files, side.reports, strict=True)
        if report.log is None or all(report.log.curve(role) is None for role in LOSSES)
    ]
    raise ReportError(
        "The logs of the runs do not share a validation loss or a training loss.",
        found=f"none in {lacking[0]}" if lacking else "validation in some, training in others",
        remedy="analyze with --logs PATH, or --role train_loss=NAME",
    )


def _points(runs: Sequence[tuple[float, Report]], role: Role) -> tuple[Point, ...]:
    by_rate: dict[float, list[tuple[float, float]]] = {}
    for rate, report in runs:
        by_rate.setdefault(rate, []).append(_losses(report, role))
    points = []
    for rate, losses in sorted(by_rate.items()):
        last, first = zip(*losses, strict=True)
        points.append(Point(rate, tuple(last), tuple(first)))
    return tuple(points)


def _losses(report: Report, role: Role) -> tuple[float, float]:
    """At the end and at the start; a loss that is no number at the end stays so."""
    curve = None if report.log is None else report.log.curve(role)
    assert curve is not None
    window = 1 if role is Role.validation_loss else min(WINDOW, max(len(curve.values) // 2, 1))
    finite = curve.values[np.isfinite(curve.values)]
    start = float(finite[0]) if len(finite) else math.nan
    with np.errstate(invalid="ignore", over="ignore"):
        return float(np.mean(curve.values[-window:])), start
