"""OUI trend: examples switch the units of the model on more and more alike, beyond the errors.

    mean OUI over layers, now against the first measured step at or behind a tenth of the run

The band [0.6, 0.8] is that of the paper's convolutional networks. In networks of that kind, and in
no other, the rule asks whether the model is outside of it; it is no verdict in any.

Fernández-Hernández et al. 2025, OUI, arXiv:2504.17160.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.papyan import PERFECT
from dyntools.findings.rows import amount, last_row, shortened
from dyntools.findings.weight_decay import weight_decay
from dyntools.report import Report

LOWEST, HIGHEST = 0.6, 0.8  # the authors' band (README of their code), for their CNNs
SETTLED = 0.1  # of the run: their controller of weight decay judges in the first 10 % of epochs
ERRORS = 2.0  # standard errors; chosen, no source
FALLEN = 0.05  # of the value; chosen: with many units a change far smaller is beyond its error
FEWEST = 3  # measured steps from there on; chosen: a trend is more than two points
KERNEL_AXES = 4  # of a two-dimensional convolution; out, in, height, width


@dataclass(frozen=True)
class _Trend:
    """The layers with a value then and now, (n,). level: the mean now, as the paper clamps it."""

    begin: int
    step: int
    unit: str
    names: tuple[str, ...]
    then: NDArray[np.float64]
    now: NDArray[np.float64]
    error: NDArray[np.float64]  # of each difference
    level: float
    level_error: float
    fell: bool

    @property
    def falling(self) -> list[int]:
        """The layers that fell beyond their errors, the furthest first."""
        fall = self.then - self.now
        return [int(i) for i in np.argsort(-fall, kind="stable") if fall[i] > self.error[i]]


def rule(report: Report) -> tuple[Finding, ...]:
    trend = _trend(report)
    if trend is None:
        return ()
    kernels = _convolutional(report)
    side = _side(trend) if kernels else ""
    # What falls from above the band comes to it, and what falls inside it is where it should be.
    fell = trend.fell and side != "above" and not (kernels and not side)
    # Low is read as underfitting, which a model that gets the whole probe right does not do.
    logits = last_row(report, "output_logits")
    if side != "above" and logits is not None and logits["accuracy"] >= PERFECT:
        return ()
    if not fell and not side:
        return ()
    names = tuple(trend.names[i] for i in trend.falling) if fell else ()
    return (
        Finding(
            rule="oui_trend",
            severity=Severity.note,
            sentence=_sentence(trend, side, fell),
            evidence=shortened(
                [
                    f"{trend.names[i]}: {trend.then[i]:.3g} at {trend.unit} {trend.begin}, "
                    f"{trend.now[i]:.3g} now"
                    for i in (trend.falling if fell else range(len(trend.names)))
                ]
                or [f"mean of {len(trend.names)} layers; none fell beyond its own error"]
            ),
            meaning=_meaning(side, fell),
            remedy=_remedy(side, weight_decay(report)),
            paper="Fernández-Hernández et al. 2025, arXiv:2504.17160",
            caveat=(
                f"The band {LOWEST:g} to {HIGHEST:g} is of the authors' convolutional networks and "
                "does not carry over: of five settings on digits the best weight decay lay inside "
                "it in two (docs/reproductions/overfitting.md). Dead units and a learning rate "
                "that is too high lower OUI too. It sees no labels."
            ),
            layers=names,
            step=trend.step,
        ),
    )


def _trend(report: Report) -> _Trend | None:
    """None where too few steps or no layer has a value and an error at both ends."""
    series = report.series.get("oui")
    if series is None or series.dims != ("layer",) or series.error is None:
        return None
    usable = series.ok & np.isfinite(series.values) & np.isfinite(series.error)
    rows = np.flatnonzero(usable.any(axis=1))
    rows = rows[series.steps[rows] >= SETTLED * series.steps[rows[-1]]] if len(rows) else rows
    if len(rows) < FEWEST:
        return None
    begin, end = int(rows[0]), int(rows[-1])
    kept = np.flatnonzero(usable[begin] & usable[end])
    if not len(kept):
        return None
    then, now = series.values[begin, kept], series.values[end, kept]
    errors = ERRORS * series.error[np.array([begin, end])][:, kept]  # (2, n)
    # All layers saw the same examples, so the errors of a mean over layers may all point one way.
    # The two steps saw the same examples too, which can only make the difference surer than this.
    fall, noise = float((then - now).mean()), math.hypot(*errors.mean(axis=1).tolist())
    pairs = series.beside.get("pairs", series.values)[end, kept]
    return _Trend(
        int(series.steps[begin]),
        int(series.steps[end]),
        series.step_unit,
        tuple(str(series.coords["layer"][i]) for i in kept),
        then,
        now,
        np.hypot(*errors),
        float(np.where(np.isfinite(pairs), pairs, now).mean()),
        float(errors[1].mean()),
        fall > max(noise, FALLEN * float(then.mean())),
    )


def _convolutional(report: Report) -> bool:
    """Whether most parameters lie in kernels: the patches of a transformer are not enough."""
    sizes = [(math.prod(shape), len(shape)) for shape in report.shapes.values()]
    kernels = sum(size for size, axes in sizes if axes == KERNEL_AXES)
    return 2 * kernels > sum(size for size, _ in sizes)


def _side(trend: _Trend) -> str:
    if trend.level + trend.level_error < LOWEST:
        return "below"
    return "above" if trend.level - trend.level_error > HIGHEST else ""


def _sentence(trend: _Trend, side: str, fell: bool) -> str:
    layers = f"mean of {len(trend.names)} layers" if len(trend.names) > 1 else trend.names[0]
    band = f", {side} the {LOWEST:g} to {HIGHEST:g} that the paper calls good for its CNNs"
    at = f"at {trend.unit} {trend.step}"
    if not fell:
        return f"OUI ({layers}) is {trend.level:.3g} ± {trend.level_error:.1g} {at}{band}."
    return (
        f"OUI ({layers}) fell from {trend.then.mean():.3g} at {trend.unit} {trend.begin} to "
        f"{trend.now.mean():.3g} ± {trend.level_error:.1g} {at}{band if side else ''}."
    )


def _meaning(side: str, fell: bool) -> str:
    if side == "above":
        than, decay = "more of the units that they switch on than the authors like", "little"
    else:
        than = "fewer of the units that they switch on than "
        than, decay = than + ("before" if fell else "the authors like"), "much"
    return f"Two examples differ in {than}: in their networks a sign of too {decay} weight decay."


def _remedy(side: str, decay: float) -> str:
    if side == "above":
        change = f"more than the weight decay of {amount(decay)}" if decay > 0 else "a weight decay"
        return f"If the validation loss lags behind, compare with a run at {change}."
    if decay == 0:
        return (
            "There is no weight decay that could be lowered: look at dormant_units, and at the "
            "learning rate."
        )
    held = f" of {amount(decay)}" if decay > 0 else ""
    return (
        f"If the training loss stalls, compare with a run at less than the weight decay{held}, "
        "and judge by the validation loss; look at dormant_units first."
    )
