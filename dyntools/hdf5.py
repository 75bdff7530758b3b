"""HDF5: the sealed report file; written whole or not at all, read back as a `Report`.

Layout (docs/reference/report-format.md is the full description):

    /                      attributes: provenance; `schema`, `schema_version`
    /metrics/<name>        <name> (step, …), <name>_error, <name>_status, <name>_<companion>,
                           seconds, matvecs, method, and the coordinates step, layer, …
    /log/<i>               one training curve: value (step), its name and role
    /checkpoints           one row per checkpoint found
    /notes                 sentences

Every axis is an HDF5 dimension scale, so xarray opens each group with h5netcdf and with netCDF4.
Scales stand in each group and none in the root, because groups have steps of their own. No float16
(it crashes netCDF4 readers), `fletcher32` against flipped bits, gzip where it pays.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from dyntools.errors import ReportError
from dyntools.log import Curve, Log, Role
from dyntools.measurement import Status
from dyntools.report import CheckpointRow, Omission, Report, Series

SCHEMA = "dyntools-report"
SCHEMA_VERSION = "1.0.0"  # semantic: readers accept every file of the same major version
GZIP_ABOVE = 16 * 1024  # bytes; below this a gzip chunk costs more than it saves (measured)
TEXT = h5py.string_dtype()
PLAIN = (bool, int, float, str)  # attributes stored as they are; the others as JSON text
JSON_ATTRIBUTES = "json_attributes"  # the root attribute that names those


def write(report: Report, path: Path) -> None:
    """Write `path` atomically: a temporary file beside it, fsync, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        with h5py.File(temporary, "w", track_order=True) as file:
            _write_report(file, report)
            file.flush()
        with open(temporary, "rb+") as raw:
            os.fsync(raw.fileno())
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise ReportError(
            "The report could not be written.", where=str(path), found=str(error)
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def read(path: Path) -> Report:
    """Read a report of this major schema version.

    Raises ReportError when the file is missing, no HDF5, truncated, damaged, or of another schema.
    """
    if not path.is_file():
        raise ReportError("There is no report here.", where=str(path), remedy=_MAKE_ONE)
    if not h5py.is_hdf5(path):
        size = path.stat().st_size
        raise ReportError(
            "This file is not HDF5.", where=str(path), found=f"{size} bytes", remedy=_MAKE_ONE
        )
    try:
        with h5py.File(path, "r") as file:
            _check_schema(file, path)
            return _read_report(file)
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise ReportError(
            "The report is truncated or damaged.",
            where=str(path),
            found=str(error).splitlines()[0],
            remedy=_MAKE_ONE,
        ) from error


_MAKE_ONE = "dyntools analyze RUN -o REPORT.h5"


def _check_schema(file: h5py.File, path: Path) -> None:
    schema, version = file.attrs.get("schema"), str(file.attrs.get("schema_version", ""))
    if schema != SCHEMA:
        raise ReportError(
            "This HDF5 file is not a dyntools report.",
            where=str(path),
            found=f"schema {schema!r}",
            remedy=_MAKE_ONE,
        )
    if version.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
        raise ReportError(
            "This report has a schema that this dyntools does not read.",
            where=str(path),
            found=f"schema_version {version}, this dyntools reads {SCHEMA_VERSION}",
            remedy="python -m pip install --upgrade dyntools",
        )


def _write_report(file: h5py.File, report: Report) -> None:
    file.attrs["schema"] = SCHEMA
    file.attrs["schema_version"] = SCHEMA_VERSION
    given = {k: v for k, v in report.attributes.items() if k not in ("schema", "schema_version")}
    for key, value in given.items():
        file.attrs[key] = value if isinstance(value, PLAIN) else json.dumps(value)
    file.attrs[JSON_ATTRIBUTES] = [k for k, v in given.items() if not isinstance(v, PLAIN)]
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
            _variable(one, "wall_time", curve.wall, [scale]).attrs["units"] = "seconds since 1970-01-01"


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


def _read_report(file: h5py.File) -> Report:
    return Report(
        attributes=_read_attributes(file),
        series={name: _read_series(group) for name, group in file["metrics"].items()},
        checkpoints=_read_checkpoints(file["checkpoints"]),
        log=_read_log(file["log"]) if "log" in file else None,
        notes=tuple(_texts(file["notes/sentence"])),
    )


def _read_attributes(file: h5py.File) -> dict[str, object]:
    encoded = set(file.attrs[JSON_ATTRIBUTES])
    return {
        key: json.loads(value) if key in encoded else _plain(value)
        for key, value in file.attrs.items()
        if key != JSON_ATTRIBUTES
    }


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _texts(dataset: h5py.Dataset) -> list[str]:
    return [str(text) for text in dataset.asstr()[()]]


def _labels(dataset: h5py.Dataset) -> tuple[Any, ...]:
    if h5py.check_string_dtype(dataset.dtype):
        return tuple(_texts(dataset))
    return tuple(dataset[()].tolist())


def _read_series(group: h5py.Group) -> Series:
    attributes = {key: _plain(value) for key, value in group.attrs.items()}
    name, dims = attributes["metric"], tuple(json.loads(attributes["dims"]))

    def array(key: str) -> NDArray[np.float64]:
        return np.asarray(group[key][()], dtype=np.float64)

    omissions: tuple[Omission, ...] = ()
    if "omitted_entry" in group:
        columns = (_texts(group[f"omitted_{key}"]) for key in ("entry", "reason", "steps"))
        omissions = tuple(
            Omission(entry, reason, tuple(json.loads(steps)))
            for entry, reason, steps in zip(*columns, strict=True)
        )
    return Series(
        metric=name,
        **{k: attributes[k] for k in ("group", "version", "unit", "what", "paper", "step_unit")},
        settings=json.loads(attributes["settings"]),
        steps=group["step"][()].astype(np.int64),
        dims=dims,
        coords={dim: _labels(group[dim]) for dim in dims},
        values=array(name),
        error=array(f"{name}_error") if f"{name}_error" in group else None,
        status=group[f"{name}_status"][()].astype(np.int8),
        beside={key: array(f"{name}_{key}") for key in json.loads(attributes["beside"])},
        seconds=array("seconds"),
        matvecs=group["matvecs"][()].astype(np.int64),
        method=tuple(_texts(group["method"])),
        omissions=omissions,
    )


def _read_log(group: h5py.Group) -> Log:
    curves, roles = {}, {}
    for one in group.values():
        name = str(one.attrs["name"])
        curves[name] = Curve(
            name=name,
            steps=one["step"][()].astype(np.int64),
            values=one["value"][()].astype(np.float64),
            unit=str(one.attrs["unit"]),
            wall=one["wall_time"][()].astype(np.float64) if "wall_time" in one else None,
            source=str(one.attrs["source"]),
        )
        if one.attrs["role"]:
            roles[Role(one.attrs["role"])] = name
    texts = {key: tuple(json.loads(group.attrs[key])) for key in ("sources", "formats", "notes")}
    return Log(curves=curves, roles=roles, **texts)


def _read_checkpoints(group: h5py.Group) -> tuple[CheckpointRow, ...]:
    columns = {
        field.name: group[field.name][()].tolist()
        if field.name == "step"
        else _texts(group[field.name])
        for field in fields(CheckpointRow)
    }
    steps = [None if np.isnan(step) else int(step) for step in columns.pop("step")]
    return tuple(
        CheckpointRow(step=step, **{key: column[i] for key, column in columns.items()})
        for i, step in enumerate(steps)
    )
