"""Selection: which entries of a series a limit is on.

A pattern knows `*` and `?` only: brackets are literal, for a part of a fused tensor is named
`c_attn.weight[query]`. A pattern without a dim is about `rank` where the series has one, else about
its last dim. Labels that count from 1 may be counted from 0: `[0]` is the first where none is "0".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from fnmatch import translate

from dyntools.checks.limit import Limit
from dyntools.errors import UsageError, nearest
from dyntools.measurement import Coordinate


def text_of(label: str | float) -> str:
    """A label as a limit names it: whole numbers with all digits, others with up to twelve."""
    return label if isinstance(label, str) else f"{label:.12g}"


def places(dims: Sequence[str], coords: Mapping[str, Coordinate], limit: Limit) -> list[list[int]]:
    """For each dim the positions of the labels the limit chooses.

    Raises UsageError for a dim that the series does not have.
    """
    patterns = _by_dim(dims, limit)
    chosen = []
    for dim in dims:
        labels = [text_of(label) for label in coords[dim]]
        wanted = _matcher(patterns.get(dim, "*"), set(labels))
        chosen.append([i for i, label in enumerate(labels) if wanted(label)])
    return chosen


def chosen(labels: Iterable[tuple[tuple[str, str], ...]], limit: Limit) -> list[bool]:
    """Which of these entries, each (dim, label) by dim, the limit is on."""
    entries = list(labels)
    if not entries:
        return []
    dims = [dim for dim, _ in entries[0]]
    patterns = _by_dim(dims, limit)
    known = {dim: {dict(entry)[dim] for entry in entries} for dim in dims}
    wanted = {dim: _matcher(patterns.get(dim, "*"), known[dim]) for dim in dims}
    return [all(wanted[dim](label) for dim, label in entry) for entry in entries]


def refuse_labels(dims: Sequence[str], coords: Mapping[str, Coordinate], limit: Limit) -> None:
    """Raises UsageError naming the first pattern that no label is like; returns where all are."""
    for dim, found in zip(dims, places(dims, coords, limit), strict=True):
        if not found and coords[dim]:
            pattern = _by_dim(dims, limit)[dim]
            raise UsageError(
                f"No {dim} of {limit.metric} is like {pattern!r}.",
                where=str(limit),
                remedy=nearest(pattern, [text_of(label) for label in coords[dim]]),
            )


def _by_dim(dims: Sequence[str], limit: Limit) -> dict[str, str]:
    by_dim = {}
    for dim, pattern in limit.selection:
        if not dims:
            raise UsageError(
                f"{limit.metric} is one number a step: nothing in it can be selected.",
                where=str(limit),
                remedy=f"leave out [{pattern}]",
            )
        name = dim or ("rank" if "rank" in dims else dims[-1])
        if name not in dims:
            raise UsageError(
                f"{limit.metric} has no dim {name!r}.",
                where=str(limit),
                remedy=nearest(name, dims),
            )
        if name in by_dim:
            remedy = f"one pattern for {name}, or two limits"
            raise UsageError(f"The limit chooses {name!r} twice.", where=str(limit), remedy=remedy)
        by_dim[name] = pattern
    return by_dim


def _matcher(pattern: str, labels: Collection[str]) -> Callable[[str], bool]:
    if pattern == "0" and "0" not in labels and "1" in labels:
        pattern = "1"
    if "*" not in pattern and "?" not in pattern:
        return pattern.__eq__
    compiled = re.compile(translate(pattern.replace("[", "[[]")))
    return lambda label: compiled.match(label) is not None
