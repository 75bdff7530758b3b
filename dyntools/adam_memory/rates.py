"""Rates: the learning rate along the run, as far as a report knows it.

From the training log, else from the series `effective_lr`, whose companion holds the rate that each
optimizer state was saved with. A larger rate lowers the SNR (Kalra et al. 2025, arXiv:2503.01843),
so a measurement is worth what its rates are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dyntools.log import Role
from dyntools.report import Report

# Relative, by which a rate may be off and still count as the peak: a schedule's rounding; chosen.
SAME_RATE = 0.05


@dataclass(frozen=True, eq=False)
class Rates:
    """steps: (n,) ascending, values: (n,) finite. source: "log" or "checkpoints"."""

    steps: NDArray[np.int64]
    values: NDArray[np.float64]
    source: str

    @property
    def peak(self) -> float:
        """The largest rate."""
        return float(self.values.max())

    @property
    def warm_up(self) -> int:
        """The first step at the peak; 0 for a run that starts there."""
        first = int(np.flatnonzero(self.values >= (1 - SAME_RATE) * self.peak)[0])
        return int(self.steps[first]) if first else 0

    def at(self, steps: tuple[int, ...]) -> NDArray[np.float64]:
        """The rates in force at these steps: of the nearest logged step, NaN out of sight."""
        wanted = np.asarray(steps, dtype=np.int64)
        right = np.clip(np.searchsorted(self.steps, wanted), 0, len(self.steps) - 1)
        left = np.clip(right - 1, 0, None)
        nearer = wanted - self.steps[left] < self.steps[right] - wanted
        index = np.where(nearer, left, right)
        spacing = int(np.diff(self.steps).max()) if len(self.steps) > 1 else 0
        seen = np.abs(self.steps[index] - wanted) <= spacing
        return np.where(seen, self.values[index], np.nan)


def rates_of(report: Report, step_unit: str) -> Rates | None:
    """None where the report knows no rate in this unit of steps, or none above zero."""
    for found in (_logged(report, step_unit), _saved(report, step_unit)):
        if found is not None and found.peak > 0:
            return found
    return None


def _logged(report: Report, unit: str) -> Rates | None:
    curve = None if report.log is None else report.log.curve(Role.learning_rate)
    if curve is None or curve.unit != unit:
        return None
    finite = np.isfinite(curve.values)
    return Rates(curve.steps[finite], curve.values[finite], "log") if finite.any() else None


def _saved(report: Report, unit: str) -> Rates | None:
    """Of the tensors, which may be in groups of different rates, the highest."""
    series = report.series.get("effective_lr")
    if series is None or series.step_unit != unit or "lr" not in series.beside:
        return None
    rows = series.beside["lr"].reshape(len(series.steps), -1)
    largest = np.fmax.reduce(rows, axis=1, initial=-np.inf)
    finite = np.isfinite(largest)
    return Rates(series.steps[finite], largest[finite], "checkpoints") if finite.any() else None
