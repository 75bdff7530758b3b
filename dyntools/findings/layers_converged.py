"""Layers converged: layers that came to what they end at early in the run, while others had not.

    early   CKA with the end, less two standard errors, ≥ 0.95 at every measured step
            from a fifth of the run on
    late    another layer, plus two standard errors, < 0.9 at the first of these steps

That is known only at the end, so it is for the next run of the same recipe. A fifth: Diehl Martinez
et al. 2024, Tending Towards Stability, arXiv:2410.11451, whose large models' layers stabilise
within it. Freezing: Wen et al. 2025, GradES, arXiv:2509.01842.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.rows import amount, last_layers, listed, shortened
from dyntools.report import Report

EARLY = 0.2  # of the run; Diehl Martinez et al. 2024
# CKA with the end; chosen: twice as far from 1. The mark of 0.45 in the notebook of Diehl Martinez
# et al. is of the biased estimate, to which unlike features of so few examples come as well.
LIKE, UNLIKE = 0.95, 0.9
ERRORS = 2.0  # standard errors; chosen, no source
FEWEST = 3  # measured steps before the last; chosen: between two of them anything may happen


@dataclass(frozen=True, eq=False)
class _Course:
    """CKA with the end at the measured steps before it, and its errors, (T, n)."""

    steps: NDArray[np.int64]
    unit: str
    end: int
    names: tuple[str, ...]
    values: NDArray[np.float64]
    errors: NDArray[np.float64]


def rule(report: Report) -> tuple[Finding, ...]:
    course = _course(report)
    if course is None:
        return ()
    reached = np.flatnonzero(course.steps <= EARLY * course.end)
    if not len(reached):
        return ()
    row = int(reached[-1])
    alike = course.values - course.errors >= LIKE
    early = np.flatnonzero(alike[row:].all(axis=0))
    late = np.flatnonzero(course.values[row] + course.errors[row] < UNLIKE)
    if not len(early) or not len(late):
        return ()
    # Where each layer has been like the end ever since: behind the last step at which it was not.
    since = [int(np.flatnonzero(~np.r_[False, alike[:, i]])[-1]) for i in early]
    names = tuple(course.names[i] for i in early)
    slowest = int(late[np.argmin(course.values[row, late])])
    step, unit = int(course.steps[row]), course.unit
    verb = "puts" if len(names) == 1 else "put"
    return (
        Finding(
            rule="layers_converged",
            severity=Severity.note,
            sentence=(
                f"{listed(names)} {verb} out at {unit} {step}, {100 * step / course.end:.0f} % of "
                f"the run, what the last checkpoint does (CKA at least {LIKE:g} from there on); "
                f"{course.names[slowest]} is at {amount(course.values[row, slowest])} there."
            ),
            evidence=shortened(
                [
                    f"{course.names[i]}: CKA {amount(course.values[row, i])} at {unit} {step}, "
                    f"at least {LIKE:g} since {unit} {course.steps[start]}"
                    + " (the first measured)"
                    * (start == 0)
                    for i, start in zip(early.tolist(), since, strict=True)
                ],
            )
            + _still_moving(report, names),
            meaning="After that step training changed little of what these layers tell the next.",
            remedy=(
                f"In the next run of this recipe, try to freeze them, or to lower their learning "
                f"rate, from {unit} {step} on, and compare the validation loss. A frozen layer "
                "saves its optimizer state; gradients are saved only below the lowest that trains."
            ),
            paper="Diehl Martinez et al. 2024, arXiv:2410.11451; Wen et al. 2025, arXiv:2509.01842",
            caveat=(
                "It is known in hindsight alone, and a longer run has another end. CKA sees large "
                "directions and no scale: freezing can cost loss (on digits less than a quarter "
                "of what freezing other layers cost), and layers near the input may look like the "
                "end without any training. The bounds are chosen."
            ),
            layers=names,
            step=step,
        ),
    )


def _course(report: Report) -> _Course | None:
    """Of the layers that were measured at all steps; None where there are too few steps."""
    series = report.series.get("cka_to_final")
    if series is None or series.error is None or series.dims != ("layer",):
        return None
    usable = series.ok & np.isfinite(series.values) & np.isfinite(series.error)
    if not usable.any():
        return None
    end = int(series.steps[-1])
    rows = np.flatnonzero(usable.any(axis=1) & (series.steps < end))
    kept = np.flatnonzero(usable[rows].all(axis=0))
    if len(rows) < FEWEST or not len(kept):
        return None
    values, errors = (x[np.ix_(rows, kept)] for x in (series.values, ERRORS * series.error))
    names = tuple(str(series.coords["layer"][i]) for i in kept)
    return _Course(series.steps[rows], series.step_unit, end, names, values, errors)


def _still_moving(report: Report, names: tuple[str, ...]) -> tuple[str, ...]:
    """Weights inside these layers that moved as much in a step as the median tensor, at the end."""
    layers = last_layers(report, "relative_update")
    if layers is None:
        return ()
    median = float(np.median(layers.values))
    moving = [
        weight
        for weight, size in zip(layers.names, layers.values, strict=True)
        if size >= median and any(weight.startswith(f"{name}.") for name in names)
    ]
    if not moving:
        return ()
    return (f"their weights still move as much a step as the median tensor: {listed(moving)}",)
