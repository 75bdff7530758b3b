"""Norm growth: weights that have grown to a multiple of their start and still grow.

Under AdamW a weight that sees only noise comes to rest at rms(w) = sqrt(eta / (2 lambda)), with eta
the learning rate and lambda the weight decay (measured within 2 %). Without enough weight decay
there is no rest: the norm grows and the effective learning rate of a normalised layer shrinks.

Fan et al. 2025, Robust Layerwise Scaling Rules by Proper Weight Decay Tuning, arXiv:2510.15262.
"""

from __future__ import annotations

import math

import numpy as np

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.rows import amount, last_layers, shortened
from dyntools.log import Role
from dyntools.report import Report, Series

GROWN = 2.0  # times the norm at the start; chosen, no source
BIAS = "bias"  # how the names end that are left out: few numbers, rarely decayed, small at first
STILL = 0.05  # growth over the last half of the measured steps; chosen, no source


def rule(report: Report) -> tuple[Finding, ...]:
    layers = last_layers(report, "weight_norm")
    if layers is None:
        return ()
    series = report["weight_norm"]
    late = np.array([_late_growth(series, name, layers.step) for name in layers.names])
    ratio = layers["ratio_to_initial"]
    weight = np.array([not name.endswith(BIAS) for name in layers.names])
    growing = np.flatnonzero(weight & np.isfinite(ratio) & (ratio > GROWN) & (late > STILL))
    if not len(growing):
        return ()
    growing = growing[np.argsort(-ratio[growing], kind="stable")]
    names = tuple(layers.names[i] for i in growing)
    worst = int(growing[0])
    sentence = (
        f"The norm of {names[0]} is {amount(ratio[worst])} times its start at "
        f"{layers.unit} {layers.step} and grew by {100 * late[worst]:.0f} % over the second "
        "half of the run."
    )
    if len(names) > 1:
        sentence = f"{len(names)} layers keep growing. {sentence}"
    return (
        Finding(
            rule="norm_growth",
            severity=Severity.note,
            sentence=sentence,
            evidence=shortened(
                [
                    f"{layers.names[i]}: norm {amount(layers.values[i])}, {amount(ratio[i])} times "
                    f"its start, {100 * late[i]:+.0f} % over the second half"
                    for i in growing.tolist()
                ]
            ),
            meaning=(
                "Weight decay does not balance the updates: the norm grows, and with it shrinks "
                "the effective learning rate of a layer in front of a normalisation."
            ),
            remedy=_remedy(report, layers["rms"][worst]),
            paper="Fan et al. 2025, arXiv:2510.15262",
            caveat=(
                "The balance holds for AdamW and gradients that are mostly noise, at a constant "
                "rate; a signal adds to it. Norms that grow are no harm by themselves, and short "
                "runs from a small initialisation always grow."
            ),
            layers=names,
            step=layers.step,
        ),
    )


def _late_growth(series: Series, name: str, until: int) -> float:
    """Relative growth from the middle of the measured steps to the last; NaN below 3 values."""
    column = [str(label) for label in series.coords["layer"]].index(name)
    kept = np.flatnonzero(series.ok[:, column] & (series.steps <= until))
    if len(kept) < 3:
        return math.nan
    steps, values = series.steps[kept], series.values[kept, column]
    middle = float(np.interp((steps[0] + steps[-1]) / 2, steps, values))
    return float(values[-1]) / middle - 1 if middle > 0 else math.nan


def _remedy(report: Report, rms: float) -> str:
    curve = report.log.curve(Role.learning_rate) if report.log is not None else None
    rates = [] if curve is None else [rate for rate in curve.values.tolist() if rate > 0]
    if not rates or not rms > 0:
        return (
            "If that is unwanted, raise the weight decay of these layers; AdamW rests at "
            "rms = sqrt(eta / (2 lambda))."
        )
    decay = max(rates) / (2 * rms**2)
    return (
        "If that is unwanted, raise the weight decay of these layers; at the peak learning rate of "
        f"{amount(max(rates))}, noise alone would rest at their present rms of {amount(rms)} with "
        f"a weight decay of about {amount(decay)} (AdamW, eta / (2 rms²))."
    )
