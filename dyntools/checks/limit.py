"""Limit: what a number of a report may be, or by how much it may move, as one line of text.

    METRIC[.COMPANION][[SELECTION]][@REDUCTION] RELATION
    hessian_top[0]@last within 10%

The grammar is written down whole in docs/reference/checks.md; `parse` says of a line that does not
fit what it expected, and where.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NoReturn

from dyntools.errors import UsageError, nearest

REDUCTIONS = ("last", "first", "max", "min", "mean", "median", "slope")
PLAIN = re.compile(r"[\w.*?-]+")
SPECIAL = re.compile(r"[,=\s'\"]")
NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
DIM = r"\w+\s*=\s*"
EXAMPLE = "hessian_top[0]@last within 10%"


class Relation(StrEnum):
    """The first two bound the number itself; the others its change against the baseline."""

    below = "below"
    above = "above"
    within = "within"
    not_above = "not above by"
    not_below = "not below by"

    @property
    def bounds(self) -> bool:
        """Whether the limit is on the number itself, so that it needs no baseline."""
        return self in (Relation.below, Relation.above)


@dataclass(frozen=True)
class Limit:
    """One limit on one metric, or on some of its entries.

    companion: "" for the metric's own values. selection: (dim, pattern), with dim "" for a bare
    pattern. reduction: one of REDUCTIONS, or a step in digits. bound: of `below` and `above`, in
    the metric's unit. absolute: tolerance in that unit; relative: as a share of the baseline's
    absolute value; with both, the larger counts. text: as it was written.
    """

    metric: str
    relation: Relation
    companion: str = ""
    selection: tuple[tuple[str, str], ...] = ()
    reduction: str = "last"
    bound: float | None = None
    absolute: float | None = None
    relative: float | None = None
    text: str = field(default="", compare=False)

    @property
    def subject(self) -> str:
        """The left-hand side: what is judged."""
        companion = f".{self.companion}" if self.companion else ""
        terms = [f"{dim}={quoted(x)}" if dim else quoted(x) for dim, x in self.selection]
        chosen = f"[{','.join(terms)}]" if terms else ""
        return f"{self.metric}{companion}{chosen}@{self.reduction}"

    def __str__(self) -> str:
        """As it was written, or else in the one way that `parse` reads back."""
        if self.text:
            return self.text
        if self.bound is not None:
            return f"{self.subject} {self.relation} {plain(self.bound)}"
        shares = [] if self.relative is None else [f"{plain(100 * self.relative)}%"]
        amounts = [] if self.absolute is None else [plain(self.absolute)]
        return f"{self.subject} {self.relation} {' or '.join(shares + amounts)}"


def parse(text: str) -> Limit:
    """A limit from its line. Raises UsageError saying what was expected, and where."""
    return _Line(text).limit()


def quoted(label: str) -> str:
    """A label as a limit names it: in quotes where it holds what the grammar uses."""
    if PLAIN.fullmatch(label) or (label and not SPECIAL.search(label) and _balanced(label)):
        return label
    mark = "'" if '"' in label else '"'
    return f"{mark}{label}{mark}"


def plain(number: float) -> str:
    """A number that reads back as itself, to twelve digits: 10, not 10.000000000000002."""
    return f"{number:.12g}"


def _balanced(label: str) -> bool:
    depth = 0
    for character in label:
        depth += (character == "[") - (character == "]")
        if depth < 0:
            return False
    return depth == 0


class _Line:
    """A line and the place up to which it has been read."""

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        self.at = 0

    def limit(self) -> Limit:
        metric = self.take(r"[A-Za-z_]\w*", "the name of a metric")
        companion = self.take(r"\w+", "the name of a companion") if self.found(r"\.") else ""
        selection = self.selection() if self.found(r"\[") else ()
        reduction = self.reduction() if self.found("@") else "last"
        relation = self.relation()
        bound = absolute = relative = None
        if relation.bounds:
            bound = self.number()
        else:
            absolute, relative = self.tolerance()
        if self.at < len(self.text):
            self.refuse("nothing more")
        return Limit(
            metric,
            relation,
            companion,
            selection,
            reduction,
            bound=bound,
            absolute=absolute,
            relative=relative,
            text=self.text,
        )

    def selection(self) -> tuple[tuple[str, str], ...]:
        terms = [self.term()]
        while self.found(r"\s*,\s*"):
            terms.append(self.term())
        self.take(r"\s*\]", "`,` or `]` after a label")
        if len({dim for dim, _ in terms}) < len(terms):
            self.refuse("each dim at most once, and at most one label without a dim")
        return tuple(terms)

    def term(self) -> tuple[str, str]:
        self.found(r"\s*")
        dim = self.take(DIM, "a dim").strip("= \t\n") if self.sees(DIM) else ""
        for mark in "\"'":
            if self.found(mark):
                return dim, self.take(rf"[^{mark}]*{mark}", f"a closing {mark}")[:-1]
        return dim, self.label()

    def label(self) -> str:
        """Up to the next `,` or the `]` that closes the selection; brackets inside pair up."""
        depth, start = 0, self.at
        while self.at < len(self.text):
            character = self.text[self.at]
            if depth == 0 and character in ",]":
                break
            depth += (character == "[") - (character == "]")
            self.at += 1
        label = self.text[start : self.at].strip()
        if not label or self.at == len(self.text):
            self.refuse("a label or a pattern such as `*.weight`, then `]`")
        return label

    def reduction(self) -> str:
        found = self.take(r"\d+|[a-z]+", f"a step, or one of {', '.join(REDUCTIONS)}")
        if found.isdigit():
            return str(int(found))
        if found not in REDUCTIONS:
            raise UsageError(
                f"There is no reduction {found!r} over the steps.",
                where=self.text,
                remedy=nearest(found, REDUCTIONS, most=len(REDUCTIONS)) + ", or a step in digits",
            )
        return found

    def relation(self) -> Relation:
        self.found(r"\s+")
        for relation in Relation:
            words = r"\s+".join(relation.split())
            if self.found(rf"{words}(?:\s+|$)"):
                return relation
        return self.refuse(", ".join(f"`{relation}`" for relation in Relation))

    def number(self) -> float:
        return self.finite(self.take(NUMBER, "a number"))

    def finite(self, digits: str) -> float:
        """1e400 is no bound that anything could break."""
        number = float(digits)
        return number if math.isfinite(number) else self.refuse("a number below 1.8e308")

    def tolerance(self) -> tuple[float | None, float | None]:
        absolute = relative = None
        while True:
            amount = self.take(NUMBER + r"(\s*%)?", "a tolerance such as `10%` or `0.5`")
            number = self.finite(amount.rstrip("% \t\n"))
            if number < 0:
                self.refuse("a tolerance of at least 0")
            if amount.endswith("%"):
                relative = number / 100 if relative is None else self.refuse("one share, not two")
            else:
                absolute = number if absolute is None else self.refuse("one amount, not two")
            if not self.found(r"\s+or\s+"):
                return absolute, relative

    def sees(self, pattern: str) -> re.Match[str] | None:
        return re.compile(pattern).match(self.text, self.at)

    def found(self, pattern: str) -> bool:
        match = self.sees(pattern)
        self.at = match.end() if match else self.at
        return match is not None

    def take(self, pattern: str, expected: str) -> str:
        match = self.sees(pattern)
        if match is None:
            self.refuse(expected)
        self.at = match.end()
        return match.group()

    def refuse(self, expected: str) -> NoReturn:
        read, rest = self.text[: self.at], self.text[self.at :]
        raise UsageError(
            f"The limit {self.text!r} cannot be read: expected {expected}.",
            found=f"{rest!r} after {read!r}" if rest else f"its end, after {read!r}",
            remedy=f"a limit such as '{EXAMPLE}'",
        )
