"""Saturated units: a bounded function, tanh or sigmoid, whose outputs lie at its bounds.

    saturated ≥ 9/10: watch        ≥ 1/2: note

There it passes on at most 4 % of the gradient that it passes in its middle: 1 - 0.98² for tanh, and
as much for sigmoid. By `dormant_units`. That saturation stalls training: Glorot & Bengio 2010,
Understanding the difficulty of training deep feedforward neural networks. Bounds chosen, as the
paper gives none.
"""

from __future__ import annotations

import numpy as np

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.rows import also_in, last_layers, shortened
from dyntools.report import Report

MANY, MOST = 0.5, 0.9  # of the outputs; chosen, no source


def rule(report: Report) -> tuple[Finding, ...]:
    layers = last_layers(report, "dormant_units")
    if layers is None:
        return ()
    share = np.nan_to_num(layers["saturated"])
    order = np.argsort(-share, kind="stable")
    chosen = [int(i) for i in order if share[i] >= MANY]
    if not chosen:
        return ()
    first = chosen[0]
    names = tuple(layers.names[i] for i in chosen)
    also = also_in(names)
    return (
        Finding(
            rule="saturated_units",
            severity=Severity.watch if share[first] >= MOST else Severity.note,
            sentence=(
                f"{100 * share[first]:.0f} % of the outputs of layer {names[0]} lie within 1 % of "
                f"the range from a bound, at {layers.unit} {layers.step}{also}."
            ),
            evidence=shortened(
                [f"{layers.names[i]}: saturated {100 * share[i]:.0f} %" for i in chosen]
            ),
            meaning="There tanh and sigmoid pass on 4 % of the gradient of their middle, or less.",
            remedy=(
                "If the layers before it learn too slowly, lower the scale of its inputs: by "
                "initialisation, a normalisation in front of it, weight decay, or a lower learning "
                "rate; or use a function without bounds."
            ),
            paper="Glorot & Bengio 2010, Proceedings of AISTATS, PMLR 9:249-256",
            caveat=(
                "Gates are meant to saturate, and so may units that have learnt to decide. Seen "
                "on the examples of the probe alone. The bounds are chosen."
            ),
            layers=names,
            step=layers.step,
        ),
    )
