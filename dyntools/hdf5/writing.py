"""From a report in memory to the groups of an HDF5 file; the layout is told in `hdf5`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import h5py
import numpy as np

from dyntools.log import Log
from dyntools.measurement import Status
from dyntools.report import CheckpointRow, Report, Series

GZIP_ABOVE = 16 * 1024  # bytes; below this a gzip chunk costs more than it saves (measured)
TEXT = h5py.string_dtype()
PLAIN = (bool, int, float, str)  # attributes stored as they are; the others as JSON text


def write_report(file: h5py.File, report: Report) -> None:
    given = {k: v for k, v in report.attributes.items() if k not in ("schema", "schema_version")}
    for key, value in given.items():
        file.attrs[key] = value if isinstance(value, PLAIN) else json.dumps(value)
    file.attrs["json_attributes"] = [k for k, v in given.items() if not isinstance(v, PLAIN)]
    if report.log is not None:
        _write_log(file.create_group("log", track_order=True), report.log)
    metrics = file.create_group("metrics", track_order=True)
    for name, series in report.series.items():
        _write_series(metrics.create_group(name, track_order=True), series)
    _write_table(
        file.create_group("checkpoints", track_order=True),
        "checkpoint",
        {
            field.name: [getattr(row, field.name) for row in report.checkpoints]
            for field in fields(CheckpointRow)
        },
    )
    _write_table(file.create_group("notes"), "note", {"sentence": list(report.notes)})


def _write_series(group: h5py.Group, series: Series) -> None:
    for key in ("metric", "group", "version", "unit", "what", "paper", "step_unit"):
        group.attrs[key] = getattr(series, key)
    group.attrs["settings"] = json.dumps(dict(series.settings))
    group.attrs["dims"] = json.dumps(list(series.dims))
    scales = [_scale(group, "step", series.steps)]
    scales[0].attrs["units"] = series.step_unit
    scales += [_scale(group, dim, series.coords[dim]) for dim in series.dims]
    name = series.metric
    values = _variable(group, name, series.values, scales)
    values.attrs["units"] = series.unit
    values.attrs["long_name"] = series.what
    values.attrs["metric_version"] = series.version
    if series.error is not None:
        error = _variable(group, f"{name}_error", series.error, scales)
        error.attrs["units"] = series.unit
    status = _variable(group, f"{name}_status", series.status, scales)
    status.attrs["flag_values"] = np.array([s.value for s in Status], dtype=np.int8)
    status.attrs["flag_meanings"] = " ".join(s.name for s in Status)
    group.attrs["beside"] = json.dumps(list(series.beside))
    for key, array in series.beside.items():
        _variable(group, f"{name}_{key}", array, scales)
    _variable(group, "seconds", series.seconds, scales[:1]).attrs["units"] = "s"
    _variable(group, "matvecs", series.matvecs, scales[:1])
    _variable(group, "method", series.method, scales[:1])
    if series.omissions:
        _write_table(
            group,
            "omission",
            {
                "omitted_entry": [o.entry for o in series.omissions],
                "omitted_reason": [o.reason for o in series.omissions],
                "omitted_steps": [json.dumps(list(o.steps)) for o in series.omissions],
            },
        )


def _write_log(group: h5py.Group, log: Log) -> None:
    for key in ("sources", "formats", "notes"):
        group.attrs[key] = json.dumps(list(getattr(log, key)))
    roles = {name: role.value for role, name in log.roles.items()}
    for i, curve in enumerate(log.curves.values()):
        one = group.create_group(str(i), track_order=True)
        one.attrs["name"], one.attrs["unit"] = curve.name, curve.unit
        one.attrs["source"], one.attrs["role"] = curve.source, roles.get(curve.name, "")
        scale = _scale(one, "step", curve.steps)
        _variable(one, "value", curve.values, [scale])
        if curve.wall is not None:
            _variable(one, "wall_time", curve.wall, [scale]).attrs["units"] = (
                "seconds since 1970-01-01"
            )


def _write_table(group: h5py.Group, dim: str, columns: Mapping[str, Sequence[Any]]) -> None:
    length = len(next(iter(columns.values())))
    scale = _scale(group, dim, np.arange(length))
    for name, column in columns.items():
        # A checkpoint without a known step is NaN, which makes its column one of floats.
        numbers = [np.nan if x is None else float(x) for x in column] if name == "step" else None
        _variable(group, name, column if numbers is None else np.array(numbers), [scale])


def _scale(group: h5py.Group, name: str, labels: Any) -> h5py.Dataset:
    dataset = _dataset(group, name, labels)
    dataset.make_scale(name)
    return dataset


def _variable(
    group: h5py.Group, name: str, array: Any, scales: Sequence[h5py.Dataset]
) -> h5py.Dataset:
    dataset = _dataset(group, name, array)
    for axis, scale in enumerate(scales):
        dataset.dims[axis].attach_scale(scale)
    return dataset


def _dataset(group: h5py.Group, name: str, content: Any) -> h5py.Dataset:
    if isinstance(content, np.ndarray):
        array, dtype = content, content.dtype
    elif all(isinstance(x, str) for x in content):
        array, dtype = np.array(list(content), dtype=object), TEXT
    else:
        array = np.array(list(content))
        dtype = array.dtype
    filters: dict[str, Any] = {}
    if array.size and dtype is not TEXT:  # HDF5 filters neither empty nor variable-length data
        filters["fletcher32"] = True
        if array.nbytes > GZIP_ABOVE:
            filters.update(compression="gzip", shuffle=True)
    return group.create_dataset(name, data=array, dtype=dtype, **filters)
