"""Compare inputs: the files, groups and values that `dyntools compare` is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dyntools.errors import DyntoolsError, UsageError

if TYPE_CHECKING:
    from dyntools.comparison.side import Read, Side


def paths(given: Sequence[str] | None) -> list[Path]:
    """Files and globs as files; what is given twice stands there twice. Raises ReportError."""
    from dyntools import gate

    return [path for text in given or () for path in gate.expanded([text])]


def groups(given: list[str] | None) -> dict[str, list[Path]]:
    """`base=seeds/*.h5` → name and files, each once; a name given twice collects.

    Raises UsageError for what is no group, and ReportError for a glob that no file is like.
    """
    from dyntools import gate

    asked: dict[str, list[str]] = {}
    for item in given or ():
        name, equals, pattern = item.partition("=")
        if not (name.strip() and equals and pattern):
            raise UsageError(
                f"A group is written NAME=GLOB, not {item!r}.", remedy="--group base='seeds/*.h5'"
            )
        asked.setdefault(name.strip(), []).append(pattern)
    return {name: list(gate.expanded(patterns)) for name, patterns in asked.items()}


def values(given: list[str] | None) -> dict[str, float]:
    """`small=256` → name and number. Raises UsageError."""
    found = {}
    for item in given or ():
        name, _, text = item.rpartition("=")
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not name or not 0 < value < float("inf"):
            raise UsageError(
                f"--x takes NAME=VALUE with a positive number, not {item!r}.",
                remedy="--x small=256 --x large=1024",
            )
        found[name.strip()] = value
    return found


def read(paths: Sequence[Path], errors: list[DyntoolsError]) -> list[Read]:
    """What can be read; the rest as errors, so that one damaged file does not hide the others."""
    from dyntools import gathering

    found: list[Read] = []
    for path in paths:
        try:
            found.append((str(path), gathering.read(path)))
        except DyntoolsError as error:
            errors.append(error)
    return found


def of_layers(sides: Sequence[Side], like: str | None) -> tuple[Side, ...]:
    """The sides with the layers like a glob only. Raises ReportError where no layer is."""
    from dyntools.views.selection import LAYER, no_such_layer, with_layers

    if like is None:
        return tuple(sides)
    kept = []
    for side in sides:
        reports = []
        for report in side.reports:
            series = {name: with_layers(s, like) for name, s in report.series.items()}
            left = {n: s for n, s in series.items() if s.coords.get(LAYER) or LAYER not in s.dims}
            reports.append(replace(report, series=left))
        kept.append(replace(side, reports=tuple(reports)))
    found = [s for side in kept for report in side.reports for s in report.series.values()]
    if not any(series.coords.get(LAYER) for series in found):
        raise no_such_layer(like, [s for a in sides for r in a.reports for s in r.series.values()])
    return tuple(kept)
