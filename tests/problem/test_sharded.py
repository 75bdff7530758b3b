"""Parameters cut over ranks: the parts of a layout, and the pieces of each rank. See test_ranks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dyntools.problem.pieces import Pieces
from dyntools.problem.probe import Piece
from dyntools.problem.sharded import ShardedLayout, even
from dyntools.ranks import Ranks

NAMES, SHAPES = ("w", "b", "s"), ((3, 5), (4,), (1,))


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_the_parts_of_all_ranks_are_the_whole(count: int) -> None:
    """Also of tensors smaller than the number of ranks, and of ranks that have nothing of one."""
    layouts = [ShardedLayout(NAMES, SHAPES, Ranks(rank, count)) for rank in range(count)]
    tensors = [torch.randn(s, generator=torch.Generator().manual_seed(len(s))) for s in SHAPES]
    for tensor in tensors:
        parts = [layout.part(tensor) for layout in layouts]
        assert torch.equal(torch.cat(parts), tensor.reshape(-1))
    assert sum(layout.size for layout in layouts) == 20
    for layout in layouts:
        vector = layout.flatten([layout.part(tensor) for tensor in tensors])
        split = layout.split(vector)
        assert all(torch.equal(a, layout.part(b)) for a, b in zip(split, tensors, strict=True))
        block = layout.select(["b"])
        assert torch.equal(layout.take(vector, block), layout.part(tensors[1]))


def test_normal_vectors_do_not_depend_on_the_number_of_ranks() -> None:
    like = torch.zeros((), dtype=torch.float64)
    whole = ShardedLayout(NAMES, SHAPES, Ranks()).split(
        ShardedLayout(NAMES, SHAPES, Ranks()).normal(3, like)
    )
    for rank in range(3):
        layout = ShardedLayout(NAMES, SHAPES, Ranks(rank, 3))
        parts = layout.split(layout.normal(3, like))
        for part, tensor in zip(parts, whole, strict=True):
            assert torch.equal(part, layout.part(tensor))


class Gathered(Ranks):
    """A rank that is told the pieces of all."""

    def __init__(self, rank: int, pieces: list[tuple[Piece, ...]]) -> None:
        super().__init__(rank, len(pieces))
        object.__setattr__(self, "pieces", pieces)

    def gather(self, value: object) -> list[object]:
        return list(self.pieces)


def test_every_rank_has_as_many_pieces_and_no_example_counts_twice() -> None:
    pieces = [Piece(0, i, i + 1) for i in range(6)]
    mine = [tuple(pieces[:3]), tuple(pieces[3:5]), (), (pieces[5],)]
    total = np.zeros(6)
    for rank, own in enumerate(mine):
        found = even(Pieces(own[:1], own[1:], dict.fromkeys(own, 2.0), 12.0), Gathered(rank, mine))
        assert len(found.mine) == 3
        assert not found.kept
        for piece in found.mine:
            total[piece.start] += found.share(piece)
    np.testing.assert_allclose(total, 1 / 6)
