"""Vanishing gradients: some tensors receive a gradient thousands of times the others'.

    |g_l|/|w_l| ≤ median / 1000: vanishes        ≥ 1000 · median: explodes

Over tensors of at least 256 weights, by `gradient_norm`, whose `spread` is median over own ratio.
Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063, for what they do; You, Gitman & Ginsburg 2017,
arXiv:1708.03888, for the ratio, which differs a thousandfold between layers without harm under a
layer-wise rate.
"""

from __future__ import annotations

import numpy as np

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.rows import Layers, also_in, amount, last_layers, shortened
from dyntools.report import Report

FAR = 1000.0  # times the median, either way; chosen
FEWEST = 256  # weights: the norm of a few says little; chosen, as in spike_warning
PAPER = "Pascanu et al. 2013, arXiv:1211.5063; You et al. 2017, arXiv:1708.03888"


def rule(report: Report) -> tuple[Finding, ...]:
    layers = last_layers(report, "gradient_norm")
    if layers is None:
        return ()
    large = layers["size"] >= FEWEST
    with np.errstate(divide="ignore"):
        ratio = np.where(large, 1.0 / layers["spread"], np.nan)
    zero = large & (layers.values == 0.0)
    low = [int(i) for i in np.flatnonzero((ratio <= 1.0 / FAR) | zero)]
    high = [int(i) for i in np.flatnonzero(ratio >= FAR)]
    found = []
    if low:
        low.sort(key=lambda i: layers.values[i])
        found.append(_finding(layers, ratio, low, vanishing=True))
    if high:
        high.sort(key=lambda i: -ratio[i])
        found.append(_finding(layers, ratio, high, vanishing=False))
    return tuple(found)


def _finding(layers: Layers, ratio: np.ndarray, chosen: list[int], *, vanishing: bool) -> Finding:
    names = tuple(layers.names[i] for i in chosen)
    first = chosen[0]
    size = "zero" if layers.values[first] == 0.0 else f"{amount(float(ratio[first]))} times"
    also = also_in(names)
    against = "" if size == "zero" else " the median tensor's, relative to the weights"
    return Finding(
        rule="vanishing_gradients",
        severity=Severity.watch,
        sentence=(
            f"The gradient of {names[0]} {'vanishes' if vanishing else 'explodes'} at "
            f"{layers.unit} {layers.step}: {size}{against}{also}."
        ),
        evidence=shortened(
            [
                f"{layers.names[i]}: |g| {amount(float(layers.values[i]))}, "
                f"rms {amount(float(layers['rms'][i]))}"
                for i in chosen
            ]
        ),
        meaning=(
            "With one learning rate for all, plain SGD does not train these tensors."
            if vanishing
            else "With one learning rate for all, plain SGD overshoots in these tensors."
        ),
        remedy=(
            "Look at what lies between them and the loss: saturated or dead units, missing "
            "residual paths or normalisation, initialisation. Adam or a layer-wise rate (LARS) "
            "makes up for the scale, not for gradients that are rounded to zero."
            if vanishing
            else "Clip gradients by their norm, lower the initial scale of these weights, or use "
            "Adam or a layer-wise rate (LARS)."
        ),
        paper=PAPER,
        caveat=(
            "Adam does not see the scale of gradients, so under Adam this matters only near eps. "
            "Embeddings of rare tokens, frozen or freshly added layers and weights that start at "
            "zero stand out without fault. 1000 is chosen."
        ),
        layers=names,
        step=layers.step,
    )
