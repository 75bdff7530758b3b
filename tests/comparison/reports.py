"""Reports of a few numbers, made by hand for comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from dyntools.comparison.side import Side
from dyntools.log import Curve, Log, Role
from dyntools.measurement import Coordinate, Status
from dyntools.report import CheckpointRow, Report, Series


def series(
    metric: str,
    steps: Sequence[int],
    values: ArrayLike,
    *,
    layers: Sequence[str] = (),
    coords: Mapping[str, Coordinate] | None = None,
    error: ArrayLike | None = None,
    status: ArrayLike | None = None,
    settings: Mapping[str, object] | None = None,
    version: int = 1,
    step_unit: str = "step",
    beside: Mapping[str, ArrayLike] | None = None,
) -> Series:
    """(S,) or (S, layers), or with the axes of `coords`."""
    array = np.asarray(values, dtype=np.float64)
    labels = coords if coords is not None else {"layer": tuple(layers)} if layers else {}
    missing = np.where(np.isnan(array), Status.failed, Status.ok)
    return Series(
        metric=metric,
        group="weights",
        version=version,
        unit="",
        what="what it is",
        paper="Author 2020",
        settings=settings or {},
        step_unit=step_unit,
        steps=np.asarray(steps, dtype=np.int64),
        dims=tuple(labels),
        coords=labels,
        values=array,
        error=None if error is None else np.broadcast_to(error, array.shape).astype(np.float64),
        status=np.asarray(missing if status is None else status, dtype=np.int8),
        beside={k: np.asarray(v, dtype=np.float64) for k, v in (beside or {}).items()},
        seconds=np.zeros(len(steps)),
        matvecs=np.zeros(len(steps), dtype=np.int64),
        method=("by hand",) * len(steps),
    )


def report(
    *all_series: Series,
    shapes: Mapping[str, Sequence[int]] | None = None,
    log: Mapping[Role, ArrayLike] | None = None,
    checkpoints: Sequence[int] = (),
    **attributes: object,
) -> Report:
    """log: role → values at steps 0, 1, …"""
    return Report(
        attributes={"shapes": shapes or {}, **attributes},
        series={one.metric: one for one in all_series},
        checkpoints=[CheckpointRow(f"{n}.pt", "torch", n, "file", "ok") for n in checkpoints],
        log=None if log is None else _log(log),
    )


def side(name: str, *reports: Report) -> Side:
    return Side(name, reports, tuple(f"{name}-{i}.h5" for i in range(len(reports))))


def _log(curves: Mapping[Role, ArrayLike]) -> Log:
    made = {}
    for role, values in curves.items():
        array = np.asarray(values, dtype=np.float64)
        steps = np.arange(len(array), dtype=np.int64)
        made[role] = Curve(role.value, steps, array, "step", None, "log.jsonl")
    named = {curve.name: curve for curve in made.values()}
    return Log(("log.jsonl",), ("jsonl",), named, {r: c.name for r, c in made.items()}, ())
