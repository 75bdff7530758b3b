"""Dead units: a layer in which many units never switch on, or hardly ever speak.

    dead ≥ 1/2 or dormant ≥ 1/2: watch        either ≥ 1/10: note

By `dormant_units`: Sokar et al. 2023, arXiv:2302.12902. Bounds chosen, as no paper gives any for
supervised training.
"""

from __future__ import annotations

import numpy as np

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.rows import Layers, also_in, last_layers, shortened
from dyntools.report import Report

SOME, MANY = 0.1, 0.5  # of the units; chosen
FEWEST = 8  # units: a share of fewer says little; chosen
PAPER = "Sokar et al. 2023, arXiv:2302.12902"


def rule(report: Report) -> tuple[Finding, ...]:
    layers = last_layers(report, "dormant_units")
    if layers is None:
        return ()
    dead = np.nan_to_num(layers["dead"])
    worst = np.maximum(dead, layers.values)
    chosen = [int(i) for i in np.argsort(-worst, kind="stable") if _counts(layers, worst, int(i))]
    if not chosen:
        return ()
    first = chosen[0]
    names = tuple(layers.names[i] for i in chosen)
    also = also_in(names)
    kind = "never fire" if dead[first] >= layers.values[first] else "hardly ever speak"
    return (
        Finding(
            rule="dead_units",
            severity=Severity.watch if worst[first] >= MANY else Severity.note,
            sentence=(
                f"{100 * worst[first]:.0f} % of the {layers['units'][first]:.0f} units of "
                f"layer {names[0]} {kind} on the probe at {layers.unit} {layers.step}{also}."
            ),
            evidence=shortened(
                [
                    f"{layers.names[i]}: dead {100 * dead[i]:.0f} %, "
                    f"dormant {100 * layers.values[i]:.0f} %"
                    for i in chosen
                ]
            ),
            meaning="The layer works with fewer units than it has; dead ReLUs get no gradient.",
            remedy=(
                "If the share grows along the run, lower the learning rate or lengthen the "
                "warm-up, use an activation function without a zero side, or reset these units "
                "(ReDo). If it does not, a narrower layer may do."
            ),
            paper=PAPER,
            caveat=(
                "Seen on the examples of the probe alone. Sparse layers may work well, and most "
                "evidence of harm is from reinforcement learning. The bounds are chosen."
            ),
            layers=names,
            step=layers.step,
        ),
    )


def _counts(layers: Layers, worst: np.ndarray, i: int) -> bool:
    return bool(worst[i] >= SOME and layers["units"][i] >= FEWEST)
