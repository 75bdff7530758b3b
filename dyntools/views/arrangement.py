"""Arrangement: in which order the layers of a map stand, and which of them are named.

Few are rows with their names, in the order of the model; many are grouped by what they are, each
group in order of depth.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dyntools.views.names import shorten

NAMED = 45  # rows that are named one by one; chosen
NAME_LETTERS = 34


@dataclass(frozen=True)
class Row:
    """position: of the layer in the series. group: the kind, that the rows of a group share."""

    position: int
    group: str


def arranged(names: Sequence[str]) -> tuple[Row, ...]:
    """The rows from top to bottom: as they come if few, else by kind, then depth."""
    kinds = [re.sub(r"\d+", "*", name) for name in names]
    rows = [Row(i, kind) for i, kind in enumerate(kinds)]
    if len(names) <= NAMED:
        return tuple(rows)
    order = {kind: i for i, kind in reversed(list(enumerate(kinds)))}
    return tuple(sorted(rows, key=lambda row: (order[row.group], row.position)))


def row_labels(
    names: Sequence[str], rows: Sequence[Row], room: float, letters: int = NAME_LETTERS
) -> list[tuple[float, str]]:
    """Where a name stands and what it says: each layer's, or of many one for each kind.

    names: of the layers, of which `rows` are an arrangement. room: rows that a line of text covers.
    """
    if len(rows) <= NAMED:
        short = shorten(names, letters).names
        return [(float(i), short[row.position]) for i, row in enumerate(rows)]
    groups = list(dict.fromkeys(row.group for row in rows))
    short = shorten(groups, letters).names
    members = [[i for i, row in enumerate(rows) if row.group == group] for group in groups]
    labels: list[tuple[float, str]] = []
    for name, places in zip(short, members, strict=True):
        middle = float(np.mean(places))
        if not labels or middle - labels[-1][0] >= room:
            labels.append((middle, name))
    return labels
