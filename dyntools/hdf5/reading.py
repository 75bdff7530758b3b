"""From the groups of an HDF5 file to a report in memory; the layout is told in `hdf5`."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from dyntools.log import Curve, Log, Role
from dyntools.report import CheckpointRow, Omission, Report, Series


def read_report(file: h5py.File) -> Report:
    return Report(
        attributes=_read_attributes(file),
        series={name: _read_series(group) for name, group in file["metrics"].items()},
        checkpoints=_read_checkpoints(file["checkpoints"]),
        log=_read_log(file["log"]) if "log" in file else None,
        notes=tuple(_texts(file["notes/sentence"])),
    )


def _read_attributes(file: h5py.File) -> dict[str, object]:
    encoded = set(file.attrs["json_attributes"])
    return {
        key: json.loads(value) if key in encoded else _plain(value)
        for key, value in file.attrs.items()
        if key != "json_attributes"
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
