"""Loss spikes: the training loss jumped far out of its recent range.

Team OLMo 2025, 2 OLMo 2 Furious, arXiv:2501.00656 (the spike score); Chowdhery et al. 2022, PaLM,
arXiv:2204.02311, section 5.1 (restart about 100 steps before and skip 200 to 500 batches).
"""

from __future__ import annotations

import math

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.rows import amount, counted, last_row
from dyntools.report import Report

MATERIAL = 0.01  # of the initial loss: a loss near zero jumps often and means little; no source
RECURRING = 3  # spikes that make a pattern; chosen, no source


def rule(report: Report) -> tuple[Finding, ...]:
    row = last_row(report, "loss_spikes")
    if row is None or not row["count"] >= 1:
        return ()
    if not row["largest_rise"] >= MATERIAL * row["initial_loss"]:
        return ()
    unit, count = row.unit, row["count"]
    evidence = [
        f"spike score: {amount(row.value)} % of {row['judged']:.0f} losses",
        f"largest: {amount(row['largest_z'])} standard deviations above the mean before it",
    ]
    if math.isfinite(row["gradient_norm_score"]):
        evidence.append(f"spike score of the gradient norm: {amount(row['gradient_norm_score'])} %")
    return (
        Finding(
            rule="loss_spikes",
            severity=Severity.watch if count >= RECURRING else Severity.note,
            sentence=(
                f"Training loss spiked {'once' if count == 1 else f'{count:.0f} times'}, "
                f"{'' if count == 1 else 'highest '}at {unit} {row['largest_step']:.0f}: "
                f"{amount(row['largest_value'])}, {amount(row['largest_rise'])} above its recent "
                f"mean."
            ),
            evidence=tuple(evidence),
            meaning=(
                f"The last was {counted(row.step - row['last_step'], unit)} before the end. "
                "Spikes that recur are an early sign of instability and can end in divergence."
            ),
            remedy=(
                "If the loss does not come back, restart about 100 steps before the spike and skip "
                "the next 200 to 500 batches (PaLM); if spikes recur, clip gradients, lengthen the "
                "warm-up, lower the learning rate or Adam's beta2."
            ),
            paper="Team OLMo 2025, arXiv:2501.00656; Chowdhery et al. 2022, arXiv:2204.02311",
            caveat=(
                "The paper's score is on logs of every step over 1000 values; averaged or sparse "
                "logs hide spikes. Losses with heavy tails, as of small batches, spike by chance."
            ),
            step=row.step,
        ),
    )
