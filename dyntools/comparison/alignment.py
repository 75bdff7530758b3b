"""Alignment: which step of one run is set beside which step of another.

By step: the steps that all runs measured. By fraction: step / last step of the training, which is
how runs of different length, or counted in different units, are compared; the points are those of
the run with the fewest, and of each other run the nearest measured step, never an interpolated
value. By the last step of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from dyntools.checks.training_end import SAME
from dyntools.errors import ReportError
from dyntools.measurement import Status
from dyntools.report import Series

FURTHEST = 0.05  # of the training, between steps set side by side by fraction; chosen, no source


class By(StrEnum):
    """What decides which steps stand side by side."""

    step = "step"
    fraction = "fraction"
    last = "last"


@dataclass(frozen=True, eq=False)
class Alignment:
    """R series at P places.

    places (P,): steps, or fractions in 0 … 1; NaN for `last`. rows (R, P): into each series.
    steps, fractions (R, P): the step that each row stands for, and what part of its training that
    is. unit: what steps count, "" if they differ.
    sentence: what was aligned how, and why.
    """

    by: By
    places: NDArray[np.float64]
    rows: NDArray[np.intp]
    steps: NDArray[np.int64]
    fractions: NDArray[np.float64]
    unit: str
    sentence: str

    def at(self, place: int) -> str:
        """`step 500`, `50 % of training`, `the last step of each`."""
        if self.by is By.step:
            return f"{self.unit} {self.places[place]:.0f}"
        if self.by is By.fraction:
            return f"{100 * self.places[place]:.3g} % of training"
        steps = set(self.steps[:, place].tolist())
        if self.unit and len(steps) == 1:
            return f"{self.unit} {steps.pop()}"
        return "the last step of each"

    def apart(self, place: int) -> str:
        """Why numbers of a place must not be tested against one another, "" if they may."""
        steps, parts = self.steps[:, place], self.fractions[:, place]
        if (self.unit and (steps == steps[0]).all()) or parts.max() - parts.min() <= SAME:
            return ""
        low, high = 100 * parts.min(), 100 * parts.max()
        return f"They stand at other parts of the training, {low:.3g} and {high:.3g} %."


def align(
    all_series: Sequence[Series],
    ends: Sequence[float],
    by: By | None = None,
    names: Sequence[str] = (),
) -> Alignment:
    """Set the steps of all series side by side. ends (R,): the last step of each training.

    names (R,): of the reports, for errors.

    by None: by step if the units agree and the runs share a step behind the first, else by
    fraction. Raises ReportError where `by` leaves no common place.
    """
    tried = [tried_rows(series) for series in all_series]
    units = list(dict.fromkeys(series.step_unit for series in all_series))
    unit = units[0] if len(units) == 1 else ""
    measured = [s.steps[rows] for s, rows in zip(all_series, tried, strict=True)]
    if not all(len(steps) for steps in measured):
        raise _never(all_series[0].metric, [not len(steps) for steps in measured], names)
    common = measured[0]
    for steps in measured[1:]:
        common = np.intersect1d(common, steps)
    why = _why_not_by_step(units, common, measured)
    if by is None:
        by = By.fraction if why else By.step
        why = why or "all reports have these steps"
    else:
        if by is By.step and (not unit or not len(common)):
            raise ReportError(
                f"{all_series[0].metric} cannot be aligned by step: {why}.",
                remedy="--align fraction, or --align last",
            )
        why = ""
    if by is By.step:
        rows = np.array([np.searchsorted(s.steps, common) for s in all_series])
        return _made(by, common.astype(np.float64), rows, all_series, ends, unit, why)
    if by is By.last:
        rows = np.array([[row[-1]] for row in tried])
        return _made(by, np.array([np.nan]), rows, all_series, ends, unit, why)
    places, rows = _by_fraction(all_series, tried, ends)
    return _made(by, places, rows, all_series, ends, unit, why)


def tried_rows(series: Series) -> NDArray[np.intp]:
    """The rows at which anything was measured or failed: neither skipped nor absent."""
    tried = (series.status != Status.skipped) & (series.status != Status.absent)
    return np.flatnonzero(tried.reshape(len(series.steps), -1).any(axis=1))


def _never(metric: str, without: Sequence[bool], names: Sequence[str]) -> ReportError:
    """The error of reports (R,) in which a metric has no row."""
    lacking = [name for name, none in zip(names, without, strict=True) if none] if names else []
    where = ", ".join(lacking[:2]) + (f" and {len(lacking) - 2} more" if len(lacking) > 2 else "")
    return ReportError(
        f"{metric} was measured at no step in {where or 'one of the reports'}.",
        remedy="leave that report out; dyntools show REPORT --metric NAME says why it has none",
    )


def _why_not_by_step(
    units: Sequence[str], common: NDArray[np.int64], measured: Sequence[NDArray[np.int64]]
) -> str:
    """Empty where steps can be set side by side; a common start alone compares no training."""
    if len(units) > 1:
        return f"the reports count in different units, {' and '.join(units)}"
    if not len(common):
        return "the reports share no step"
    behind = [steps[-1] > common[-1] for steps in measured]
    if len(common) == 1 and common[0] == min(s[0] for s in measured) and all(behind):
        return f"the reports share only {units[0]} {common[0]}"
    return ""


def _by_fraction(
    all_series: Sequence[Series], tried: Sequence[NDArray[np.intp]], ends: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Places (P,) and rows (R, P): each step of the sparsest run with the nearest of the others."""
    fractions = [
        s.steps[rows] / max(end, 1.0) for s, rows, end in zip(all_series, tried, ends, strict=True)
    ]
    sparsest = min(fractions, key=len)
    nearest = [np.abs(f[None, :] - sparsest[:, None]).argmin(axis=1) for f in fractions]
    away = np.array([np.abs(f[n] - sparsest) for f, n in zip(fractions, nearest, strict=True)])
    kept = (away <= FURTHEST).all(axis=0)
    if not kept.any():
        raise ReportError(
            f"{all_series[0].metric} was measured at no common part of the trainings.",
            found="; ".join(f"{100 * f[0]:.3g} to {100 * f[-1]:.3g} %" for f in fractions),
            remedy="--align last",
        )
    rows = np.array([row[n] for row, n in zip(tried, nearest, strict=True)])
    return sparsest[kept], rows[:, kept]


def _made(
    by: By,
    places: NDArray[np.float64],
    rows: NDArray[np.intp],
    all_series: Sequence[Series],
    ends: Sequence[float],
    unit: str,
    why: str,
) -> Alignment:
    steps = np.array([s.steps[r] for s, r in zip(all_series, rows, strict=True)])
    fractions = steps / np.maximum(np.asarray(ends, dtype=np.float64), 1.0)[:, None]
    words = {
        By.step: "Aligned by step",
        By.fraction: "Aligned by fraction of the training",
        By.last: "Each at its last step",
    }
    sentence = words[by] + (f" ({why})." if why else ".")
    return Alignment(by, places, rows, steps, fractions, unit, sentence)
