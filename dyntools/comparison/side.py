"""Side: one column of a comparison, a report, or the reports of several seeds under one name.

A report is called after its file, as it was typed; where files of several folders share a name,
after what tells their paths apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from dyntools.errors import UsageError
from dyntools.report import Report, Series

Read = tuple[str, Report]  # a file and what was read from it


@dataclass(frozen=True, eq=False)
class Side:
    """name: the head of the column. reports: one, or one a seed. files: where each was read."""

    name: str
    reports: tuple[Report, ...]
    files: tuple[str, ...]

    def all(self, metric: str) -> tuple[Series, ...]:
        """The series of a metric in those reports that have it."""
        return tuple(r.series[metric] for r in self.reports if metric in r.series)


def sides_of(alone: Sequence[Read], groups: Mapping[str, Sequence[Read]]) -> tuple[Side, ...]:
    """A side for each report and for each group, in the order given.

    Raises UsageError for fewer than two, and for two sides of one name.
    """
    names = names_of([file for file, _ in alone])
    sides = [Side(n, (r,), (f,)) for n, (f, r) in zip(names, alone, strict=True)]
    for name, members in groups.items():
        files, reports = tuple(f for f, _ in members), tuple(r for _, r in members)
        sides.append(Side(name, reports, files))
    if len(sides) < 2:
        found = ", ".join(side.name for side in sides) or "none"
        raise UsageError(
            "A comparison takes at least two reports, or two groups of reports.",
            found=found,
            remedy="dyntools compare A.h5 B.h5; one report alone: dyntools show REPORT",
        )
    twice = [name for name, count in Counter(side.name for side in sides).items() if count > 1]
    if twice:
        raise UsageError(
            f"Two sides of the comparison would both be called {twice[0]!r}.",
            remedy="give the group another name: --group NAME=GLOB",
        )
    return tuple(sides)


def names_of(files: Sequence[str]) -> list[str]:
    """`runs/a.h5, runs/b.h5` → a, b; `a/x.h5, b/x.h5` → a, b; the same file twice → x, x (2)."""
    parts = [(*PurePath(f).parent.parts, PurePath(f).stem) for f in files]
    distinct = set(parts)
    depth = 1
    while len({p[-depth:] for p in distinct}) < len(distinct):
        depth += 1
    tails = [p[-depth:] for p in parts]
    while len(distinct) > 1 and len({t[-1] for t in tails}) == 1:
        tails = [t[:-1] for t in tails]
    seen: Counter[str] = Counter()
    names = []
    for tail in tails:
        name = "/".join(tail)
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return names


def repeated(sides: Sequence[Side]) -> list[str]:
    """A sentence for each report that stands on more than one place."""
    first: dict[object, tuple[str, str]] = {}
    said = []
    for side in sides:
        for file, report in zip(side.files, side.reports, strict=True):
            identity = report.attributes.get("identity")
            keys: list[object] = [("file", str(PurePath(file)))]
            if identity:
                keys.append(("analysis", identity, report.attributes.get("started")))
            known = next((first[key] for key in keys if key in first), None)
            if known is not None:
                said.append(_same(known, (side.name, file)))
            for key in keys:
                first.setdefault(key, (side.name, file))
    return said


def _same(one: tuple[str, str], two: tuple[str, str]) -> str:
    where = f"in {one[0]}" if one[0] == two[0] else f"as {one[0]} and as {two[0]}"
    return f"{two[1]} is the same report as {one[1]}: it stands here twice, {where}."
