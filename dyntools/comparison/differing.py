"""Differing: the numbers of one side against those of the first, entry by entry.

One report a side: the change d has the bounds b of both numbers and the standard error s of both,
and "no change" is tested by |d| - b against s. Several seeds a side: a permutation test of the
difference in means; one report against several seeds: Student's prediction. Holm over the entries.
The statistics are those of `checks.significance`, with a tolerance of zero and Holm alone: a check,
which exchanges whole reports where Holm leaves no room, can see more with few seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from dyntools.checks.permutations import smallest_p
from dyntools.checks.significance import (
    LEVEL,
    Tested,
    holm,
    of_error_bars,
    of_prediction,
    of_seeds,
)
from dyntools.measurement import Status

MEASURED = (Status.ok, Status.unconverged)
Floats = NDArray[np.float64]


class Outcome(StrEnum):
    """What is known of a difference."""

    differs = "differs"  # more than the errors, or the seeds, explain
    within = "within"  # not more than these explain
    too_few = "too few"  # so few seeds for so many tests that no difference could have shown
    untested = "not tested"  # no error is known, or the numbers are not comparable


@dataclass(frozen=True)
class Number:
    """value: of a report, or the mean over seeds; NaN with a status where there is none.

    error: what the value may be off by, or the standard error of the mean over seeds; NaN if
    unknown. samples: how many reports it is the mean of.
    """

    value: float
    error: float = math.nan
    status: Status = Status.ok
    samples: int = 1


@dataclass(frozen=True)
class Difference:
    """Of a side from the first. change: other - first, in the unit of the metric.

    relative: change / |first|. uncertainty: bounds and one standard error of the change. p: of no
    change; p_adjusted: by Holm over the entries; floor: the smallest p that so few seeds can
    give. effect: Cliff's delta of the seeds, -1 … 1. samples: seeds of the first and this side.
    why: for what is not tested, a sentence.
    """

    change: float
    relative: float
    uncertainty: float = math.nan
    p: float = math.nan
    p_adjusted: float = math.nan
    floor: float = 0.0
    effect: float = math.nan
    samples: tuple[int, int] = (1, 1)
    outcome: Outcome = Outcome.untested
    why: str = ""


@dataclass(frozen=True, eq=False)
class Column:
    """One side: r reports, n entries. values, errors, status (r, n); errors NaN where unknown.

    bound: whether an error holds for certain, else it is one standard error.
    """

    values: Floats
    errors: Floats
    status: NDArray[np.int8]
    bound: bool

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Where there is a number, (r, n)."""
        return np.isfinite(self.values) & np.isin(self.status, MEASURED)

    @property
    def means(self) -> Floats:
        """Over the reports that have a number, (n,); NaN where none has."""
        return _mean(self.values, self.usable)

    def numbers(self) -> list[Number]:
        """One an entry."""
        if len(self.values) == 1:
            one = zip(self.values[0], self.errors[0], self.status[0], strict=True)
            return [Number(float(v), float(e), Status(int(s))) for v, e, s in one]
        usable = self.usable
        count = usable.sum(axis=0)
        squares = np.where(usable, (self.values - self.means) ** 2, 0.0).sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            errors = np.where(count > 1, np.sqrt(squares / (count - 1) / count), np.nan)
        status = np.where(count > 0, Status.ok, self.status[0])
        columns = zip(self.means, errors, status, count, strict=True)
        return [Number(float(v), float(e), Status(int(s)), int(n)) for v, e, s, n in columns]


def differences(first: Column, other: Column, reasons: Sequence[str]) -> list[Difference]:
    """Of two sides, each entry tested alone; see `decided`.

    reasons (n,): why an entry is not comparable, "" where it is.
    """
    with np.errstate(invalid="ignore"):
        change = other.means - first.means
    said = _said(first, other, reasons)
    kept = np.array([not sentence for sentence in said], dtype=bool)
    tested = _tested(_at(first, kept), _at(other, kept), change[kept])
    numbers = iter(zip(tested.p, tested.scatter, tested.effect, strict=True))
    seeds = (len(first.values), len(other.values))
    floor = smallest_p(*seeds, two_sided=True) if min(seeds) > 1 else 0.0
    found = []
    for size, start, bound, sentence in zip(
        change.tolist(), first.means.tolist(), _bounds(first, other).tolist(), said, strict=True
    ):
        one = Difference(size, _relative(size, start), samples=seeds, why=sentence)
        if not sentence:
            p, scatter, effect = map(float, next(numbers))
            one = replace(one, uncertainty=bound + scatter, p=p, floor=floor, effect=effect)
        found.append(one)
    return found


def decided(found: Sequence[Difference], level: float = LEVEL) -> list[Difference]:
    """Each with its p adjusted over all that were tested (Holm 1979), and what follows from it."""
    p = np.array([one.p for one in found])
    tested = np.isfinite(p)
    adjusted = holm(p, tested).tolist()
    count = int(tested.sum())
    return [
        replace(one, p_adjusted=a, outcome=_outcome(one, a, count, level))
        for one, a in zip(found, adjusted, strict=True)
    ]


def _outcome(one: Difference, adjusted: float, count: int, level: float) -> Outcome:
    if one.why:
        return Outcome.untested
    if adjusted <= level:
        return Outcome.differs
    return Outcome.too_few if one.floor * count > level else Outcome.within


def _said(first: Column, other: Column, reasons: Sequence[str]) -> list[str]:
    """Why each entry is not tested, "" where it is."""
    single = len(first.values) == len(other.values) == 1
    missing = "One of the two has no number." if single else "Not every seed has a number."
    usable = np.concatenate([first.usable, other.usable]).min(axis=0).tolist()
    unknown = np.isnan(first.errors[0] + other.errors[0]).tolist()
    said = []
    for reason, whole, blind in zip(reasons, usable, unknown, strict=True):
        said.append(reason or ("" if whole else missing))
        if not said[-1] and single and blind:
            said[-1] = "No error is known."
    return said


def _tested(first: Column, other: Column, change: Floats) -> Tested:
    """The test that the numbers of reports allow."""
    n, m = len(first.values), len(other.values)
    both = np.zeros(change.shape, dtype=np.int8)
    none = np.zeros(change.shape)
    if n > 1 and m > 1:
        return of_seeds(first.values, other.values, none, both)
    if n > 1 or m > 1:
        return of_prediction(change, none, first.values if n > 1 else other.values, 1, both)
    scatter = none if first.bound else np.hypot(first.errors[0], other.errors[0])
    return of_error_bars(change, _bounds(first, other), scatter, both)


def _bounds(first: Column, other: Column) -> Floats:
    """What both numbers may be off by for certain, (n,); the scatter of seeds holds it already."""
    if len(first.values) > 1 or len(other.values) > 1 or not first.bound:
        return np.zeros(first.values.shape[1])
    return np.asarray(first.errors[0] + other.errors[0])


def _at(column: Column, kept: NDArray[np.bool_]) -> Column:
    return Column(
        column.values[:, kept], column.errors[:, kept], column.status[:, kept], column.bound
    )


def _mean(values: Floats, usable: NDArray[np.bool_]) -> Floats:
    count = usable.sum(axis=0)
    total = np.where(usable, values, 0.0).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(count > 0, total / count, np.nan))


def _relative(change: float, first: float) -> float:
    if change == 0:
        return 0.0
    return change / abs(first) if first else math.copysign(math.inf, change)
