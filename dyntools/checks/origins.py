"""Origins: which training each report of a side came from, and what its reader should know of it.

Two reports of the same checkpoints are one sample told twice; a report against itself compares
nothing; and one report a side says nothing about other seeds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dyntools.report import Report

ONE_A_SIDE = (
    "One report a side: the error bars are those of the measurement. How much another seed would "
    "have moved the numbers is not in them; several reports a side show it."
)


ONE_AGAINST_SEVERAL = (
    "One report against several: the test takes the scatter between seeds for normal, and far "
    "values make it fail too often. Over several checks it therefore takes at least 19 others for "
    "any to fail (at the level 0.05); several reports a side need no such assumption."
)


def origin(report: Report) -> dict[str, str]:
    """run, finished, dyntools (the version), identity (of the analysis) and weights, all text.

    weights: a hash of the checkpoints; "" where the report knows no fingerprint of them.
    """
    given = report.attributes
    prints = [row.fingerprint for row in report.checkpoints if row.fingerprint]
    weights = hashlib.sha256("\n".join(prints).encode()).hexdigest()[:16] if prints else ""
    return {
        "run": str(given.get("run", "")),
        "finished": str(given.get("finished", "")),
        "dyntools": str(given.get("dyntools_version", "")),
        "identity": str(given.get("identity", "")),
        "weights": weights,
    }


def distinct(reports: Sequence[Report]) -> list[Report]:
    """Each training once: what is told twice would make chance look smaller than it is."""
    kept: dict[object, Report] = {}
    for report in reports:
        of = origin(report)
        kept.setdefault((of["weights"], of["identity"]) if of["weights"] else id(report), report)
    return list(kept.values())


def notes(
    reports: Sequence[Report], given: int, before: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    """What the reader of a verdict should know. given: reports before `distinct`."""
    if len(reports) < given:
        yield (
            f"{given - len(reports)} of {given} reports are of the same checkpoints as another and "
            "were left out."
        )
    weights = {origin(report)["weights"] for report in reports} - {""}
    shared = weights & {str(entry.get("weights", "")) for entry in before}
    if shared:
        yield (
            "The report and the baseline come from the same checkpoints: agreement would show that "
            "the measurement repeats, and nothing about another training."
        )
    elif len(reports) == 1 and len(before) == 1:
        yield ONE_A_SIDE
    elif before and min(len(reports), len(before)) == 1:
        yield ONE_AGAINST_SEVERAL
