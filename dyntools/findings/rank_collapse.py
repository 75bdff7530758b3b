"""Rank collapse: the effective rank of a layer is far below its start and below a random matrix.

Diehl Martinez et al. 2024, Tending Towards Stability, arXiv:2410.11451; the effective rank is that
of Roy & Vetterli 2007, The effective rank: a measure of effective dimensionality, EUSIPCO.
"""

from __future__ import annotations

import numpy as np

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.rows import amount, first_values, last_layers, shortened
from dyntools.report import Report

OF_START = 0.5  # of the layer's own start; chosen, no source
OF_NULL = 0.5  # of a random matrix of the same shape; chosen, no source


def rule(report: Report) -> tuple[Finding, ...]:
    layers = last_layers(report, "effective_rank")
    if layers is None:
        return ()
    started = np.isfinite(layers["initial"])
    firsts = first_values(report["effective_rank"], layers.names)
    start = np.where(started, layers["initial"], firsts)
    with np.errstate(divide="ignore", invalid="ignore"):  # of nothing nothing can be lost
        share = layers.values / start
    # Without a null (its companion missing) a layer is judged by its own start alone.
    below_null = ~(layers.values >= OF_NULL * layers["null"])
    collapsed = np.flatnonzero((share < OF_START) & below_null)
    if not len(collapsed):
        return ()
    collapsed = collapsed[np.argsort(share[collapsed], kind="stable")]
    names = tuple(layers.names[i] for i in collapsed)
    worst = int(collapsed[0])
    since = "at initialisation" if started[worst] else "at its first checkpoint"
    sentence = (
        f"{names[0]} has an effective rank of {amount(layers.values[worst])} at "
        f"{layers.unit} {layers.step}, {100 * share[worst]:.0f} % of the "
        f"{amount(start[worst])} it had {since}."
    )
    if len(names) > 1:
        sentence = f"{len(names)} layers have lost more than half of their rank. {sentence}"
    return (
        Finding(
            rule="rank_collapse",
            severity=Severity.watch,
            sentence=sentence,
            evidence=shortened(
                [
                    f"{layers.names[i]}: {amount(layers.values[i])}, start {amount(start[i])}, "
                    f"random matrix {amount(layers['null'][i])}"
                    for i in collapsed.tolist()
                ]
            ),
            meaning="A few directions carry most of what these layers do.",
            remedy=(
                "Compare with a run at lower weight decay or a larger batch before changing "
                "anything; these layers are also the first candidates for a low-rank form."
            ),
            paper="Diehl Martinez et al. 2024, arXiv:2410.11451",
            caveat=(
                "Low effective rank goes with late degradation but was shown not to cause it; it "
                "mostly reflects batch size and weight decay (arXiv:2602.20433). No threshold is "
                "known; shapes are comparable only with their own start or a random matrix."
            ),
            layers=names,
            step=layers.step,
        ),
    )
