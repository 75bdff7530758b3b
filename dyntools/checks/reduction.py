"""Reduction: the values of a series over its steps as one number an entry, with its error.

A bound b_i of each value gives the exact interval of a monotone reduction, as from max(y - b) to
max(y + b). A standard error is that of the entry taken for `median`, `last` and `first`, the mean
of them for `mean`, and sum |c_i| s_i for `slope`, the least-squares line sum c_i y_i over the
steps: the same random vectors serve every step, so the errors need not average out. The largest of
S estimates lies above the largest truth, by more the more there are: for `max` and `min` the
standard error is widened until z(a) of it reach as far as z(a / S) of the entry taken (Bonferroni)
and as far as the error bar of any step, at the level a; at smaller levels it reaches farther than
that. The scatter around the line is no error of a slope: it is the shape of the curve, which two
runs of one schedule share.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from dyntools.checks.significance import LEVEL

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

    error: NaN where it is not known, and then that of a number made of it is not known either.
    bound: what the errors are, see `error_kinds`.
    """
    blank = np.where(usable, values, np.nan)
    error = np.where(usable, error, 0.0)
    nothing = np.zeros(values.shape[1])
    if name == "slope":
        return _slope(steps, blank, usable, error, bound)
    middle, weights = _taken(name, blank)
    of_taken = np.sum(np.where(weights != 0, weights * error, 0.0), axis=0)
    if not bound and name in ("max", "min"):
        return Reduced(middle, nothing, _selected(name, middle, of_taken, blank, error))
    if not bound:
        return Reduced(middle, nothing, of_taken)
    if name in LINEAR:
        return Reduced(middle, of_taken, nothing)
    high, low = (_taken(name, blank + sign * error)[0] for sign in (1, -1))
    unknown = np.isnan(error).any(axis=0)  # of any step: it might have been the one taken
    bounds = np.where(unknown, np.nan, np.fmax(high - middle, middle - low))
    return Reduced(middle, bounds, nothing)


def _selected(name: str, middle: Floats, of_taken: Floats, values: Floats, error: Floats) -> Floats:
    """The standard error of an extreme of estimates (E,), whichever step it was taken from."""
    count = np.maximum(np.sum(~np.isnan(values), axis=0), 1)
    z = float(ndtri(1 - LEVEL))
    sign = 1 if name == "max" else -1
    farthest = _taken(name, values + sign * z * error)[0]
    unknown = np.isnan(error).any(axis=0)  # of any step: it might have been the one to take
    widened = np.maximum(of_taken * ndtri(1 - LEVEL / count) / z, sign * (farthest - middle) / z)
    return np.asarray(np.where(unknown, np.nan, widened))


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
    total = np.sum(np.abs(weights) * error, axis=0)
    if bound:
        return Reduced(slope, total, zero)
    return Reduced(slope, zero, total)
