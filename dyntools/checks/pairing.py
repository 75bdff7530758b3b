"""Pairing: the two sides of each check, under one limit."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from dyntools.checks import selection
from dyntools.checks.baseline import Baseline
from dyntools.checks.limit import Limit
from dyntools.checks.quantity import Quantity
from dyntools.checks.reading import read_off
from dyntools.errors import UsageError, nearest
from dyntools.report import Report


@dataclass(frozen=True)
class Pair:
    """One quantity on both sides; None where a side does not have it.

    missing: why one side has none, as a sentence; "" where both have it or none is needed.
    """

    limit: Limit
    before: Quantity | None
    now: Quantity | None
    missing: str = ""

    @property
    def either(self) -> Quantity | None:
        return self.now or self.before

    @property
    def key(self) -> str:
        return self.either.key if self.either else self.limit.subject


def pairs(
    reports: Sequence[Report], side: Baseline, limit: Limit, *, known: Collection[str] = ()
) -> Iterator[Pair]:
    """One pair for each entry that the limit is on, on either side; at least one."""
    now = read_off(reports, limit)
    before = {} if limit.relation.bounds else _of_baseline(side, limit)
    keys = list(dict.fromkeys((*now, *before)))
    if not keys:
        _refuse_unknown(reports, side, limit, known)
        yield Pair(limit, None, None, _no_metric(reports, limit))
    for key in keys:
        missing = ""
        if key not in now:
            missing = _no_entry(reports, limit)
        elif key not in before and not limit.relation.bounds:
            missing = (
                "The baseline does not hold it: it is new, or the baseline was made without it."
            )
        yield Pair(limit, before.get(key), now.get(key), missing)


def _of_baseline(side: Baseline, limit: Limit) -> dict[str, Quantity]:
    same = {
        key: quantity
        for key, quantity in side.quantities.items()
        if quantity.metric == limit.metric
        and quantity.companion == limit.companion
        and quantity.reduction == limit.reduction
    }
    wanted = selection.chosen([quantity.labels for quantity in same.values()], limit)
    return {key: q for (key, q), chosen in zip(same.items(), wanted, strict=True) if chosen}


def _refuse_unknown(
    reports: Sequence[Report], side: Baseline, limit: Limit, known: Collection[str]
) -> None:
    """Raises UsageError for a metric that does not exist, or a label that no entry has."""
    measured = [report.series[limit.metric] for report in reports if limit.metric in report.series]
    for series in measured:
        selection.refuse_labels(series.dims, series.coords, limit)
    present = {quantity.metric for quantity in side.quantities.values()}
    if known and not measured and limit.metric not in known and limit.metric not in present:
        raise UsageError(
            f"There is no metric {limit.metric!r}.",
            where=str(limit),
            remedy=nearest(limit.metric, known) + "; all of them: dyntools metrics",
        )


def _no_metric(reports: Sequence[Report], limit: Limit) -> str:
    if any(limit.metric in report.series for report in reports):
        return f"{limit.metric} has no entries in this report."
    return f"{_lacks(reports, limit)} Neither does the baseline."


def _no_entry(reports: Sequence[Report], limit: Limit) -> str:
    if not any(limit.metric in report.series for report in reports):
        return _lacks(reports, limit)
    return "The report does not hold it, and the baseline does."


def _lacks(reports: Sequence[Report], limit: Limit) -> str:
    """With the reason that the analysis gave, where it gave one."""
    for report in reports:
        left_out = report.attributes.get("left_out_metrics")
        if isinstance(left_out, dict) and limit.metric in left_out:
            return f"The report does not hold {limit.metric}: {left_out[limit.metric]}."
    measured = nearest(limit.metric, {name for report in reports for name in report.series})
    return f"The report does not hold {limit.metric}; it holds {measured or 'no metric'}."
