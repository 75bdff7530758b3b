"""Entries: the labels along the axes of a series, as names by which layers of two runs are matched.

An entry is found by its labels, never by its place: a run with one block more still compares.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dyntools.report import Series

Label = tuple[str | float, ...]  # one for each dim


@dataclass(frozen=True)
class Matched:
    """common: labels that every side has, in the order of the first. missing: label → sides."""

    common: tuple[Label, ...]
    only: dict[Label, tuple[str, ...]]


def labels_of(series: Series) -> tuple[Label, ...]:
    """The labels of all entries, in the order of `flat`."""
    return tuple(itertools.product(*(series.coords[dim] for dim in series.dims)))


def flat(series: Series, array: NDArray[np.float64]) -> NDArray[np.float64]:
    """An array of a series as (S, n), one column an entry."""
    return array.reshape(len(series.steps), -1)


def place_of(series: Series) -> dict[Label, int]:
    """Label → column of `flat`."""
    return {label: i for i, label in enumerate(labels_of(series))}


def matched(names: Sequence[str], labels: Sequence[Sequence[Label]]) -> Matched:
    """What all sides have, and for the rest who has it. labels: one sequence for each name."""
    sets = [set(of_side) for of_side in labels]
    every = dict.fromkeys(label for of_side in labels for label in of_side)
    having = {
        label: tuple(name for name, own in zip(names, sets, strict=True) if label in own)
        for label in every
    }
    common = tuple(label for label, owners in having.items() if len(owners) == len(names))
    only = {label: owners for label, owners in having.items() if len(owners) < len(names)}
    return Matched(common, only)


def names_of_entries(dims: Sequence[str], labels: Sequence[Label]) -> dict[Label, str]:
    """`fc.weight`, `rank 1`, `fc.weight · fraction 0.5`; axes along which nothing varies are left
    out, so the only entry of two axes has no name."""
    varying = [i for i in range(len(dims)) if len({label[i] for label in labels}) > 1]
    shown = varying or ([0] if len(dims) == 1 else [])
    return {label: " · ".join(_text(dims[i], label[i]) for i in shown) for label in labels}


def counted(labels: Sequence[Label]) -> bool:
    """Whether they vary along an axis of numbers (ranks, fractions), whose order says something."""
    return any(
        len(set(along)) > 1 and not all(isinstance(label, str) for label in along)
        for along in zip(*labels, strict=True)
    )


def words(dim: str) -> str:
    """`batch_size` → `batch size`."""
    return dim.replace("_", " ")


def _text(dim: str, value: str | float) -> str:
    if isinstance(value, str):
        return value
    number = f"{value:.0f}" if float(value).is_integer() else f"{value:.3g}"
    return f"{words(dim)} {number}"
