"""Correction: the test of every case, and its p over all cases together.

Holm's correction where it could ever reach the level. Where so many checks meet so few reports that
it could not, the p over all of them by exchanging whole reports (see `joint`). Which of the two is
decided by how many reports and checks there are, never by their numbers. One report against several
is tested by Student's t, whose far tails are those of normal seeds; many checks ask for just these,
so there p is at least the one by exchanging whole reports as well. Checks with as many
samples on either side are tested together; a check without chance in it (no scatter, errors that
are bounds) is decided by its numbers, cannot fail falsely, and counts for nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dyntools.checks import joint, permutations, significance
from dyntools.checks.cases import Case
from dyntools.checks.significance import Floats, Tested

FAR = 300  # powers of 2 from 1 beyond which numbers are rescaled; chosen: squares stay in 2^±1022


@dataclass(frozen=True)
class Found:
    """What the test of one case said.

    p: alone. adjusted: over all tests. uncertainty: half the interval of the change. detectable:
    about the smallest change that would have failed, NaN where none could. least: the smallest
    adjusted p that any data could have given. random: whether there is chance in it. family: the
    number of tests. by: whose correction it is. mirrored: see `significance.mirrored`.
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
    mirrored: bool


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
    unit: Floats  # (E,), of all numbers here
    uneven: NDArray[np.bool_]  # spread out by a relative tolerance, and not as many on both sides
    whole: bool  # every report has a number for every case, so that reports can be exchanged


def found(cases: Sequence[Case], level: float, seed: int) -> list[Found]:
    """One for each case, in their order."""
    groups = [_group(cases, counts, seed) for counts in sorted({case.counts for case in cases})]
    family = max(1, sum(int(group.random.sum()) for group in groups))
    together = [_together(group, family, level) for group in groups]
    several = sum(bool(group.random.any()) for group in groups)
    parts = several if any(together) else 1
    rows: dict[int, Found] = {}
    p, random = np.ones(len(cases)), np.zeros(len(cases), dtype=bool)
    for group in groups:
        p[group.at], random[group.at] = group.tested.p, group.random
    over_all = significance.holm(p, random)
    for group, jointly in zip(groups, together, strict=True):
        if jointly:
            size, by = int(group.random.sum()), "max T"
            least = np.full(len(group.at), joint.smallest_p(*group.counts) * parts)
            adjusted = joint.of_max(group.before, group.now, group.tolerance, group.sides, seed)
            adjusted = np.maximum(np.maximum(adjusted, group.tested.p), _by_welch(group))
            adjusted = np.minimum(1.0, parts * adjusted)
        elif parts > 1:
            size, by = max(1, int(group.random.sum())), "Holm"
            least = group.floor * size * parts
            adjusted = significance.holm(group.tested.p, group.random)
            adjusted = np.where(group.random, np.minimum(1.0, parts * adjusted), adjusted)
        else:
            size, by, least = family, "Holm", group.floor * family
            adjusted = over_all[group.at]
        if family > 1 and min(group.counts) == 1 < max(group.counts):
            by, least = "max T", np.maximum(least, several / sum(group.counts))
            adjusted = np.maximum(adjusted, np.minimum(1.0, several * _by_rank(group, seed)))
        rows |= _rows(cases, group, adjusted, least, level, size * parts, by)
    return [rows[i] for i in range(len(cases))]


def _together(group: Group, family: int, level: float) -> bool:
    """Whether only the exchange of whole reports could reach the level."""
    floor = _floor(group.counts, group.sides == 0, group.tested.scatter)
    never = bool(np.any(floor * family > level))
    able = min(group.counts) > 1 and group.whole
    return able and never and joint.smallest_p(*group.counts) <= level


def _by_welch(group: Group) -> Floats:
    """Where the sides are not exchangeable, so that no permutation of them keeps the level."""
    welch = group.tested.welch
    if welch is None:
        return np.zeros(len(group.at))
    return np.where(group.uneven, significance.holm(welch, group.random), 0.0)


