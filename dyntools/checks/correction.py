"""Correction: the test of every case, and its p over all cases together.

Holm's correction where it could ever reach the level. Where so many checks meet so few reports that
it could not, the p over all of them by exchanging whole reports (see `joint`). Which of the two is
decided by how many reports and checks there are, never by their numbers. Checks with as many
samples on either side are tested together; a check without chance in it (no scatter, errors that
are bounds) is decided by its numbers, cannot fail falsely, and counts for nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dyntools.checks import joint, permutations, significance
from dyntools.checks.cases import Case
from dyntools.checks.significance import Floats, Tested


@dataclass(frozen=True)
class Found:
    """What the test of one case said.

    p: alone. adjusted: over all tests. uncertainty: half the interval of the change. detectable:
    the smallest change that would have failed, NaN where none could. least: the smallest adjusted p
    that any data could have given. random: whether there is chance in it. family: the number of
    tests. by: whose correction it is.
    """

    p: float
    adjusted: float
    uncertainty: float
    detectable: float
    effect: float
    least: float
    random: bool
    family: int
    by: str


@dataclass(frozen=True, eq=False)
class Group:
    """The cases with as many samples on either side. at: their places among all (E,)."""

    counts: tuple[int, int]
    at: NDArray[np.intp]
    tested: Tested
    tolerance: Floats  # with the bounds of the errors
    sides: NDArray[np.int8]
    random: NDArray[np.bool_]
    floor: Floats  # the smallest p that any data could have given
    before: Floats  # (n, E)
    now: Floats  # (m, E)
    whole: bool  # every report has a number for every case, so that reports can be exchanged


def found(cases: Sequence[Case], level: float, seed: int) -> list[Found]:
    """One for each case, in their order."""
    groups = [_group(cases, counts, seed) for counts in sorted({case.counts for case in cases})]
    family = max(1, sum(int(group.random.sum()) for group in groups))
    together = [_together(group, family, level) for group in groups]
    parts = sum(bool(group.random.any()) for group in groups) if any(together) else 1
    rows: list[Found | None] = [None] * len(cases)
    p, random = np.ones(len(cases)), np.zeros(len(cases), dtype=bool)
    for group in groups:
        p[group.at], random[group.at] = group.tested.p, group.random
    over_all = significance.holm(p, random)
    for group, jointly in zip(groups, together, strict=True):
        if jointly:
            size, by = int(group.random.sum()), "max T"
            least = np.full(len(group.at), joint.smallest_p(*group.counts) * parts)
            adjusted = joint.of_max(group.before, group.now, group.tolerance, group.sides, seed)
            adjusted = np.minimum(1.0, parts * np.maximum(adjusted, group.tested.p))
        elif parts > 1:
            size, by = max(1, int(group.random.sum())), "Holm"
            least = group.floor * size * parts
            adjusted = significance.holm(group.tested.p, group.random)
            adjusted = np.where(group.random, np.minimum(1.0, parts * adjusted), adjusted)
        else:
            size, by, least = family, "Holm", group.floor * family
            adjusted = over_all[group.at]
        _fill(rows, cases, group, adjusted, least, level, size * parts, by)
    return [row for row in rows if row is not None]


def _together(group: Group, family: int, level: float) -> bool:
    """Whether only the exchange of whole reports could reach the level."""
    never = bool(np.any(group.floor * family > level))
    able = min(group.counts) > 1 and group.whole
    return able and never and joint.smallest_p(*group.counts) <= level


def _fill(
    rows: list[Found | None],
    cases: Sequence[Case],
    group: Group,
    adjusted: Floats,
    least: Floats,
    level: float,
    family: int,
    by: str,
) -> None:
    tested = group.tested
    tails = np.array([level / (1 if cases[i].side else 2) for i in group.at])
    bounds = np.array([cases[i].bound for i in group.at])
    half = bounds + tested.quantile(tails) * tested.scatter
    shown = group.tolerance + tested.quantile(tails / family) * tested.scatter
    shown = np.where((least <= level) | ~group.random, shown, np.nan)
    for j, i in enumerate(group.at.tolist()):
        rows[i] = Found(
            p=float(tested.p[j]),
            adjusted=float(adjusted[j]),
            uncertainty=float(half[j]),
            detectable=float(shown[j]),
            effect=float(tested.effect[j]),
            least=float(least[j]),
            random=bool(group.random[j]),
            family=family,
            by=by,
        )


def _group(cases: Sequence[Case], counts: tuple[int, int], seed: int) -> Group:
    at = np.array([i for i, case in enumerate(cases) if case.counts == counts])
    members = [cases[i] for i in at]
    change = np.array([case.change for case in members])
    tolerance = np.array([case.tolerance + case.bound for case in members])
    errors = np.array([case.standard_error for case in members])
    sides = np.array([case.side for case in members], dtype=np.int8)
    before, now = (
        np.array([getattr(case, side) for case in members], dtype=np.float64).T
        for side in ("before", "now")
    )
    n, m = counts
    if n <= 1 and m <= 1:
        tested = significance.of_error_bars(change, tolerance, errors, sides)
    elif n > 1 and m > 1:
        tested = significance.of_seeds(before, now, tolerance, sides, seed)
    else:
        many, others = (before, m) if n > 1 else (now, n)
        tested = significance.of_prediction(change, tolerance, many, others, sides)
    random = (tested.scatter > 0) | (min(counts) > 0 and max(counts) > 1)
    floor = _floor(counts, tolerance, sides, tested.scatter)
    whole = all(case.whole for case in members)
    return Group(counts, at, tested, tolerance, sides, random, floor, before, now, whole)


def _floor(
    counts: tuple[int, int], tolerance: Floats, sides: NDArray[np.int8], scatter: Floats
) -> Floats:
    if min(counts) > 1:
        twice = (sides == 0) & (tolerance == 0)
        one, two = (permutations.smallest_p(*counts, two_sided=both) for both in (False, True))
        return np.where(twice, two, one)
    if min(counts) == 1 and max(counts) > 1:  # seeds that all agree, and one other report
        return np.where(scatter > 0, 0.0, 1 / (sum(counts)))
    return np.zeros(len(tolerance))
