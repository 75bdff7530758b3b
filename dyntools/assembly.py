"""Assembly: measurements, one a step, become series; the parts of shards, a report.

Layers may come and go along a run. A series has the union of all labels, in the order in which they
first appear, and what a step did not hold is NaN with the status `absent`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dyntools.errors import ReportError
from dyntools.journal import Row
from dyntools.measurement import Coordinate, Measurement, Status
from dyntools.report import Omission, Report, Series


def stack_layers(parts: Sequence[Measurement], dims: tuple[str, ...]) -> Measurement:
    """Measurements of single tensors, joined along the first of `dims`.

    The other dims have the union of all labels; what a tensor does not have is `absent`, as the
    axes 2 and 3 of a matrix beside a convolution.
    Methods are joined with the number of layers that each served.
    """
    filled = [part for part in parts if part.values.size]
    skipped = {entry: reason for part in parts for entry, reason in part.skipped.items()}
    if not filled:
        empty: Mapping[str, Coordinate] = dict.fromkeys(dims, ())
        return Measurement(np.empty((0,) * len(dims)), dims, empty, skipped=skipped)
    coords = {dim: _union(part.coords[dim] for part in filled) for dim in dims}
    coords[dims[0]] = tuple(x for p in filled for x in p.coords[dims[0]])  # type: ignore[assignment]
    keys = dict.fromkeys(key for part in filled for key in part.beside)

    def joined(arrays: Iterable[NDArray[Any] | None], fill: float) -> NDArray[np.float64]:
        pairs = zip(arrays, filled, strict=True)
        return np.concatenate([_widened(part, array, coords, fill) for array, part in pairs])

    return Measurement(
        joined((part.values for part in filled), np.nan),
        dims,
        coords,
        error=(
            joined((part.error for part in filled), np.nan)
            if any(part.error is not None for part in filled)
            else None
        ),
        status=joined((part.status for part in filled), Status.absent).astype(np.int8),
        beside={key: joined((p.beside.get(key) for p in filled), np.nan) for key in keys},
        skipped=skipped,
        method=_joined_methods(filled),
        matvecs=sum(part.matvecs for part in filled),
    )


def _widened(
    part: Measurement,
    array: NDArray[Any] | None,
    coords: Mapping[str, Coordinate],
    fill: float,
) -> NDArray[np.float64]:
    """An array of a part over all labels of the dims behind the first; `fill` where it has none."""
    first, *rest = part.dims
    if array is not None and all(part.coords[dim] == coords[dim] for dim in rest):
        return array
    out = np.full([len(part.coords[first]), *(len(coords[dim]) for dim in rest)], fill)
    if array is not None:
        places = [[coords[dim].index(x) for x in part.coords[dim]] for dim in rest]
        out[np.ix_(range(len(out)), *places)] = array
    return out


def _joined_methods(parts: Sequence[Measurement]) -> str:
    counts: dict[str, int] = {}
    for part in parts:
        counts[part.method] = counts.get(part.method, 0) + part.values.shape[0]
    if len(counts) <= 1:
        return next(iter(counts), "")
    return "; ".join(f"{method} ({n} layers)" for method, n in counts.items() if method)


def series_of(entry: Mapping[str, Any], rows: Sequence[Row]) -> Series:
    """One metric along its steps. `entry` is its line in the plan (`Task.entry`)."""
    rows = sorted(rows, key=lambda row: row.step)
    dims = tuple(entry["dims"])
    filled = [row.measurement for row in rows if row.measurement.dims == dims]
    coords = {dim: _union(part.coords[dim] for part in filled) for dim in dims}
    shape = (len(rows), *(len(coords[dim]) for dim in dims))
    positions = {dim: {x: i for i, x in enumerate(labels)} for dim, labels in coords.items()}

    def laid_out(arrays: Iterable[NDArray[Any] | None], fill: float) -> NDArray[np.float64]:
        out = np.full(shape, fill, dtype=np.float64)
        for i, (row, array) in enumerate(zip(rows, arrays, strict=True)):
            part = row.measurement
            if array is None or part.dims != dims:
                continue
            where: tuple[Any, ...] = np.ix_(
                *([positions[dim][x] for x in part.coords[dim]] for dim in dims)
            )
            out[(i, *where)] = array
        return out

    parts = [row.measurement for row in rows]
    keys = dict.fromkeys(key for part in parts for key in part.beside)
    has_error = any(part.error is not None for part in parts)
    return Series(
        metric=entry["metric"],
        group=entry["group"],
        version=entry["version"],
        unit=entry["unit"],
        what=entry["what"],
        paper=entry["paper"],
        settings=entry["settings"],
        step_unit=entry["step_unit"],
        steps=np.array([row.step for row in rows], dtype=np.int64),
        dims=dims,
        coords=coords,
        values=laid_out((part.values for part in parts), np.nan),
        error=laid_out((part.error for part in parts), np.nan) if has_error else None,
        status=laid_out((part.status for part in parts), Status.absent).astype(np.int8),
        beside={key: laid_out((p.beside.get(key) for p in parts), np.nan) for key in keys},
        seconds=np.array([row.seconds for row in rows]),
        matvecs=np.array([part.matvecs for part in parts], dtype=np.int64),
        method=tuple(part.method for part in parts),
        omissions=_omissions(rows),
    )


def _union(labels: Iterable[Coordinate]) -> Coordinate:
    return tuple(dict.fromkeys(x for part in labels for x in part))  # type: ignore[return-value]


def _omissions(rows: Sequence[Row]) -> tuple[Omission, ...]:
    steps: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        for entry, reason in row.measurement.skipped.items():
            steps.setdefault((entry, reason), []).append(row.step)
    return tuple(Omission(entry, reason, tuple(at)) for (entry, reason), at in steps.items())


def merge(reports: Sequence[Report]) -> Report:
    """The parts of a sharded analysis as one report.

    Raises ReportError when the parts do not come from the same run, metrics and settings, or when
    one is missing or given twice.
    """
    first = reports[0]
    for other in reports[1:]:
        _check_same_analysis(first, other)
    _check_complete([str(report.attributes.get("shard", "")) for report in reports])
    names = dict.fromkeys(name for report in reports for name in report.series)
    series = {}
    for name in names:
        of_metric = [report.series[name] for report in reports if name in report.series]
        rows = {row.step: row for part in of_metric for row in _rows_of(part)}
        series[name] = series_of(_entry_of(of_metric[0]), list(rows.values()))
    checkpoints = {row.path: row for report in reports for row in report.checkpoints}
    return Report(
        attributes={**first.attributes, "shard": ""},
        series=series,
        checkpoints=tuple(checkpoints.values()),
        log=next((report.log for report in reports if report.log is not None), None),
        notes=tuple(dict.fromkeys(note for report in reports for note in report.notes)),
    )


def _check_same_analysis(first: Report, other: Report) -> None:
    for key in ("run", "identity"):
        if first.attributes.get(key) != other.attributes.get(key):
            raise ReportError(
                "These parts come from different analyses and cannot be merged.",
                found=f"{key}: {first.attributes.get(key)!r} and {other.attributes.get(key)!r}",
                remedy="merge the parts of one `dyntools analyze RUN --shard i/n`",
            )


def _check_complete(shards: Sequence[str]) -> None:
    """`shards` are all of "1/n" … "n/n", each once."""
    wanted = [f"{i + 1}/{len(shards)}" for i in range(len(shards))]
    if sorted(shards) != sorted(wanted):
        raise ReportError(
            "These are not all the parts of one analysis, each once.",
            found="shards " + ", ".join(shard or "none" for shard in shards),
            remedy="give every part that `dyntools analyze RUN --shard i/n` wrote",
        )


def _entry_of(series: Series) -> dict[str, Any]:
    fields = ("metric", "group", "version", "unit", "what", "paper", "settings", "step_unit")
    return {**{name: getattr(series, name) for name in fields}, "dims": series.dims}


def _rows_of(series: Series) -> Iterable[Row]:
    for i, step in enumerate(series.steps.tolist()):
        measurement = Measurement(
            series.values[i],
            series.dims,
            series.coords,
            error=None if series.error is None else series.error[i],
            status=series.status[i],
            beside={key: array[i] for key, array in series.beside.items()},
            skipped={o.entry: o.reason for o in series.omissions if step in o.steps},
            method=series.method[i],
            matvecs=int(series.matvecs[i]),
        )
        yield Row(series.metric, step, float(series.seconds[i]), measurement)