def _by_rank(group: Group, seed: int) -> Floats:
    """One report against several, over all checks: at least 1 / (n + 1), whatever the tails."""
    if group.whole:
        return joint.of_max(group.before, group.now, group.tolerance, group.sides, seed)
    return np.full(len(group.at), len(group.at) / sum(group.counts))


def _rows(
    cases: Sequence[Case],
    group: Group,
    adjusted: Floats,
    least: Floats,
    level: float,
    family: int,
    by: str,
) -> dict[int, Found]:
    """What became of each case of a group, by its place among all."""
    tested = group.tested
    tails = np.array([level / (1 if cases[i].side else 2) for i in group.at])
    bounds = np.array([cases[i].bound for i in group.at])
    half = bounds + tested.quantile(tails) * tested.scatter * group.unit
    shown = (group.tolerance + tested.quantile(tails / family) * tested.scatter) * group.unit
    shown = np.where((least <= level) | ~group.random, shown, np.nan)
    return {
        i: Found(
            p=float(tested.p[j]),
            adjusted=float(adjusted[j]),
            uncertainty=float(half[j]),
            detectable=float(shown[j]),
            effect=float(tested.effect[j]),
            least=float(least[j]),
            random=bool(group.random[j]),
            family=family,
            by=by,
            mirrored=bool(tested.mirrored is not None and tested.mirrored[j]),
        )
        for j, i in enumerate(group.at.tolist())
    }


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
    unit = _units([side for side in (before, now) if len(side) > 1], len(at))
    change, tolerance, errors = change / unit, tolerance / unit, errors / unit
    before, now = before / unit, now / unit
    n, m = counts
    uneven = np.array([case.share > 0 for case in members]) & (n != m)
    if n <= 1 and m <= 1:
        tested = significance.of_error_bars(change, tolerance, errors, sides)
    elif n > 1 and m > 1:
        tested = significance.of_seeds(before, now, tolerance, sides, seed)
        if tested.welch is not None:
            p = np.where(uneven, np.maximum(tested.p, tested.welch), tested.p)
            tested = replace(tested, p=p)
    else:
        many, others = (before, m) if n > 1 else (now, n)
        tested = significance.of_prediction(change, tolerance, many, others, sides)
    random = (tested.scatter > 0) | (min(counts) > 0 and max(counts) > 1)
    twice = np.zeros(len(at), dtype=bool) if tested.mirrored is None else tested.mirrored
    floor = _floor(counts, twice, tested.scatter)
    whole = all(case.whole for case in members)
    return Group(
        counts, at, tested, tolerance, sides, random, floor, before, now, unit, uneven, whole
    )


def _units(sides: Sequence[Floats], count: int) -> Floats:
    """Powers of 2 (E,) in which the squares of the samples (n, E) of each check are float64.

    1 but for checks whose largest number is far from it, and where nothing is squared: a scatter is
    that of the sides with several reports.
    """
    largest = np.max([np.abs(side).max(axis=0) for side in sides] or [np.ones(count)], axis=0)
    exponent = np.frexp(np.where(np.isfinite(largest), largest, 1.0))[1]
    far = np.abs(exponent) > FAR
    return np.asarray(np.ldexp(1.0, np.where(far, np.clip(exponent - 1, -1022, 1023), 0)))


def _floor(counts: tuple[int, int], twice: NDArray[np.bool_], scatter: Floats) -> Floats:
    """The smallest p that any data could give; twice: whether its mirror image counts as much."""
    if min(counts) > 1:
        one, two = (permutations.smallest_p(*counts, two_sided=both) for both in (False, True))
        return np.where(twice, two, one)
    if min(counts) == 1 and max(counts) > 1:  # seeds that all agree, and one other report
        return np.where(scatter > 0, 0.0, 1 / (sum(counts)))
    return np.zeros(len(twice))
