"""Plateau: the validation loss neither improves nor moves.

PyTorch, torch.optim.lr_scheduler.ReduceLROnPlateau: no improvement for more than `patience` checks.
"""

from __future__ import annotations

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.rows import amount, last_row
from dyntools.report import Report

FLAT = 0.05  # of the loss over the last checks: the widest interval that still says "flat"; chosen


def rule(report: Report) -> tuple[Finding, ...]:
    row = last_row(report, "plateau")
    if row is None or row["plateaued"] != 1:
        return ()
    low, high = row["relative_change_low"], row["relative_change_high"]
    if not -FLAT <= low <= 0 <= high <= FLAT:
        return ()
    kind = "Validation" if row["of_validation"] == 1 else "Training"
    return (
        Finding(
            rule="plateau",
            severity=Severity.note,
            sentence=(
                f"{kind} loss has not improved for {row.value:.0f} checks, since "
                f"{row.unit} {row['since_step']:.0f} ({amount(row['best_loss'])}; now "
                f"{amount(row['loss'])})."
            ),
            evidence=(
                f"change over the last checks: {100 * row['relative_change']:+.2f} %, "
                f"95 % interval {100 * low:+.2f} % to {100 * high:+.2f} %",
            ),
            meaning="More steps at this learning rate are not shown to help.",
            remedy="Lower the learning rate (tenfold is PyTorch's default), or stop here.",
            paper="PyTorch, torch.optim.lr_scheduler.ReduceLROnPlateau",
            caveat=(
                "Plateaus can end: after a decay of the learning rate, or late, as in grokking "
                "(Power et al. 2022, arXiv:2201.02177)."
            ),
            step=row.step,
        ),
    )
