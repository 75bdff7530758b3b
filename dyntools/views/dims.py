"""Dims: what kind of axis a dim is, which decides how a series is shown.

Names (layers, blocks, directions) are rows. Whole numbers (ranks, batch sizes) are an index: few,
in their own order, each with a course along the steps. Other numbers (fractions, offsets, relative
eigenvalues) are an axis that a curve is drawn over.
"""

from __future__ import annotations

import re

from dyntools.measurement import Coordinate
from dyntools.report import Series
from dyntools.views.names import printable
from dyntools.views.selection import LAYER, taken

WHOLE = "all"  # the block of all parameters together
_AXES = re.compile(r"(?:axes )?(\d+(?:,\d+)*)")


def is_numeric(labels: Coordinate) -> bool:
    """Numbers only, at least one."""
    return bool(labels) and not any(isinstance(label, str) for label in labels)


def is_index(labels: Coordinate) -> bool:
    """Whole numbers, none of them twice."""
    if not is_numeric(labels):
        return False
    return all(float(x).is_integer() for x in labels) and len(set(labels)) == len(labels)


def is_axis(labels: Coordinate) -> bool:
    """Numbers that are no index."""
    return is_numeric(labels) and not is_index(labels)


def choice(labels: Coordinate, most: int) -> list[int]:
    """Positions shown where there is no room: of numbers the first and the last or evenly many."""
    size = len(labels)
    if size <= most or not is_numeric(labels):
        return list(range(size))
    if is_index(labels):
        return [*range(most - 1), size - 1]
    return [round(i * (size - 1) / (most - 1)) for i in range(most)]


def in_order(labels: Coordinate) -> list[int]:
    """Positions of names: sets of axes such as `0,2` or `axes 0,2` by how many they are and which,
    what is no such set behind them as it comes; numbers as they are."""
    if is_numeric(labels):
        return list(range(len(labels)))

    def key(position: int) -> tuple[int, tuple[int, ...]]:
        found = _AXES.fullmatch(str(labels[position]))
        axes = tuple(map(int, found[1].split(","))) if found else ()
        return (len(axes), axes) if axes else (len(labels), (position,))

    return sorted(range(len(labels)), key=key)


def words(dim: str) -> str:
    """`batch_size` → `batch size`."""
    return printable(dim.replace("_", " "))


def chance(series: Series) -> str:
    """What the companion `null` stands for."""
    return "a random matrix of the same shape" if LAYER in series.dims else "what chance gives"


def plural(dim: str) -> str:
    """`batch_size` → `batch sizes`."""
    return f"{words(dim)}s"


def alone(series: Series) -> Series:
    """Without a first dim that has only one entry and an index behind it: `all` blocks × ranks."""
    if len(series.dims) != 2 or len(series.coords[series.dims[0]]) != 1:
        return series
    return picked(series, 0) if is_index(series.coords[series.dims[1]]) else series


def whole(series: Series) -> Series | None:
    """What a series says about all parameters together, None if it speaks of parts only.

    Its dims are () or an index, of which the first entry is the headline.
    """
    if not series.dims:
        return series
    first = series.coords[series.dims[0]]
    if len(series.dims) == 2 and WHOLE in first and is_index(series.coords[series.dims[1]]):
        return picked(series, list(first).index(WHOLE))
    return series if len(series.dims) == 1 and is_index(first) else None


def picked(series: Series, position: int) -> Series:
    """The entry at `position` of the first dim, which is dropped."""
    return taken(series, series.dims[0], position)


def firsts(series: Series) -> Series:
    """The first entry of the last dim, which is dropped: the first rank of every block."""
    return taken(series, series.dims[-1], 0)
