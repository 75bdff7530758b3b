"""Compared: one metric of several sides, entry by entry, at any of the places they share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dyntools.checks.error_kinds import EXACT, is_bound
from dyntools.checks.significance import LEVEL
from dyntools.checks.training_end import end_of
from dyntools.comparison.alignment import Alignment, By, align
from dyntools.comparison.companion import series_of
from dyntools.comparison.differing import Column, Difference, Number, decided, differences
from dyntools.comparison.entries import (
    Label,
    counted,
    flat,
    labels_of,
    matched,
    names_of_entries,
    place_of,
)
from dyntools.comparison.likeness import reasons_of
from dyntools.comparison.side import Side
from dyntools.errors import ReportError, nearest
from dyntools.report import Report, Series

NEAREST = 3  # steps that a person is told who asked for another; chosen: one line


@dataclass(frozen=True)
class Row:
    """One entry. numbers: one a side. differences: of each side behind the first from it."""

    entry: str
    numbers: tuple[Number, ...]
    differences: tuple[Difference, ...]

    @property
    def spread(self) -> float:
        """(largest - smallest) / mean of |values|: needs no unit and favours no side; 0 where all
        are equal, 2 where two have opposite signs; NaN where fewer than two are known."""
        known = [number.value for number in self.numbers if math.isfinite(number.value)]
        scale = sum(map(abs, known)) / max(len(known), 1)
        if len(known) < 2:
            return math.nan
        return 0.0 if scale == 0 else (max(known) - min(known)) / scale


@dataclass(frozen=True, eq=False)
class Compared:
    """A metric side by side: R reports of C sides at P places, n entries that all of them have.

    sides: heads of the columns; without: of the sides that lack the metric. owner (R,): the side of
    each report. values, errors, status (R, P, n); errors are NaN where none is known.
    reasons (C, n): why an entry of a side must not be tested against the first, "" where it may.
    only: entry → sides that have it, of those that not all have. counted: see `entries.counted`.
    level: of the tests.
    """

    metric: str
    unit: str
    what: str
    paper: str
    sides: tuple[str, ...]
    without: tuple[str, ...]
    alignment: Alignment
    entries: tuple[str, ...]
    owner: NDArray[np.intp]
    values: NDArray[np.float64]
    errors: NDArray[np.float64]
    status: NDArray[np.int8]
    bound: bool
    reasons: tuple[tuple[str, ...], ...]
    only: Mapping[str, tuple[str, ...]]
    counted: bool
    level: float = LEVEL

    @property
    def last(self) -> int:
        """The last place."""
        return len(self.alignment.places) - 1

    @property
    def grouped(self) -> bool:
        """Whether a side has several reports."""
        return len(self.owner) > len(self.sides)

    def column(self, side: int, place: int) -> Column:
        """The numbers of a side at a place."""
        at = (np.flatnonzero(self.owner == side), place)
        return Column(self.values[at], self.errors[at], self.status[at], self.bound)

    def course(self, side: int, entry: int) -> Column:
        """The numbers of a side for one entry, a column a place."""
        at = (np.flatnonzero(self.owner == side), slice(None), entry)
        return Column(self.values[at], self.errors[at], self.status[at], self.bound)

    def rows(self, place: int) -> tuple[Row, ...]:
        """All entries at a place, in the order of the first side."""
        columns = [self.column(side, place) for side in range(len(self.sides))]
        numbers = [column.numbers() for column in columns]
        apart = self.alignment.apart(place)
        against = [
            decided(differences(columns[0], column, [x or apart for x in reasons]), self.level)
            for column, reasons in zip(columns[1:], self.reasons[1:], strict=True)
        ]
        return tuple(
            Row(entry, tuple(of[i] for of in numbers), tuple(of[i] for of in against))
            for i, entry in enumerate(self.entries)
        )

    def place(self, step: int | None) -> int:
        """The place of a step, the last one for None. Raises ReportError."""
        if step is None:
            return self.last
        at = np.flatnonzero(self.alignment.places == step)
        if self.alignment.by is not By.step or not len(at):
            raise ReportError(
                f"{self.metric} is not compared at step {step}.", remedy=self._beside(step)
            )
        return int(at[0])

    def _beside(self, step: int) -> str:
        """What can be asked for instead of a step: the nearest three, in their order."""
        if self.alignment.by is not By.step:
            return f"leave out --step: the last place is {self.alignment.at(self.last)}"
        near = np.argsort(np.abs(self.alignment.places - step), kind="stable")[:NEAREST]
        return ", ".join(f"--step {self.alignment.places[i]:.0f}" for i in np.sort(near))


def compare(
    sides: Sequence[Side], metric: str, by: By | None = None, level: float = LEVEL
) -> Compared:
    """Set a metric, or a companion written METRIC.COMPANION, of several sides side by side.

    Raises ReportError where fewer than two sides have it, or where they have no entry in common.
    """
    name = metric.partition(".")[0]
    having = [side for side in sides if side.all(name)]
    if len(having) < 2:
        raise _too_few(sides, having, metric)
    owned = _owned(having, metric)
    all_series = [series for _, _, series in owned]
    _same_axes(metric, all_series)
    files = [file for side in having for file, r in side.read if name in r.series]
    alignment = align(all_series, [end_of(report, s) for _, report, s in owned], by, files)
    owners = [having[i].name for i, _, _ in owned]
    found = matched(owners, [labels_of(series) for series in all_series])
    texts = names_of_entries(all_series[0].dims, [*found.common, *found.only])
    only = {texts[label]: tuple(dict.fromkeys(who)) for label, who in found.only.items()}
    if not found.common:
        raise _nothing_common(metric, only)
    values, errors, status = _picked(all_series, alignment, found.common)
    first = all_series[0]
    return Compared(
        metric=metric,
        unit=first.unit,
        what=first.what,
        paper=first.paper,
        sides=tuple(side.name for side in having),
        without=tuple(side.name for side in sides if side not in having),
        alignment=alignment,
        entries=tuple(texts[label] for label in found.common),
        owner=np.array([i for i, _, _ in owned]),
        values=values,
        errors=errors,
        status=status,
        only=only,
        counted=counted(found.common),
        bound=is_bound(name),
        reasons=reasons_of(having, metric, found.common),
        level=level,
    )


def _owned(having: Sequence[Side], metric: str) -> list[tuple[int, Report, Series]]:
    """Every report that has the metric, with the place of its side."""
    name = metric.partition(".")[0]
    return [
        (i, report, series_of(report, metric))
        for i, side in enumerate(having)
        for report in side.reports
        if name in report.series
    ]


def metrics_of(sides: Sequence[Side]) -> tuple[str, ...]:
    """The metrics that at least two sides have, in the order of the first report that has them."""
    names = dict.fromkeys(n for side in sides for report in side.reports for n in report.series)
    return tuple(name for name in names if sum(bool(s.all(name)) for s in sides) > 1)


def _picked(
    all_series: Sequence[Series], alignment: Alignment, common: Sequence[Label]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int8]]:
    """values, errors, status of the aligned rows and the common entries, (R, P, n) each."""
    parts = []
    for series, rows in zip(all_series, alignment.rows, strict=True):
        place = place_of(series)
        at = np.ix_(rows, np.array([place[label] for label in common]))
        values = flat(series, series.values)[at]
        if series.error is not None:
            error = flat(series, series.error)[at]
        else:
            exact = series.metric.partition(".")[0] in EXACT
            error = np.full(values.shape, 0.0 if exact else np.nan)
        parts.append((values, error, series.status.reshape(len(series.steps), -1)[at]))
    values, errors, status = zip(*parts, strict=True)
    return np.stack(values), np.stack(errors), np.stack(status)


def _same_axes(metric: str, all_series: Sequence[Series]) -> None:
    axes = dict.fromkeys(series.dims for series in all_series)
    if len(axes) > 1:
        raise ReportError(
            f"{metric} has other axes in one report than in another.",
            found="; ".join(" × ".join(("step", *dims)) for dims in axes),
            remedy="measure both with the same settings and version",
        )


def _nothing_common(metric: str, only: Mapping[str, Sequence[str]]) -> ReportError:
    having = [f"{', '.join(who)}: {entry}" for entry, who in only.items()]
    return ReportError(
        f"The reports have no entry of {metric} in common.",
        found="; ".join(having[:4]),
        remedy="compare runs of one model, or a metric without layers",
    )


def _too_few(sides: Sequence[Side], having: Sequence[Side], metric: str) -> ReportError:
    name = metric.partition(".")[0]
    known = {n for side in sides for report in side.reports for n in report.series}
    if not having:
        return ReportError(f"No report holds a metric {name!r}.", remedy=nearest(name, known))
    shared = nearest(name, metrics_of(sides))
    return ReportError(
        f"Only {having[0].name} holds {name}; there is nothing to compare it with.",
        remedy=f"metrics that two have: {shared}" if shared else "analyze both with one preset",
    )
