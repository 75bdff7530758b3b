"""Measurement: what one metric says about one snapshot, with its error and its status.

A number never travels alone. Beside `values` stand an error of the same shape where one is known, a
status for each entry, the companions that give the number meaning (its null, its value at the
start), the list of what was left out and why, and the method that was used. Failure is a NaN with
a status, never a sentinel.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

Coordinate = tuple[str, ...] | tuple[int, ...] | tuple[float, ...]


class Status(IntEnum):
    """How an entry came to be. The integer is what the report stores (CF `flag_values`)."""

    ok = 0
    skipped = 1  # an input was missing at this step
    failed = 2  # the numbers do not allow it: NaN weights, a zero matrix, too few points
    unconverged = 3  # an iteration hit its limit; the error says how far it got
    absent = 4  # no such entry at this step (a layer that appears later)


LAST = max(Status)


@dataclass(frozen=True, eq=False)
class Measurement:
    """The values of one metric at one step.

    values: float64, one axis per name in `dims`.
    coords: for each dim its labels, as long as that axis.
    error: same shape as `values`, in the same unit: what the value may be off by.
    status: same shape as `values`, of `Status`.
    beside: named companions of the same shape, such as "null" or "initial".
    skipped: entry → sentence, for all that was not measured.
    """

    values: NDArray[np.float64]
    dims: tuple[str, ...] = ()
    coords: Mapping[str, Coordinate] = field(default_factory=dict)
    error: NDArray[np.float64] | None = None
    status: NDArray[np.int8] = None  # type: ignore[assignment]  # filled in below
    beside: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    method: str = ""
    matvecs: int = 0

    def __post_init__(self) -> None:
        values = _float64(self.values)
        object.__setattr__(self, "values", values)
        if self.status is None:
            missing = np.where(np.isnan(values), Status.failed, Status.ok)
            object.__setattr__(self, "status", missing.astype(np.int8))
        else:
            object.__setattr__(self, "status", np.asarray(self.status, dtype=np.int8))
        if self.error is not None:
            object.__setattr__(self, "error", _float64(self.error))
        object.__setattr__(self, "beside", {k: _float64(v) for k, v in self.beside.items()})
        self._validate()

    def _validate(self) -> None:
        shape = self.values.shape
        declared = tuple(len(self.coords[dim]) for dim in self.dims)
        if declared != shape:
            raise ValueError(f"dims {self.dims} declare the shape {declared}, values have {shape}")
        if self.status.view(np.uint8).max(initial=0) > LAST:  # a negative one is large
            raise ValueError(f"a status that does not exist: {np.unique(self.status).tolist()}")
        arrays = {"error": self.error, "status": self.status, **self.beside}
        for name, array in arrays.items():
            if array is not None and array.shape != shape:
                raise ValueError(f"{name} has the shape {array.shape}, values have {shape}")


def skipped(reason: str, dims: tuple[str, ...] = ()) -> Measurement:
    """A step at which the metric could not be measured at all: no entries but a reason."""
    if not dims:
        return Measurement(np.array(np.nan), status=_full((), Status.skipped), skipped={"": reason})
    empty = np.empty((0,) * len(dims))
    return Measurement(empty, dims, dict.fromkeys(dims, ()), skipped={"": reason})


def per_layer(
    values: Mapping[str, float],
    *,
    error: Mapping[str, float] | None = None,
    beside: Mapping[str, Mapping[str, float]] | None = None,
    status: Mapping[str, Status] | None = None,
    skipped: Mapping[str, str] | None = None,
    method: str = "",
) -> Measurement:
    """The common case: one number a layer. A name absent from a companion is NaN there."""
    names = tuple(values)

    def column(table: Mapping[str, float]) -> NDArray[np.float64]:
        return np.array([table.get(name, np.nan) for name in names], dtype=np.float64)

    codes = [Status.failed if math.isnan(value) else Status.ok for value in values.values()]
    if status:
        codes = [status.get(name, code) for name, code in zip(names, codes, strict=True)]
    return Measurement(
        column(values),
        ("layer",),
        {"layer": names},
        error=None if error is None else column(error),
        status=np.array(codes, dtype=np.int8),
        beside={key: column(table) for key, table in (beside or {}).items()},
        skipped=dict(skipped or {}),
        method=method,
    )


def stacked(dim: str, parts: Mapping[str, Measurement]) -> Measurement:
    """Measurements of equal dims and coords as one with a new first dim, labelled by their keys.

    A companion that only some have is NaN for the others; products add up.
    """
    first = next(iter(parts.values()))
    keys = dict.fromkeys(key for part in parts.values() for key in part.beside)
    nothing = np.full(first.values.shape, np.nan)

    def pile(arrays: Iterable[NDArray[np.float64] | None]) -> NDArray[np.float64]:
        return np.stack([nothing if array is None else array for array in arrays])

    return Measurement(
        pile(part.values for part in parts.values()),
        (dim, *first.dims),
        {dim: tuple(parts), **first.coords},
        error=pile(part.error for part in parts.values()) if first.error is not None else None,
        status=np.stack([part.status for part in parts.values()]),
        beside={key: pile(part.beside.get(key) for part in parts.values()) for key in keys},
        skipped={k: why for part in parts.values() for k, why in part.skipped.items()},
        method=first.method,
        matvecs=sum(part.matvecs for part in parts.values()),
    )


def _float64(array: ArrayLike) -> NDArray[np.float64]:
    return np.array(array, dtype=np.float64)


def _full(shape: tuple[int, ...], status: Status) -> NDArray[np.int8]:
    return np.full(shape, int(status), dtype=np.int8)
