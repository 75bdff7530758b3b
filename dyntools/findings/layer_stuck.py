"""Layer stuck: a layer that has hardly turned from its initialisation while the others have.

Carbonnelle & De Vleeschouwer 2019, Layer rotation: a surprisingly powerful indicator of
generalization in deep networks?, arXiv:1806.01603.
"""

from __future__ import annotations

import numpy as np

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.rows import Layers, amount, counted, last_layers, listed, shortened
from dyntools.report import Report

STUCK = 0.05  # of the median rotation of the layers that move; chosen, no source
MOVING = 0.02  # the least median rotation at which layers can be told apart; chosen, no source
FEWEST = 3  # layers that move, to have others to compare with; chosen, no source


def rule(report: Report) -> tuple[Finding, ...]:
    layers = last_layers(report, "layer_rotation")
    if layers is None:
        return ()
    still = np.flatnonzero(layers.values == 0)
    moving = np.flatnonzero(layers.values > 0)
    if len(moving) < FEWEST:
        return ()
    median = float(np.median(layers.values[moving]))
    if median < MOVING:
        return ()
    stuck = moving[layers.values[moving] < STUCK * median]
    stuck = stuck[np.argsort(layers.values[stuck], kind="stable")]
    found = []
    if len(stuck):
        found.append(_stuck(layers, stuck.tolist(), median))
    if len(still):
        found.append(_still(layers, still.tolist(), median))
    return tuple(found)


def _stuck(layers: Layers, stuck: list[int], median: float) -> Finding:
    names = tuple(layers.names[i] for i in stuck)
    worst = amount(float(layers.values[stuck[0]]))
    sentence = (
        f"{names[0]} has turned by {worst} (cosine distance from its start) by "
        f"{layers.unit} {layers.step}; the median layer by {amount(median)}."
    )
    if len(names) > 1:
        sentence = f"{len(names)} layers have hardly turned. {sentence}"
    return Finding(
        rule="layer_stuck",
        severity=Severity.watch,
        sentence=sentence,
        evidence=shortened(
            [f"{layers.names[i]}: {amount(float(layers.values[i]))}" for i in stuck]
        ),
        meaning="These layers still hold almost their initial weights; the others do the learning.",
        remedy=(
            "Check that they receive gradients and are not weight-tied, clipped or scaled away; "
            "then raise their learning rate, or freeze them to save memory if the loss does not "
            "mind."
        ),
        paper="Carbonnelle & De Vleeschouwer 2019, arXiv:1806.01603",
        caveat=(
            "That all layers should turn to near 1 is the paper's finding on CNNs; we could not "
            "reproduce it on 8x8 digits, where less rotation went with slightly better tests. Wide "
            "layers with large initial weights turn little without harm. Compare within one run."
        ),
        layers=names,
        step=layers.step,
    )


def _still(layers: Layers, still: list[int], median: float) -> Finding:
    names = tuple(layers.names[i] for i in still)
    return Finding(
        rule="layer_stuck",
        severity=Severity.note,
        sentence=(
            f"{counted(len(names), 'layer')} did not move at all by {layers.unit} "
            f"{layers.step}: {listed(names)}."
        ),
        evidence=(f"rotation exactly 0; the median moving layer: {amount(median)}",),
        meaning="They are frozen, missing from the optimizer, or without any gradient.",
        remedy="If you did not freeze them, check requires_grad and the optimizer's parameters.",
        paper="Carbonnelle & De Vleeschouwer 2019, arXiv:1806.01603",
        caveat="Frozen layers are usual in fine-tuning.",
        layers=names,
        step=layers.step,
    )
