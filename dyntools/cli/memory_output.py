"""What `dyntools adam-memory` says of a decision: tables, or JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dyntools.cli import terminal

if TYPE_CHECKING:
    from dyntools.adam_memory import Decision
    from dyntools.layer_kinds import Kinds
    from dyntools.report import Report
    from dyntools.verification import Verification


def show(report: Report, decision: Decision, kinds: Kinds, *, every: bool) -> None:
    """Print the plan and all that stands behind it."""
    from dyntools.adam_memory.cutoffs import around
    from dyntools.adam_memory.hindsight import hindsight
    from dyntools.adam_memory.optimizers import compare
    from dyntools.adam_memory.trust import limits
    from dyntools.views import memory_plan, memory_tables

    console = terminal.stdout()
    for view in (
        memory_plan.plan(decision, every=every),
        memory_plan.averages(decision),
        memory_tables.cutoffs(around(decision), decision),
        memory_tables.along(hindsight(report, decision, kinds=kinds), decision),
        memory_tables.trust(limits(report, decision.evidence)),
        memory_tables.comparison(compare(decision)),
    ):
        console.print(view, end="")


def content(
    report: Report, decision: Decision, kinds: Kinds, verified: Verification | None
) -> dict[str, object]:
    """Strict JSON: the decision, and all that is printed beside it."""
    from dyntools.adam_memory import as_dict
    from dyntools.adam_memory.cutoffs import around
    from dyntools.adam_memory.hindsight import hindsight
    from dyntools.adam_memory.optimizers import compare
    from dyntools.adam_memory.trust import limits
    from dyntools.views import memory_verification

    cutoffs = [
        {
            "cutoff": one.cutoff,
            "max_update_error": one.max_update_error,
            "saved": one.saved,
            "bytes_after": one.second_moment.after,
        }
        for one in around(decision)
    ]
    return as_dict(decision) | {
        "cutoffs": cutoffs,
        "along_training": [_finite(asdict(o)) for o in hindsight(report, decision, kinds=kinds)],
        "limits": list(limits(report, decision.evidence)),
        "optimizers": [_finite(asdict(one)) for one in compare(decision)],
        "verification": None if verified is None else memory_verification.as_dict(verified),
    }


def _finite(fields: dict[str, Any]) -> dict[str, Any]:
    """NaN, which JSON does not have, as null."""
    return {key: None if value != value else value for key, value in fields.items()}
