"""Outcomes of checks made by hand: one of each verdict, many layers, and names from hell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dyntools.checks.verdict import Check, Outcome, Verdict

HOSTILE = (
    "<script>alert(1)</script>",
    "a\n::error title=owned::really",
    "50 %, 100 %: all",
    "pipe|tick`tick``tick",
    "ünï.层.weight",
    "nul\x00bell\x07\ud800",
    "*bold* _it_ [x](http://y) @last",
)


def check(verdict: Verdict = Verdict.passed, entry: str = "0.weight", **fields: object) -> Check:
    """Of a rank that may move by ten percent."""
    label = f"[layer={entry}]" if entry else ""
    given: dict[str, object] = {
        "sentence": "It stayed at 20.",
        "limit": "effective_rank@last within 10%",
        "quantity": f"effective_rank{label}@last",
        "metric": "effective_rank",
        "unit": "singular values",
        "baseline": 20.0,
        "now": 20.5,
        "change": 0.5,
        "relative_change": 0.025,
        "tolerance": 2.0,
        "samples": (1, 1),
    }
    return Check(verdict, entry=entry, **(given | fields))  # type: ignore[arg-type]


FAILED = check(
    Verdict.fail,
    "",
    sentence="It rose from 20.1 to 24.3 (+21%), beyond 10%.",
    limit="hessian_top[0]@last within 10%",
    quantity="hessian_top[rank=1]@last",
    metric="hessian_top",
    unit="loss / weight²",
    baseline=20.1,
    baseline_error=0.3,
    now=24.3,
    now_error=0.2,
    change=4.2,
    relative_change=4.2 / 20.1,
    tolerance=2.01,
    uncertainty=0.5,
    p=0.001,
    p_adjusted=0.004,
)
ABOVE = check(
    Verdict.fail,
    "2.weight",
    sentence="It is 45, beyond the limit below 40.",
    limit="sparsity@max below 40",
    quantity="sparsity[layer=2.weight]@max",
    metric="sparsity",
    baseline=None,
    now=45.0,
    change=None,
    relative_change=None,
    tolerance=40.0,
)
GONE = check(
    Verdict.fail,
    "4.weight",
    sentence="It could not be computed now, where the baseline has 20.",
    now=float("nan"),
    change=None,
    relative_change=None,
)
UNLIKE = check(
    Verdict.not_comparable,
    "",
    sentence="The loss was probed otherwise: abc in the baseline, def now.",
    limit="hessian_trace@last within 10%",
    quantity="hessian_trace@last",
    metric="hessian_trace",
)
UNCLEAR = check(
    Verdict.inconclusive,
    "1.weight",
    sentence="It rose from 20 to 20.5, within 10%, but its error bar of ±5 reaches beyond.",
    baseline_error=3.0,
    now_error=4.0,
)


def outcome(checks: Sequence[Check] | None = None, **fields: object) -> Outcome:
    """One of each verdict, if nothing else is given."""
    every = [FAILED, ABOVE, GONE, UNLIKE, UNCLEAR, check()] if checks is None else checks
    found = Outcome(every, "run.h5", "baseline.json", "--limit", 0.05, ("one note",))
    return replace(found, **fields)  # type: ignore[arg-type]


def hostile() -> Outcome:
    """Every name and every sentence from hell."""
    checks = [
        check(
            Verdict.fail,
            name,
            sentence=f"It moved in {name}",
            quantity=f"effective_rank[{name}]@last",
        )
        for name in HOSTILE
    ]
    return outcome(checks, report="<b>.h5", notes=(f"about {HOSTILE[1]}",))


def large(layers: int = 10_000) -> Outcome:
    """Half of the layers failed, a quarter is inconclusive."""
    verdicts = [Verdict.fail, Verdict.fail, Verdict.inconclusive, Verdict.passed]
    order = list(Verdict)
    checks = [
        check(
            verdicts[i % 4],
            f"transformer.h.{i}.mlp.c_fc.weight",
            sentence=f"It says {i}.",
            change=i / layers,
        )
        for i in range(layers)
    ]
    return outcome(sorted(checks, key=lambda check: order.index(check.verdict)))
