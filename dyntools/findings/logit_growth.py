"""Logit growth: attention logits that are large, and larger than at first.

    largest |q·k/√d|   ≥ 1e4: act     ≥ 1e3: watch     ≥ 100: note
                       each only where it is twice the first measured, or was measured once

1e4 and 1e3 are read off Wortsman et al. 2023, Small-scale proxies for large-scale Transformer
training instabilities, arXiv:2309.14322: all their runs above the one diverged, and imposing the
other cost loss. 100 is where Kimi Team 2025, Kimi K2, arXiv:2507.20534, clip. An entropy that
collapses with it makes the note a watch: Zhai et al. 2023, arXiv:2303.06296.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.rows import (
    Layers,
    also_in,
    amount,
    first_steps,
    first_values,
    last_layers,
    shortened,
)
from dyntools.report import Report

DIVERGED, COSTLY = 1e4, 1e3  # Wortsman et al. 2023, section 3
CLIPPED = 100.0  # tau of QK-Clip, Kimi Team 2025
GROWN = 2.0  # times the first measured value; chosen, no source
COLLAPSED = 0.1  # of the entropy of attending to all alike; chosen: no paper gives a threshold


def rule(report: Report) -> tuple[Finding, ...]:
    layers = last_layers(report, "attention_logits")
    if layers is None:
        return ()
    series = report["attention_logits"]
    first = first_values(series, layers.names)
    values, entropy = layers.values, layers["relative_entropy"]
    begin = first_steps(series, layers.names)
    # Biases of position (ALiBi) are part of a logit and may be large from the start. Of one step
    # nobody knows whether it grows: then the size alone speaks.
    grown = (values >= GROWN * first) | (begin == layers.step)
    chosen = np.flatnonzero((values >= CLIPPED) & grown)
    if not len(chosen):
        return ()
    chosen = chosen[np.argsort(-values[chosen], kind="stable")]
    worst = int(chosen[0])
    names = tuple(layers.names[i] for i in chosen)
    grew = f", from {amount(first[worst])} at {layers.unit} {begin[worst]}"
    also = also_in(names, f"above {CLIPPED:g} also in")
    collapsed = bool((entropy[chosen] < COLLAPSED).any())
    return (
        Finding(
            rule="logit_growth",
            severity=_severity(float(values[worst]), collapsed),
            sentence=(
                f"The largest attention logit of {names[0]} is {amount(values[worst])} at "
                f"{layers.unit} {layers.step}{grew if begin[worst] != layers.step else ''}{also}."
            ),
            evidence=shortened([_line(layers, first, i) for i in chosen.tolist()]),
            meaning=(
                "A softmax over logits of this size looks at one place alone and passes hardly any "
                "gradient. Training slows down, or diverges where they grow on."
            ),
            remedy=(
                "Normalise queries and keys (QK-norm), or clip the query and key weights as "
                "QK-Clip does; else a lower learning rate."
            ),
            paper="Wortsman et al. 2023, arXiv:2309.14322; Kimi Team 2025, arXiv:2507.20534; "
            "Zhai et al. 2023, arXiv:2303.06296",
            caveat=(
                f"{COSTLY:g} and {DIVERGED:g} are of small transformers on C4, and {CLIPPED:g} is "
                "a practice and no limit: sharp heads, as those that look at the previous token, "
                "work well. What is added to a logit for its position counts too. The largest over "
                "the probe is one entry, and grows with the probe."
            ),
            layers=names,
            step=layers.step,
        ),
    )


def _severity(largest: float, collapsed: bool) -> Severity:
    if largest >= DIVERGED:
        return Severity.act
    return Severity.watch if largest >= COSTLY or collapsed else Severity.note


def _line(layers: Layers, first: NDArray[np.float64], i: int) -> str:
    line = f"{layers.names[i]}: largest {amount(layers.values[i])}, at first {amount(first[i])}"
    share, lowest = 100 * layers["relative_entropy"][i], 100 * layers["lowest_head"][i]
    if np.isfinite(share):
        line += f", entropy {share:.0f} % of uniform"
    return line + f" and {lowest:.0f} % in the lowest head" * bool(np.isfinite(share + lowest))
