"""Reading: tensors and their candidates, from the series of a report.

The shape of a tensor is an attribute of the report; in a trace, or of a state without a name, it is
found from how many numbers are left when one axis is averaged away. What differs between steps is
averaged (SNR) or taken at its worst (errors).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dyntools.adam_memory.tensor import Candidate, Tensor
from dyntools.errors import ReportError
from dyntools.forms import FLOAT32, Form, form_of, in_blocks, mean_over
from dyntools.layer_kinds import Kinds
from dyntools.report import Series

SNR, COMPRESSION = "second_moment_snr", "second_moment_compression"
AGAIN = "analyse the run again"
PARTITIONS = ("adam-mini", "subset-norm")  # forms that are another one for each tensor
Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Part:
    """A series (S, layers, labels) at the rows of the wanted steps. layers: name → its place."""

    series: Series
    rows: NDArray[np.int64]

    @cached_property
    def ok(self) -> NDArray[np.bool_]:
        """Where a number was measured."""
        return np.asarray(self.series.ok[self.rows] & ~np.isnan(self.series.values[self.rows]))

    @cached_property
    def layers(self) -> Mapping[str, int]:
        return {str(name): i for i, name in enumerate(self.series.coords["layer"])}

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """As `Form.label` for averaged axes."""
        found = map(str, self.series.coords[self.series.dims[1]])
        return tuple(found if self.series.metric == COMPRESSION else (f"axes {x}" for x in found))

    @cached_property
    def sizes(self) -> Mapping[str, Numbers]:
        """What is the same at every step and so taken from all, each (layers, labels)."""
        return {name: _largest(self._all(name)) for name in ("kept", "size", "bytes_full", "axis")}

    @cached_property
    def numbers(self) -> Mapping[str, Numbers]:
        """The fields of `Candidate` that this series knows, each (layers, labels)."""
        values = np.where(self.ok, self.series.values[self.rows], np.nan)
        if self.series.metric == SNR:
            return {
                "snr": mean_of(values),
                "corrected": _resolved(values, self.beside("corrected")),
            }
        return {
            "update_error": _largest(values),
            "cosine": -_largest(-self.beside("cosine")),
            "v_error": _largest(self.beside("v_error")),
        }

    def beside(self, name: str) -> Numbers:
        """A companion where a number was measured, else NaN."""
        return np.where(self.ok, self._all(name)[self.rows], np.nan)

    def _all(self, name: str) -> Numbers:
        found = self.series.beside.get(name)
        return np.full(self.series.values.shape, np.nan) if found is None else found


def restricted(series: Series, steps: Collection[int] | None) -> Part:
    """The series at these steps, or at all. Raises ReportError for one of another shape."""
    if len(series.dims) != 2 or series.dims[0] != "layer":
        raise ReportError(
            f"{series.metric} has other dimensions than this version of dyntools writes.",
            found=", ".join(series.dims),
            remedy=AGAIN,
        )
    wanted = np.ones(len(series.steps), bool) if steps is None else np.isin(series.steps, [*steps])
    return Part(series, np.flatnonzero(wanted))


def tensors_of(
    parts: Mapping[str, Part], kinds: Kinds, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[tuple[Tensor, ...], dict[str, str]]:
    """The tensors in the order of the report, and those of unknown size with the reason.

    shapes: those that are known.
    """
    reasons: dict[str, str] = {}
    for part in parts.values():
        for omission in part.series.omissions:
            if omission.entry:
                reasons.setdefault(omission.entry, omission.reason)
    names = dict.fromkeys(name for part in parts.values() for name in part.layers)
    found, left_out = [], {}
    for name in names | dict.fromkeys(reasons):
        reason = reasons.get(name, "nothing was measured of it")
        size, kept = _sizes(parts, name)
        size = size or math.prod(shapes.get(name, (0,)))
        if not size:
            left_out[name] = reason
            continue
        shape = _checked(name, size, shapes[name]) if name in shapes else _shape(name, size, kept)
        candidates = _candidates(parts, name, kept)
        measured = any(one.measured for one in candidates)
        kind = kinds.of(name, shape)
        found.append(Tensor(name, shape, kind, candidates, "" if measured else reason))
    return tuple(found), left_out


def _sizes(parts: Mapping[str, Part], name: str) -> tuple[int, dict[str, int]]:
    """The number of weights, 0 where unknown, and by label how many numbers a form keeps."""
    size, kept = 0, {}
    for part in parts.values():
        if name not in part.layers:
            continue
        here = {key: array[part.layers[name]] for key, array in part.sizes.items()}
        for i, label in enumerate(part.labels):
            if not math.isnan(here["kept"][i]):
                kept[label] = int(here["kept"][i])
            if not math.isnan(here["size"][i]):
                size = int(here["size"][i])
            elif not size and not math.isnan(here["bytes_full"][i]):
                size = int(here["bytes_full"][i]) // FLOAT32
    return size, kept


def _shape(name: str, size: int, kept: Mapping[str, int]) -> tuple[int, ...]:
    """From how many numbers are left when one axis is averaged away.

    An axis that no label averages is the first gap, or the last; of two such only the product is
    known, which is enough for what a form keeps.
    """
    lengths = {}
    for label, count in kept.items():
        form = _form(label, count, math.nan)
        if len(form.axes) == 1 and count:
            lengths[form.axes[0]] = size // count
    rest = size // math.prod(lengths.values()) if lengths else size
    if rest > 1 or not lengths:
        lengths[next(axis for axis in range(len(lengths) + 1) if axis not in lengths)] = rest
    return _checked(name, size, tuple(lengths.get(a, 1) for a in range(max(lengths) + 1)))


def _checked(name: str, size: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    if math.prod(shape) != size:
        raise ReportError(
            f"The report contradicts itself on the shape of {name}.",
            found=f"{size} weights, axes of {', '.join(map(str, shape))}",
            remedy=AGAIN,
        )
    return shape


def _candidates(
    parts: Mapping[str, Part], name: str, kept: Mapping[str, int]
) -> tuple[Candidate, ...]:
    found: dict[str, dict[str, float]] = {label: {} for label in kept}
    forms: dict[str, Form] = {}
    for part in parts.values():
        if name not in part.layers:
            continue
        layer = part.layers[name]
        for i, label in enumerate(part.labels):
            if label in found:
                forms[label] = _form(label, kept[label], float(part.sizes["axis"][layer, i]))
                for field, array in part.numbers.items():
                    found[label][field] = float(array[layer, i])
    return tuple(Candidate(forms[label], label, **numbers) for label, numbers in found.items())


def _form(label: str, kept: int, axis: float) -> Form:
    """Of Adam-mini and subset norm: the mean over one axis, or over runs of consecutive weights."""
    if label in PARTITIONS:
        return in_blocks(kept) if math.isnan(axis) else mean_over(int(axis))
    try:
        return form_of(label)
    except ValueError as error:
        raise ReportError(
            "The report names a form that this version of dyntools does not know.",
            found=repr(label),
            remedy=AGAIN,
        ) from error


def mean_of(values: Numbers) -> Numbers:
    """Over the first axis and what is a number there; infinite if one of them is."""
    there = ~np.isnan(values)
    count = np.asarray(there.sum(axis=0))
    total = np.where(there, values, 0.0).sum(axis=0)
    mean = np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
    return np.asarray(mean, dtype=np.float64)


def _resolved(values: Numbers, corrected: Numbers) -> Numbers:
    """Mean of the corrected SNR without the steps where noise explains all of the variance.

    Such a step says nothing of the structure, and its infinity would decide alone. Infinite where
    every step is one, or where v is constant, which noise is not.
    """
    unresolved = np.isinf(corrected) & np.isfinite(values)
    mean = mean_of(np.where(unresolved, np.nan, corrected))
    return np.where(np.isnan(mean) & unresolved.any(axis=0), np.inf, mean)


def _largest(values: Numbers) -> Numbers:
    """Over the first axis, NaN only where all are."""
    return np.asarray(np.fmax.reduce(values, axis=0, initial=np.nan), dtype=np.float64)
