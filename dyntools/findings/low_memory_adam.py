"""Low-memory Adam: how much of Adam's second moment the SlimAdam authors' rule would let go.

    SNR_K = mean over the other axes of (mean_K v)² / var_K v > 1, averaged over the measured steps

Kalra et al. 2025, When can you get away with low-memory Adam?, arXiv:2503.01843: where v is nearly
constant along the axes K, one number serves for all of them.
"""

from __future__ import annotations

from dyntools.adam_memory.decision import Choice, Decision, decide
from dyntools.adam_memory.evidence import evidence_of
from dyntools.adam_memory.rules import CUTOFF, SLIMADAM
from dyntools.adam_memory.trust import limits
from dyntools.errors import DyntoolsError
from dyntools.findings.finding import Finding, Severity
from dyntools.findings.rows import amount, shortened
from dyntools.report import Report

METRIC = "second_moment_snr"
WORTH = 0.1  # of the entries of v, below which keeping Adam as it is costs little; chosen


def rule(report: Report) -> tuple[Finding, ...]:
    series = report.series.get(METRIC)
    if series is None or not series.ok.any():
        return ()
    try:
        decision = decide(evidence_of(report))
    except DyntoolsError:
        return ()  # no SNR that a rule could read; `dyntools adam-memory` says which
    return (_finding(report, decision),)


def _finding(report: Report, decision: Decision) -> Finding:
    evidence = decision.evidence
    worth = decision.saved >= WORTH
    full = [c for c in decision.choices if not c.form.axes and c.tensor.kind != "norm"]
    full = sorted(full, key=lambda choice: -choice.tensor.size)
    only = "" if worth else "Only "
    return Finding(
        rule="low_memory_adam",
        severity=Severity.note,
        sentence=(
            f"{only}{100 * decision.saved:.2f} % of the second moment can go by SlimAdam's rule "
            f"at an SNR above {CUTOFF:g}: {100 * decision.optimizer_state.saved:.1f} % of the "
            "optimizer state."
        ),
        evidence=shortened([*_kinds(decision)]),
        meaning=(
            "Where the second moment is nearly constant along an axis, one number for each row or "
            "column steers the update as well as one for each weight."
            if worth
            else "The second moments differ along every axis of the large tensors, so averages "
            "would change the update."
        ),
        remedy=_remedy(worth),
        paper=SLIMADAM,
        caveat=_caveat(limits(report, evidence)),
        layers=tuple(choice.tensor.name for choice in full),
        step=evidence.steps[-1],
    )


def _kinds(decision: Decision) -> list[str]:
    """One line a kind, that of the most weights kept in full first; norms never go."""
    kinds: dict[str, list[Choice]] = {}
    for choice in decision.choices:
        if choice.tensor.kind != "norm":
            kinds.setdefault(choice.tensor.kind, []).append(choice)

    def kept(kind: str) -> int:
        return sum(choice.entries_after for choice in kinds[kind])

    return [_line(kind, kinds[kind]) for kind in sorted(kinds, key=kept, reverse=True)]


def _line(kind: str, choices: list[Choice]) -> str:
    gone = sum(bool(choice.form.axes) for choice in choices)
    before = sum(choice.tensor.size for choice in choices)
    stays = 100 * sum(choice.entries_after for choice in choices) / before
    of = f"all {gone}" if gone == len(choices) > 1 else f"{gone} of {len(choices)}"
    line = f"{kind}: {of} compressed, {amount(stays)} % stays"
    if gone == len(choices):
        return line
    full = max((c for c in choices if not c.form.axes), key=lambda choice: choice.tensor.size)
    name, highest = full.tensor.name, full.margin * CUTOFF
    return f"{line}; {name} " + (f"has {amount(highest)}" if highest > 0 else "was not measured")


def _remedy(worth: bool) -> str:
    if not worth:
        return (
            "Keep AdamW, or see with `dyntools adam-memory REPORT --max-update-error 0.1` what "
            "other forms would cost."
        )
    return (
        "`dyntools adam-memory REPORT --export plan.toml` writes the plan for "
        "dyntools.optim.SlimAdamW; `dyntools adam-memory RUN --problem PROBLEM --verify STEPS` "
        "trains with it beside AdamW and compares the losses."
    )


def _caveat(limiting: tuple[str, ...]) -> str:
    known = (
        "The cutoff is the authors' choice, and the saving belongs to the learning rate it was "
        "measured at."
    )
    more = len(limiting) - 1
    rest = f"`dyntools adam-memory REPORT` says what else limits it ({more})." if more > 0 else ""
    return " ".join(sentence for sentence in (*limiting[:1], known, rest) if sentence)
