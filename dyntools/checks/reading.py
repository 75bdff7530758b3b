"""Reading: the quantities that a limit is on, off the reports of one side."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dyntools.checks.comparable import unlike
from dyntools.checks.error_kinds import EXACT, has_error, is_bound
from dyntools.checks.limit import Limit
from dyntools.checks.quantity import Quantity, Sample
from dyntools.checks.reduction import Reduced, reduced
from dyntools.checks.selection import places, text_of
from dyntools.checks.tensor_shapes import Labels, reshaped, shape_of
from dyntools.checks.training_end import end_of
from dyntools.errors import UsageError, nearest
from dyntools.measurement import Status
from dyntools.report import Report, Series

ABSENT = Sample(float("nan"), status=Status.absent)


def read_off(reports: Sequence[Report], limit: Limit) -> dict[str, Quantity]:
    """One quantity for each entry the limit is on, by its key, with a sample for each report.

    A report without the metric, or without the entry, gives an absent sample. Raises UsageError for
    a companion or a dim that the metric does not have.
    """
    parts = [_of_report(report, limit) for report in reports]
    held = [part for part in parts if part is not None]
    if not held:
        return {}
    reasons = (unlike(held[0].about, part.about, ("in one", "in another")) for part in held[1:])
    mixed = next((reason for reason in reasons if reason), "")
    nothing: dict[Labels, Sample] = {}
    by_report = [nothing if part is None else part.entries for part in parts]
    about = {field.name: getattr(held[0].about, field.name) for field in fields(Quantity)}
    about["ends"] = tuple(None if part is None else part.about.ends[0] for part in parts)
    all_shapes = [part.shapes for part in held]
    quantities = {}
    for labels in dict.fromkeys(entry for part in held for entry in part.entries):
        about["labels"] = labels
        about["samples"] = tuple(entries.get(labels, ABSENT) for entries in by_report)
        about["shape"] = shape_of(all_shapes, labels)
        about["mixed"] = mixed or reshaped(all_shapes, labels)
        quantity = Quantity(**about)
        quantities[quantity.key] = quantity
    return quantities


@dataclass(frozen=True, eq=False)
class Part:
    """What one report holds: a quantity without an entry, and the sample of each entry."""

    about: Quantity
    entries: dict[Labels, Sample]
    shapes: Mapping[str, Sequence[int]]


def _of_report(report: Report, limit: Limit) -> Part | None:
    series = report.series.get(limit.metric)
    if series is None:
        return None
    positions = places(series.dims, series.coords, limit)
    labels = [
        [(dim, text_of(series.coords[dim][i])) for i in at]
        for dim, at in zip(series.dims, positions, strict=True)
    ]
    samples = _samples(series, limit, positions)
    entries = {
        entry: sample
        for entry, sample in zip(product(*labels), samples, strict=True)
        if sample is not None
    }
    about = _about(series, limit, int(end_of(report, series)))
    return Part(about, entries, report.shapes)


def _about(series: Series, limit: Limit, end: int) -> Quantity:
    given = {key: value for key, value in series.settings.items() if key != "probe"}
    unit = "" if limit.companion else series.unit
    return Quantity(
        metric=series.metric,
        companion=limit.companion,
        labels=(),
        reduction=limit.reduction,
        samples=(),
        unit=f"{unit} per {series.step_unit}".strip() if limit.reduction == "slope" else unit,
        version=series.version,
        settings=json.loads(json.dumps(given)),  # as a baseline file holds them: no tuples
        step_unit=series.step_unit,
        probe=str(series.settings.get("probe", "")),
        ends=(end,),
    )


def _samples(series: Series, limit: Limit, positions: list[list[int]]) -> list[Sample | None]:
    """In the order of the product of the positions; None for a place that is absent at all steps.

    Such places are not entries: two dims need not cross everywhere, as layers and their axes.
    """

    def flat(array: NDArray[Any]) -> NDArray[Any]:
        for axis, at in enumerate(positions, start=1):
            array = np.take(array, at, axis=axis)
        return array.reshape(len(array), math.prod(array.shape[1:]))

    values, error = _numbers(series, limit)
    values, status = flat(values), flat(series.status)
    errors = np.full(values.shape, np.nan) if error is None else flat(error)
    if limit.metric in EXACT or (
        error is None and (limit.companion or not has_error(limit.metric))
    ):
        errors = np.nan_to_num(errors, nan=0.0)
    tried = (status != Status.skipped) & (status != Status.absent)
    usable = tried & (status != Status.failed) & np.isfinite(values)
    taken = _rows_taken(series, limit.reduction, tried, usable)
    steps = series.steps.astype(np.float64)
    bound = is_bound(limit.metric)
    name = "last" if limit.reduction.isdigit() else limit.reduction
    numbers = reduced(name, steps, values, usable & taken, errors, bound)
    missed = _behind_the_first(usable, tried & ~usable) & taken
    # A skipped row behind the last that was tried is one that `last` would have taken.
    meant = np.logical_or.accumulate(taken, axis=0) if limit.reduction == "last" else taken
    skipped = _behind_the_first(usable, ~tried) & meant
    samples = _as_samples(series, numbers, status, usable & taken, missed, skipped)
    there = (status != Status.absent).any(axis=0)
    return [sample if held else None for sample, held in zip(samples, there, strict=True)]


def _numbers(
    series: Series, limit: Limit
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    if not limit.companion:
        return series.values, series.error
    return companion_of(series, limit.companion, where=str(limit))


def companion_of(
    series: Series, name: str, *, where: str | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Values and errors of a companion, whose errors stand under NAME_error; None without them.

    Raises UsageError for a companion that the metric does not have. where: what asked for it.
    """
    if name not in series.beside:
        raise UsageError(
            f"{series.metric} has no companion {name!r}.",
            where=where,
            remedy=nearest(name, series.beside) or f"{series.metric} alone, which has none",
        )
    return series.beside[name], series.beside.get(f"{name}_error")


