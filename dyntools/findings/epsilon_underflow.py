"""Epsilon underflow: gradients so small that Adam's eps shortens the steps of a layer.

Wortsman et al. 2023, Small-scale proxies for large-scale Transformer training instabilities,
arXiv:2309.14322, where the RMS of a layer's gradients had come down to eps; Everett et al. 2024,
Scaling exponents across parameterizations and optimizers, arXiv:2407.05872. The thresholds and the
early warning are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.rows import Layers, amount, last_layers, shortened
from dyntools.layer_kinds import BY_NAME
from dyntools.report import Report

SHARE = 0.1  # of the weights that gradients reach, below eps: watch; chosen, no source
MOST = 0.5  # of them: act; chosen, no source
EARLY = 100.0  # RMS of the gradients over eps: steps about 1 % too short; chosen, no source
# How the names end that are left out: softmax does not see the bias of the keys, so its gradient is
# zero but for rounding (measured: a third of c_attn.bias in a GPT), and no step of it matters.
BIAS = "bias"

PAPER = "Wortsman et al. 2023, arXiv:2309.14322; Everett et al. 2024, arXiv:2407.05872"
REMEDY = (
    "Lower eps: 1e-15 cured it in Wortsman et al., and 1e-6 diverged; or take an update that has "
    "no eps, Adam-atan2 (Everett et al. 2024). The steps of these layers then grow: watch the loss."
)
SHORT = (
    "Where √v̂ is below eps a weight moves less than half as far as Adam means it to, and the less "
    "the smaller its gradient."
)
STARVED = (
    "Shares of 10 % and 50 % are chosen. Dead units, rare tokens and a loss that has come to 0 "
    "have small gradients too, and a smaller eps helps none of them. An optimizer that adds eps "
    "under the root or before the correction of bias has another limit."
)
WARNING = (
    "An early warning of ours: 100 eps is chosen, and at 100 eps a step is 1 % too short. "
    "Gradients also shrink where a loss comes to 0, which is no harm."
)


@dataclass(frozen=True, eq=False)
class _Reached:
    """Of every layer, without the weights whose v is zero.

    They have no gradients at all, as the rows of tokens that were never seen.
    """

    layers: Layers
    share: NDArray[np.float64]  # of the weights below eps
    rms: NDArray[np.float64]  # of the gradients, over eps

    def evidence(self, order: NDArray[np.intp]) -> tuple[str, ...]:
        return shortened([self._line(i) for i in order.tolist()])

    def _line(self, i: int) -> str:
        zero = self.layers["zero"][i]
        left_out = f", {100 * zero:.1f} % exactly zero and left out" if zero > 0 else ""
        return (
            f"{self.layers.names[i]}: {100 * self.share[i]:.1f} % below eps, "
            f"RMS {amount(self.rms[i])} eps{left_out}"
        )

    def eps(self, i: int) -> str:
        """` = 1e-08`, "" where a report does not say."""
        eps = self.layers["eps"][i]
        return f" = {eps:g}" if np.isfinite(eps) else ""


def rule(report: Report) -> tuple[Finding, ...]:
    layers = last_layers(report, "epsilon_underflow")
    if layers is None:
        return ()
    part = 1.0 - np.nan_to_num(layers["zero"])
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(part > 0.0, (layers.values + part - 1.0) / part, 0.0)
        rms = np.where(part > 0.0, layers["rms_ratio"] / np.sqrt(part), np.inf)
    reached = _Reached(layers, share, rms)
    weight = np.array([not name.endswith(BIAS) for name in layers.names])
    starved = np.flatnonzero(weight & (share >= SHARE))
    near = np.flatnonzero(weight & (share < SHARE) & (rms < EARLY))
    return (
        *([_starved(reached, starved)] if len(starved) else ()),
        *([_near(reached, near)] if len(near) else ()),
    )


def _starved(reached: _Reached, which: NDArray[np.intp]) -> Finding:
    layers, share = reached.layers, reached.share
    order = which[np.argsort(-share[which], kind="stable")]
    names = tuple(layers.names[i] for i in order)
    worst = int(order[0])
    sentence = (
        f"{names[0]} has {100 * share[worst]:.0f} % of its weights with √v̂ below "
        f"eps{reached.eps(worst)} at {layers.unit} {layers.step}; the RMS of its gradients is "
        f"{amount(reached.rms[worst])} eps."
    )
    if len(names) > 1:
        sentence = f"{len(names)} layers have gradients below eps. {sentence}"
    # Rows of rare tokens fade between one occurrence and the next, and lose little by it.
    rare = all(BY_NAME.of(name, (2, 2)) == "embedding" for name in names)
    most = Severity.act if share[worst] >= MOST else Severity.watch
    return Finding(
        rule="epsilon_underflow",
        severity=Severity.note if rare else most,
        sentence=sentence,
        evidence=reached.evidence(order),
        meaning=SHORT,
        remedy=REMEDY,
        paper=PAPER,
        caveat=STARVED,
        layers=names,
        step=layers.step,
    )


def _near(reached: _Reached, which: NDArray[np.intp]) -> Finding:
    layers, rms = reached.layers, reached.rms
    order = which[np.argsort(rms[which], kind="stable")]
    names = tuple(layers.names[i] for i in order)
    worst = int(order[0])
    sentence = (
        f"The gradients of {names[0]} come near eps{reached.eps(worst)} at {layers.unit} "
        f"{layers.step}: their RMS is {amount(rms[worst])} eps."
    )
    if len(names) > 1:
        sentence = f"{len(names)} layers come near eps. {sentence}"
    return Finding(
        rule="epsilon_underflow",
        severity=Severity.note,
        sentence=sentence,
        evidence=reached.evidence(order),
        meaning="If gradients keep shrinking, or in a wider model, eps will shorten the steps.",
        remedy=REMEDY,
        paper=PAPER,
        caveat=WARNING,
        layers=names,
        step=layers.step,
    )
