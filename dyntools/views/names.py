"""Layer names that fit a column: what all share is dropped, the middle is elided, none is confused.

`transformer.h.0.attn.c_attn.weight[query]` becomes `h.0.attn.c_attn[query]`. Two laws hold for any
input: names that differ stay different, and no name is wider than asked (from `NARROWEST` on). An
ellipsis stands wherever something is missing, except for what is dropped everywhere, which
`ShortNames.dropped` lists so that a title can say it once.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich.cells import cell_len

NARROWEST = 8  # an ellipsis and a number such as "…~1234567"; no table is built narrower
ELLIPSIS = "…"
_SUFFIX = ".weight"


@dataclass(frozen=True)
class ShortNames:
    """names: what to show, in the order given. dropped: what was left out of them all."""

    names: tuple[str, ...]
    dropped: tuple[str, ...]

    @property
    def note(self) -> str:
        """What was left out, as words behind a title; empty if nothing was."""
        return f"names without {' and '.join(self.dropped)}" if self.dropped else ""


def shorten(names: Sequence[str], width: int) -> ShortNames:
    """Each name in at most max(width, NARROWEST) columns of a terminal."""
    width = max(width, NARROWEST)
    shown = [printable(name) for name in names]
    without_weight = [_drop_suffix(name) for name in shown]
    dropped: list[str] = []
    if without_weight != shown and len(set(without_weight)) == len(set(shown)):
        shown = without_weight
        dropped.append(_SUFFIX)
    prefix = _shared_prefix(shown)
    if prefix:
        shown = [name[len(prefix) :] for name in shown]
        dropped.insert(0, prefix)
    if any(cell_len(name) > width for name in shown):
        shown = _drop_frequent_prefix(shown)
        shown = [elide(name, width) for name in shown]
    return ShortNames(_told_apart(names, shown, width), tuple(dropped))


def printable(text: str) -> str:
    """Control and formatting characters made visible: a name must not steer a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def elide(text: str, width: int) -> str:
    """`text` in at most `width` columns, the middle left out; the end, which tells more, is longer.

    A cut falls between characters as they are seen: never before a combining mark.
    """
    if cell_len(text) <= width:
        return text
    clusters = _clusters(text)
    head = _fitting(clusters, (width - 1) // 3)
    tail = _fitting(clusters[::-1], width - 1 - cell_len("".join(head)))[::-1]
    return "".join(head) + ELLIPSIS + "".join(tail)


def _drop_suffix(name: str) -> str:
    """`a.weight` → `a`, `a.weight[query]` → `a[query]`; `0.weight` stays, for `0` is no name."""
    stem, bracket, part = name.partition("[")
    kept = stem.removesuffix(_SUFFIX)
    return name if kept.replace(".", "").isdigit() or not kept else kept + bracket + part


def _shared_prefix(names: Sequence[str]) -> str:
    """The leading components, up to a dot, that all names begin with; "" for a single name."""
    distinct = sorted(set(names))
    if len(distinct) < 2:
        return ""
    first, last = distinct[0], distinct[-1]  # what these share, all share
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), None)
    end = first.rfind(".", 0, min(len(first), len(last)) if same is None else same)
    if any(name[end + 1 : end + 2].isdigit() for name in distinct):
        end = first.rfind(".", 0, max(end, 0))  # `h.0.attn`, not `0.attn`: a number needs a name
    return first[: end + 1]


def _drop_frequent_prefix(names: Sequence[str]) -> list[str]:
    """`model.layers.3.mlp` → `…3.mlp` where at least half of the names begin with `model.layers.`;
    the few that do not, such as `lm_head`, keep theirs."""
    prefix = ""
    while True:
        heads = Counter(
            name[: name.index(".", len(prefix)) + 1]
            for name in names
            if name.startswith(prefix) and "." in name[len(prefix) :]
        )
        head, count = heads.most_common(1)[0] if heads else ("", 0)
        if 2 * count < len(names) or len(names) < 2:
            break
        prefix = head
    if not prefix:
        return list(names)
    return [ELLIPSIS + n.removeprefix(prefix) if n.startswith(prefix) else n for n in names]


def _told_apart(names: Sequence[str], shown: Sequence[str], width: int) -> tuple[str, ...]:
    """Numbers appended where different names came to look alike; the same name keeps one look."""
    looks = Counter(look for _, look in set(zip(names, shown, strict=True)))
    taken = {look for look, count in looks.items() if count == 1}
    final: dict[str, str] = {}
    number = 0
    for name, look in zip(names, shown, strict=True):
        if name in final:
            continue
        candidate = look
        while (candidate in taken and looks[look] > 1) or (looks[look] > 1 and candidate == look):
            number += 1
            mark = f"~{number}"
            candidate = elide(look, width - len(mark)) + mark
        taken.add(candidate)
        final[name] = candidate
    return tuple(final[name] for name in names)


def _clusters(text: str) -> list[str]:
    """Characters as they are seen: each with the combining marks that follow it."""
    starts = [i for i, c in enumerate(text) if i == 0 or not unicodedata.combining(c)]
    return [text[a:b] for a, b in pairwise([*starts, len(text)])]


def _fitting(clusters: Sequence[str], width: int) -> list[str]:
    """As many of the first clusters as fit `width` columns."""
    taken: list[str] = []
    for cluster in clusters:
        width -= cell_len(cluster)
        if width < 0:
            break
        taken.append(cluster)
    return taken