def without_error(reports: Sequence[Report], limit: Limit) -> bool:
    """Whether the limit is on a companion without an error, of a metric that is not exact."""
    if not limit.companion or not has_error(limit.metric):
        return False
    having = (r.series[limit.metric] for r in reports if limit.metric in r.series)
    return any(f"{limit.companion}_error" not in series.beside for series in having)


def _rows_taken(
    series: Series, reduction: str, tried: NDArray[np.bool_], usable: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """The rows that count, (S, E): all, or one for `last`, `first` and a step.

    The last is the last that was tried, with or without a number: to fall back on the one before
    would let a run pass that diverged at the end.
    """
    taken = np.zeros(tried.shape, dtype=bool)
    rows = len(series.steps)
    columns = np.arange(tried.shape[1])
    if reduction.isdigit():
        taken[series.steps == int(reduction)] = True
    elif reduction == "last" and rows:
        taken[rows - 1 - np.argmax(tried[::-1], axis=0), columns] = True
    elif reduction == "first" and rows:
        taken[np.argmax(usable, axis=0), columns] = True
    else:
        taken[:] = True
    return taken


def _behind_the_first(usable: NDArray[np.bool_], without: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Those without a number behind the first number: before it there may be too few points."""
    begun = np.logical_or.accumulate(usable, axis=0) | ~usable.any(axis=0)
    return np.asarray(without & begun)


def _as_samples(
    series: Series,
    numbers: Reduced,
    status: NDArray[np.int8],
    used: NDArray[np.bool_],
    missed: NDArray[np.bool_],
    skipped: NDArray[np.bool_],
) -> list[Sample]:
    seen: dict[bytes, tuple[int, ...]] = {}

    def steps_of(mask: NDArray[np.bool_]) -> tuple[int, ...]:
        key = mask.tobytes()
        if key not in seen:
            seen[key] = tuple(series.steps[mask].tolist())
        return seen[key]

    codes = _statuses(numbers, status, used, missed)
    rows = zip(
        *(array.tolist() for array in (numbers.values, numbers.bounds, numbers.standard_errors)),
        codes.tolist(),
        *(mask.T.copy() for mask in (used, missed, skipped)),
        strict=True,
    )
    return [
        Sample(value, bound, standard_error, Status(code), *(steps_of(mask) for mask in masks))
        for value, bound, standard_error, code, *masks in rows
    ]


def _statuses(
    numbers: Reduced, status: NDArray[np.int8], used: NDArray[np.bool_], missed: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """One code an entry: of the number if there is one, else why there is none."""
    unconverged = (used & (status == Status.unconverged)).any(axis=0)
    skipped = (status == Status.skipped).any(axis=0)
    without = np.where(
        missed.any(axis=0) | used.any(axis=0),
        Status.failed,
        np.where(skipped, Status.skipped, Status.absent),
    )
    found = np.where(unconverged, Status.unconverged, Status.ok)
    return np.where(np.isnan(numbers.values), without, found).astype(np.int64)
