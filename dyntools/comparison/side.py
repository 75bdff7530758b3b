"""Side: one column of a comparison, a report, or the reports of several seeds under one name.

A report is called after its file, as it was typed; where files of several folders share a name,
after what tells their paths apart. In a group each training counts once, as in a check
(`checks.origins`): a copy would make the scatter between seeds look smaller than it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from dyntools.checks.origins import distinct, origin
from dyntools.errors import UsageError
from dyntools.report import Report, Series

Read = tuple[str, Report]  # a file and what was read from it


@dataclass(frozen=True, eq=False)
class Side:
    """name: the head of the column. reports: one, or one a seed. files: where each was read.

    left_out: files of a group whose training another of its files holds.
    """

    name: str
    reports: tuple[Report, ...]
    files: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    @property
    def read(self) -> tuple[Read, ...]:
        """Each file with its report."""
        return tuple(zip(self.files, self.reports, strict=True))

    def all(self, metric: str) -> tuple[Series, ...]:
        """The series of a metric in those reports that have it."""
        return tuple(r.series[metric] for r in self.reports if metric in r.series)


def sides_of(alone: Sequence[Read], groups: Mapping[str, Sequence[Read]]) -> tuple[Side, ...]:
    """A side for each report and for each group, in the order given; no training twice in a group.

    Raises UsageError for fewer than two, and for two sides of one name.
    """
    names = names_of([file for file, _ in alone])
    sides = [Side(n, (r,), (f,)) for n, (f, r) in zip(names, alone, strict=True)]
    for name, members in groups.items():
        kept = distinct([report for _, report in members])
        at = [any(report is one for one in kept) for _, report in members]
        files = tuple(file for (file, _), own in zip(members, at, strict=True) if own)
        left_out = tuple(file for (file, _), own in zip(members, at, strict=True) if not own)
        sides.append(Side(name, tuple(kept), files, left_out))
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
    """A sentence for each report that tells of a training which another tells of too."""
    said = [
        f"{len(side.left_out)} of {len(side.left_out) + len(side.files)} reports of {side.name} are"
        f" of the same checkpoints as another and were left out: {', '.join(side.left_out)}."
        for side in sides
        if side.left_out
    ]
    first: dict[object, tuple[str, str]] = {}
    for side in sides:
        for file, report in side.read:
            keys = _trainings(file, report)
            known = next((first[key] for key in keys if key in first), None)
            if known is not None:
                said.append(_same(known, (side.name, file)))
            for key in keys:
                first.setdefault(key, (side.name, file))
    return said


def _trainings(file: str, report: Report) -> list[object]:
    """By what a training is known again: file and checkpoints, without these the analysis."""
    of, keys = origin(report), [("file", str(PurePath(file)))]
    if of["weights"]:
        return [*keys, ("weights", of["weights"])]
    if of["identity"]:
        keys.append(("analysis", of["identity"] + str(report.attributes.get("started", ""))))
    return [*keys]


def _same(one: tuple[str, str], two: tuple[str, str]) -> str:
    """Of (side, file): they are not two trainings."""
    where = f"both in {one[0]}" if one[0] == two[0] else f"as {one[0]} and as {two[0]}"
    return (
        f"{one[1]} and {two[1]} come from the same checkpoints ({where}): agreement would show that"
        " the measurement repeats, and nothing about another training."
    )
