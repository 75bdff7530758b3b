"""Judging: reports against a baseline under limits, one verdict and one sentence a check.

PASS: the interval of the change lies within the tolerance. FAIL: the change lies beyond it by more
than its error bars and chance explain, at the level over all checks together. Everything else is
INCONCLUSIVE, or NOT COMPARABLE where the two are not the same measurement.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dyntools.checks import deciding, origins, pairing, reading, settled
from dyntools.checks.baseline import Baseline, baseline_of
from dyntools.checks.limit import Limit
from dyntools.checks.significance import LEVEL
from dyntools.checks.verdict import Check, Outcome, Verdict
from dyntools.errors import UsageError
from dyntools.report import Report


def judge(
    reports: Sequence[Report],
    baseline: Baseline | Sequence[Report] | None,
    limits: Sequence[Limit],
    *,
    level: float = LEVEL,
    report: str = "",
    against: str = "",
    source: str = "",
    allow_missing: bool = False,
    known: Collection[str] = (),
    seed: int = 0,
) -> Outcome:
    """All checks, the worst first.

    reports: of one recipe, one for each seed. baseline: a file read, or reports of the other
    recipe; None where all limits are bounds. level: the share of unchanged runs that may fail, over
    all checks together. report, against, source: names for the outcome, of the two sides and of
    where the limits come from. allow_missing: leave out what not both sides have. known: names of
    all metrics there are, to tell a misspelt one from one that was not measured. seed: of the
    random permutations.

    Raises UsageError for an unknown metric, companion, dim or label, for a limit that needs a
    baseline without one, and for a level outside (0, 1).
    """
    _refuse(reports, baseline, limits, level)
    given, reports = len(reports), origins.distinct(reports)
    side = baseline if isinstance(baseline, Baseline) else baseline_of(baseline or (), limits)
    notes = list(origins.notes(reports, given, side.provenance.get("reports", ())))
    if bare := [limit for limit in limits if reading.without_error(reports, limit)]:
        names = ", ".join(dict.fromkeys(f"{one.metric}.{one.companion}" for one in bare))
        notes.append(f"No error is known of {names}: judged as if exact, by the tolerance alone.")
    pairs = [pair for limit in limits for pair in pairing.pairs(reports, side, limit, known=known)]
    if allow_missing:
        kept = [pair for pair in pairs if not pair.missing]
        if len(kept) < len(pairs):
            notes.append(f"left out, as not both sides have them: {len(pairs) - len(kept)} checks")
        pairs = kept
    checks = [settled.settled(pair) for pair in pairs]
    open_pairs = [pair for pair, check in zip(pairs, checks, strict=True) if check is None]
    judged = iter(deciding.decided(open_pairs, level, seed))
    checks = [next(judged) if check is None else check for check in checks]
    return Outcome(
        _worst_first([check for check in checks if check is not None]),
        report=report,
        baseline=against,
        source=source,
        level=level,
        notes=tuple(notes),
    )


def _refuse(
    reports: Sequence[Report],
    baseline: Baseline | Sequence[Report] | None,
    limits: Sequence[Limit],
    level: float,
) -> None:
    if not 0 < level < 1:
        raise UsageError(
            "The level lies between 0 and 1.", found=f"{level:g}", remedy=f"a level of {LEVEL:g}"
        )
    if not reports:
        raise UsageError("There is no report to check.", remedy="a path, or several of one recipe")
    if baseline is None or (not isinstance(baseline, Baseline) and not baseline):
        for limit in limits:
            if not limit.relation.bounds:
                raise UsageError(
                    "This limit is on the change against a baseline, and there is none.",
                    found=str(limit),
                    remedy="--baseline FILE, or a limit such as 'hessian_top[0]@max below 40'",
                )


def _worst_first(checks: Sequence[Check]) -> tuple[Check, ...]:
    order = list(Verdict)

    def badness(check: Check) -> tuple[int, float]:
        excess = 0.0
        if check.change is not None and check.tolerance is not None:
            excess = abs(check.change) / (check.tolerance or 1e-300)
        return order.index(check.verdict), -excess

    return tuple(sorted(checks, key=badness))
