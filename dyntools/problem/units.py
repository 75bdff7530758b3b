"""Units: what the gradients of a problem are independent draws of, and the groups they are put in.

A unit is one example or, where examples influence each other by the statistics of their batch, one
batch of the problem. Groups of units are drawn at random within each batch; errors come from
leaving out one group after another, and two batch sizes from a group and the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dyntools.errors import ProblemError
from dyntools.problem.batches import rows, take
from dyntools.problem.probe import Probe

GROUPS = 16  # tells an error to 1/√30 = 18 %; chosen
SEED = 0  # of the groups


@dataclass(frozen=True, eq=False)
class Part:
    """The units of one batch, by groups in ascending order: rows, numbers from 0 to K, groups."""

    batch: int
    rows: NDArray[np.int64]
    numbers: NDArray[np.int64]
    groups: NDArray[np.int64]

    def share(self, rank: int, count: int) -> Part:
        """Every so many of them."""
        mine = slice(rank, None, count)
        return Part(self.batch, self.rows[mine], self.numbers[mine], self.groups[mine])


@dataclass(frozen=True, eq=False)
class Units:
    """K units.

    terms: w_k (K,), over which the loss of each is a mean. sizes: m_k (K,), its examples.
    group: of each (K,). whole: whether they are batches.
    """

    parts: tuple[Part, ...]
    terms: NDArray[np.float64]
    sizes: NDArray[np.float64]
    group: NDArray[np.int64]
    whole: bool

    @property
    def groups(self) -> int:
        return int(self.group.max()) + 1

    @property
    def squares(self) -> NDArray[np.float64]:
        """c_k = (w_k/w̄)² / m_k (K,), w̄ the terms of an example on average: see `per_example`."""
        share = self.terms / (self.terms.sum() / self.sizes.sum())
        return np.asarray(share**2 / self.sizes)

    @property
    def even(self) -> bool:
        """Whether every example has as many terms as any other, so that c is proportional to w."""
        each = self.terms / self.sizes
        return bool(np.allclose(each, each[0], rtol=1e-12))


def example_terms(probe: Probe) -> list[NDArray[np.float64]]:
    """The terms of every example, by batches; read once for all snapshots."""

    def counted() -> list[NDArray[np.float64]]:
        of = probe.problem.terms
        return [
            np.array([of(take(batch, slice(i, i + 1))) for i in range(rows(batch))])
            for batch in probe.batches()
        ]

    return probe.problem.once(("terms", probe.digest), counted)  # type: ignore[no-any-return]


def units_of(probe: Probe, groups: int, *, whole: bool) -> Units:
    """The units of a problem that have any terms, in at most so many groups.

    Raises ProblemError when there are fewer than two.
    """
    if whole:
        terms = [np.array([probe.problem.terms(batch)]) for batch in probe.batches()]
        sizes = [np.array([float(count)]) for count in probe.rows]
    else:
        terms = example_terms(probe)
        sizes = [np.ones(len(each)) for each in terms]
    kept = [np.flatnonzero(each > 0) for each in terms]
    count = sum(map(len, kept))
    if count < 2:
        raise ProblemError(
            f"The spread of gradients needs two {'batches' if whole else 'examples'}.",
            where=probe.problem.source or None,
            found=f"{count} with any term",
            remedy="more of them in the problem"
            + (
                ", of the size of training, as batch statistics forbid to cut them" if whole else ""
            ),
        )
    parts = _parts(kept, min(groups, count), count)
    group = np.empty(count, dtype=np.int64)
    for part in parts:
        group[part.numbers] = part.groups
    return Units(
        tuple(parts),
        np.concatenate([each[k] for each, k in zip(terms, kept, strict=True)]),
        np.concatenate([each[k] for each, k in zip(sizes, kept, strict=True)]),
        group,
        whole,
    )


def _parts(kept: Sequence[NDArray[np.int64]], groups: int, count: int) -> list[Part]:
    """Each batch in equal random lots no larger than a group, each for the smallest group yet."""
    generator, first, parts = np.random.default_rng(SEED), 0, []
    most, filled = -(-count // groups), np.zeros(groups, dtype=np.int64)
    for batch, counted in enumerate(kept):
        owner = np.empty(len(counted), dtype=np.int64)
        order = generator.permutation(len(counted))
        for lot in np.array_split(order, max(-(-len(order) // most), 1)):
            owner[lot] = group = int(filled.argmin())
            filled[group] += len(lot)
        by_group = np.argsort(owner, kind="stable")
        parts.append(Part(batch, counted[by_group], first + by_group, owner[by_group]))
        first += len(counted)
    return parts
