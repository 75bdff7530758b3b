"""Reduction: the values of a series over its steps as one number an entry, with its error.

A bound b_i of each value gives the exact interval of a monotone reduction, as from max(y - b) to
max(y + b). A standard error is that of the entry taken for `max`, `min`, `median`, `last` and
`first`; the mean of them for `mean`, since the same random vectors serve every step so that their
errors do not average out; and the root of sum c_i² s_i² for `slope`, the least-squares line
sum c_i y_i over the steps. The scatter around the line is no error of it: it is the shape of the
curve, which two runs of one schedule share.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LINEAR = ("last", "first", "mean")  # in the values, so that the bounds go through as they are


@dataclass(frozen=True, eq=False)
class Reduced:
    """One number, its bound and its standard error for each of E entries, all (E,)."""

    values: Floats
    bounds: Floats
    standard_errors: Floats


def reduced(
    name: str, steps: Floats, values: Floats, usable: NDArray[np.bool_], error: Floats, bound: bool
) -> Reduced:
    """Values and errors (S, E) over the steps (S,); where nothing is usable the result is NaN.

    error: zero where none is known. bound: what the errors are, see `error_kinds`.
    """
    blank = np.where(usable, values, np.nan)
    error = np.where(usable, error, 0.0)
    nothing = np.zeros(values.shape[1])
    if name == "slope":
        return _slope(steps, blank, usable, error, bound)
    middle, weights = _taken(name, blank)
    of_taken = np.sum(weights * error, axis=0)
    if not bound:
        return Reduced(middle, nothing, of_taken)
    if name in LINEAR:
        return Reduced(middle, of_taken, nothing)
    high, low = (_taken(name, blank + sign * error)[0] for sign in (1, -1))
    return Reduced(middle, np.fmax(high - middle, middle - low), nothing)


def _taken(name: str, values: Floats) -> tuple[Floats, Floats]:
    """The reduction (E,), and the weight of each step in it (S, E); NaN marks what is not there."""
    weights = np.zeros(values.shape)
    there = ~np.isnan(values)
    count = there.sum(axis=0)
    columns = np.arange(values.shape[1])
    if not values.shape[0]:
        return np.full(values.shape[1], np.nan), weights
    if name == "mean":
        weights = there / np.maximum(count, 1)
    elif name == "median":
        order = np.argsort(values, axis=0, kind="stable")  # NaN last
        for middle in (np.maximum(count - 1, 0) // 2, count // 2):
            at = order[np.minimum(middle, len(values) - 1), columns]
            weights[at, columns] += 0.5
    else:
        weights[_place(name, values, there), columns] = 1.0
    total = np.sum(weights * np.where(there, values, 0.0), axis=0)
    return np.where(count > 0, total, np.nan), weights


def _place(name: str, values: Floats, there: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The row (E,) of the one step that counts."""
    if name == "max":
        return np.asarray(np.argmax(np.where(there, values, -np.inf), axis=0))
    if name == "min":
        return np.asarray(np.argmin(np.where(there, values, np.inf), axis=0))
    if name == "first":
        return np.asarray(np.argmax(there, axis=0))
    return np.asarray(len(values) - 1 - np.argmax(there[::-1], axis=0))


def _slope(
    steps: Floats, values: Floats, usable: NDArray[np.bool_], error: Floats, bound: bool
) -> Reduced:
    """Least squares; NaN for fewer than two steps."""
    count = usable.sum(axis=0)
    x = np.where(usable, steps[:, None], 0.0)
    centred = np.where(usable, steps[:, None] - x.sum(axis=0) / np.maximum(count, 1), 0.0)
    squares = np.sum(centred**2, axis=0)
    weights = centred / np.where(squares > 0, squares, 1.0)
    slope = np.sum(weights * np.where(usable, values, 0.0), axis=0)
    slope = np.where(squares > 0, slope, np.nan)
    zero = np.zeros(values.shape[1])
    if bound:
        return Reduced(slope, np.sum(np.abs(weights) * error, axis=0), zero)
    return Reduced(slope, zero, np.sqrt(np.sum((weights * error) ** 2, axis=0)))
