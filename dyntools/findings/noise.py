"""Noise: the gradient noise scale of a report beside the batch that the run trains with.

McCandlish et al. 2018, An empirical model of large-batch training, arXiv:1812.06162: with a batch B
and the noise scale B_s a step makes 1/(1 + B_s/B) of the progress of one without noise, and an
example 1/(1 + B/B_s) of what it could.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dyntools.findings.rows import amount, last_row
from dyntools.report import Report

PAPER = "McCandlish et al. 2018, arXiv:1812.06162"


@dataclass(frozen=True)
class NoiseScale:
    """At the last measured step: its bounds in examples, at 95 %.

    value, batch: NaN where not known; the metric takes the batch from its setting, or else from the
    recipe of the run. under_adam: that of the preconditioned gradient, or NaN.
    """

    step: int
    unit: str
    value: float
    lowest: float
    highest: float
    under_adam: float
    two_sizes: float
    batch: float

    @property
    def evidence(self) -> tuple[str, ...]:
        """The numbers, one phrase each."""
        high = amount(self.highest) if math.isfinite(self.highest) else "no upper bound"
        value = amount(self.value) if math.isfinite(self.value) else "not resolved"
        lines = [f"noise scale {value}, between {amount(self.lowest)} and {high} examples"]
        if math.isfinite(self.two_sizes):
            lines.append(f"from two batch sizes: {amount(self.two_sizes)}")
        if math.isfinite(self.under_adam):
            lines.append(f"as Adam scales gradients: {amount(self.under_adam)}")
        if math.isfinite(self.batch):
            lines.append(f"training batch {self.batch:.0f}")
        return tuple(lines)


def noise_scale(report: Report) -> NoiseScale | None:
    """None where it was not measured, or without a lower bound."""
    row = last_row(report, "noise_scale")
    if row is None or not row["lowest"] > 0.0:
        return None
    under_adam = row["preconditioned"]
    return NoiseScale(
        row.step,
        row.unit,
        row.value,
        row["lowest"],
        row["highest"],
        under_adam,
        row["two_sizes"],
        row["batch"],
    )
