"""Blocks must tile their tensor exactly; flat runs must be long enough."""

import pytest
import torch

from dyntools.checkpoint import Entry
from dyntools.checkpoints.pieces import Block, from_blocks, joined
from dyntools.errors import CheckpointError


def block(whole, rows, columns):
    part = whole[rows, columns]
    entry = Entry(tuple(part.shape), "float32", part.clone)
    return Block((rows.start, columns.start), entry)


WHOLE = torch.arange(20.0).reshape(4, 5)
TILES = [(slice(0, 2), slice(0, 5)), (slice(2, 4), slice(0, 3)), (slice(2, 4), slice(3, 5))]


def test_a_tiling_of_any_shape():
    entry = from_blocks((4, 5), "float32", [block(WHOLE, *t) for t in TILES], ())
    assert torch.equal(entry.read(), WHOLE)


@pytest.mark.parametrize(
    "tiles",
    [
        TILES[:2],
        [*TILES, TILES[0]],
        [TILES[0], (slice(1, 3), slice(0, 5))],
        [],
    ],
)
def test_holes_and_overlaps_are_refused(tiles):
    with pytest.raises(CheckpointError, match="do not cover"):
        from_blocks((4, 5), "float32", [block(WHOLE, *t) for t in tiles], ())


def test_a_block_outside_is_refused():
    moved = Block((1, 0), block(WHOLE, slice(0, 4), slice(0, 5)).entry)
    with pytest.raises(CheckpointError, match="do not cover"):
        from_blocks((4, 5), "float32", [moved], ())


def test_scalars_and_empty_tensors():
    scalar = Block((), Entry((), "float32", lambda: torch.tensor(2.0)))
    assert from_blocks((), "float32", [scalar], ()).read() == 2
    assert from_blocks((0, 3), "float32", [], ()).read().shape == (0, 3)


def test_parts_end_to_end_lose_their_padding():
    parts = [Entry((3,), "float32", lambda: torch.arange(3.0)) for _ in range(2)]
    assert joined(parts, (1, 5), ()).read().tolist() == [[0, 1, 2, 0, 1]]
    with pytest.raises(CheckpointError, match="fewer elements"):
        joined(parts, (7,), ())
