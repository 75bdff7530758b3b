"""Memory: what `dyntools adam-memory REPORT` says of a report, as blocks of the page."""

from __future__ import annotations

from dyntools.adam_memory import Decision, decide, evidence_of
from dyntools.adam_memory.cutoffs import around
from dyntools.adam_memory.hindsight import hindsight
from dyntools.adam_memory.optimizers import compare
from dyntools.adam_memory.trust import limits
from dyntools.errors import DyntoolsError
from dyntools.layer_kinds import kinds_from
from dyntools.page.blocks import Block, blocks
from dyntools.report import Report
from dyntools.views import memory_plan, memory_tables


def decision_of(report: Report) -> Decision | None:
    """By the rule that the command takes by default; None without measured second moments."""
    try:
        return decide(evidence_of(report, kinds=kinds_from(report.attributes)))
    except DyntoolsError:
        return None


def plan(decision: Decision) -> tuple[Block, ...]:
    """The sentence of the decision, its totals and its tensors."""
    return blocks(memory_plan.plan(decision))


def behind(report: Report, decision: Decision) -> tuple[tuple[str, tuple[Block, ...]], ...]:
    """What stands behind a decision: title and blocks of each table of the command."""
    kinds = kinds_from(report.attributes)
    views = (
        memory_plan.averages(decision),
        memory_tables.cutoffs(around(decision), decision),
        memory_tables.along(hindsight(report, decision, kinds=kinds), decision),
        memory_tables.trust(limits(report, decision.evidence)),
        memory_tables.comparison(compare(decision)),
    )
    found = (blocks(view) for view in views)
    return tuple((one[0].text, one[1:]) for one in found if one and one[0].name == "words")  # type: ignore[union-attr]
