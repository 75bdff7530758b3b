"""Pieces: how many examples are evaluated together, and how many graphs are kept.

    kept graphs + the largest piece at work  ≤  memory

Trials on a few examples tell the memory of a piece as a + b · examples. If all graphs fit, they are
all kept; else pieces get so small that most examples can be kept and the rest pass one by one.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from dyntools.errors import ProblemError
from dyntools.problem.conditions import is_whole
from dyntools.problem.cost import Cost
from dyntools.problem.memory import free_memory
from dyntools.problem.probe import Piece, Probe

FREE_SHARE = 2  # without a limit, half of what is free; chosen
SPARED = 0.1  # of the examples: more of them are rebuilt if pieces get larger by it; chosen


@dataclass(frozen=True)
class Pieces:
    """The pieces of this rank.

    kept: those whose graphs stay; rebuilt: those that are built again for every product.
    terms: of each, over which its loss is a mean. total: of all pieces of all ranks.
    """

    kept: tuple[Piece, ...]
    rebuilt: tuple[Piece, ...]
    terms: dict[Piece, float]
    total: float

    @property
    def mine(self) -> tuple[Piece, ...]:
        return (*self.kept, *self.rebuilt)

    def share(self, piece: Piece) -> float:
        """w_p / Σ w_p."""
        return self.terms[piece] / self.total


def limit_of(probe: Probe) -> float:
    """Bytes for graphs: as asked for, else a share of what is free to all ranks of a machine."""
    engine, ranks = probe.problem.engine, probe.problem.ranks
    if engine.memory is not None:
        return engine.memory
    free = free_memory(probe.device) / FREE_SHARE
    if ranks.count == 1 or probe.device.type != "cpu":
        return free
    return free / int(os.environ.get("LOCAL_WORLD_SIZE", ranks.count))


def plan(probe: Probe, cost: Cost, limit: float) -> Pieces:
    """The pieces of this rank; every rank reckons with the dearest cost and the least memory.

    Raises ProblemError when one example alone is beyond the memory limit.
    """
    ranks = probe.problem.ranks
    told = [as_told for as_told in ranks.gather((cost, limit)) if isinstance(as_told, tuple)]
    cost, limit = Cost.dearest([c for c, _ in told]), min(m for _, m in told)
    whole = is_whole(probe.problem)
    spread = math.ceil(probe.examples / ranks.count)  # so that every rank has something to do
    largest = max(probe.rows) if whole else min(max(probe.rows), spread)
    sizes = [largest] if whole else _halvings(largest)
    cuts = {size: probe.cut(None if whole else size) for size in sizes}
    kept = {size: _kept(cuts[size][:: ranks.count], cost, limit) for size in sizes}
    fitting = [size for size in sizes if cost.peak_of(size) <= limit]
    if not fitting:
        raise _too_small(limit, cost.peak_of(min(sizes)), whole=whole)
    most = max(kept[size][1] for size in fitting)
    size = next(s for s in fitting if kept[s][1] >= most - SPARED * spread)
    own = cuts[size][ranks.rank :: ranks.count]
    pieces = _weighed(probe, cuts[size])
    total = sum(pieces.values())
    if not total > 0:
        raise ProblemError(
            "No example of the problem counts.",
            where=probe.problem.source or None,
            found="a weight of zero for every batch",
            remedy="labels other than -100, or weight=lambda batch: the number of terms",
        )
    own = [piece for piece in own if pieces[piece] > 0]  # the mean over nothing is no number
    count = kept[size][0]
    return Pieces(tuple(own[:count]), tuple(own[count:]), {p: pieces[p] for p in own}, total)


def whole_pieces(probe: Probe) -> Pieces:
    """The batches uncut, all graphs kept: for trials on a few examples."""
    terms = {p: t for p, t in _weighed(probe, probe.cut(None)).items() if t > 0}
    return Pieces(tuple(terms), (), terms, sum(terms.values()))


def halved(pieces: Pieces, probe: Probe) -> Pieces | None:
    """Half the size, and half the kept graphs, after memory ran out; None when there is no half.

    Other ranks need not know: this one's share of all terms stays.
    """
    whole = is_whole(probe.problem)
    if not pieces.kept and (whole or max(p.stop - p.start for p in pieces.mine) == 1):
        return None
    kept = pieces.kept[: len(pieces.kept) // 2]
    rebuilt = pieces.mine[len(kept) :]
    if whole:
        return replace(pieces, kept=kept, rebuilt=rebuilt)
    cut = replace(pieces, kept=_cut(kept), rebuilt=_cut(rebuilt))
    terms = {p: probe.problem.terms(batch) for p, batch in probe.read(cut.mine)}
    return replace(
        cut,
        kept=tuple(p for p in cut.kept if terms[p] > 0),
        rebuilt=tuple(p for p in cut.rebuilt if terms[p] > 0),
        terms=terms,
    )


def _halvings(size: int) -> list[int]:
    """size, ⌈size/2⌉, …, 1: of equal parts, so that no small rest is left over."""
    sizes = [size]
    while sizes[-1] > 1:
        sizes.append(math.ceil(sizes[-1] / 2))
    return sizes


def _kept(pieces: Sequence[Piece], cost: Cost, limit: float) -> tuple[int, int]:
    """How many graphs can be kept beside the piece at work, and of how many examples."""
    sizes = [piece.stop - piece.start for piece in pieces]
    graphs = list(accumulate(map(cost.kept_of, sizes), initial=0.0))
    working = max((cost.peak_of(size) - cost.kept_of(size) for size in sizes), default=0.0)
    if graphs[-1] + working <= limit:
        return len(sizes), sum(sizes)
    room = limit - max(map(cost.peak_of, sizes))
    count = max(sum(taken <= room for taken in graphs) - 1, 0)
    return count, sum(sizes[:count])


def _weighed(probe: Probe, pieces: Sequence[Piece]) -> dict[Piece, float]:
    return {piece: probe.problem.terms(batch) for piece, batch in probe.read(pieces)}


def _cut(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """Each piece in two, those of one example as they are."""
    parts = []
    for piece in pieces:
        middle = (piece.start + piece.stop + 1) // 2
        parts += [replace(piece, stop=middle), replace(piece, start=middle)]
    return tuple(part for part in parts if part.start < part.stop)


def _too_small(limit: float, needed: float, *, whole: bool) -> ProblemError:
    return ProblemError(
        "The memory limit is too small for "
        + ("a batch, which batch statistics forbid to cut." if whole else "one example."),
        found=f"{limit / 2**20:.0f} MiB, needed {needed / 2**20:.0f} MiB",
        remedy=f"--memory {math.ceil(1.1 * needed / 2**20)}MiB"
        + (", or smaller batches in the problem" if whole else ""),
    )
