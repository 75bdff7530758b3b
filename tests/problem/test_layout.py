"""One flat vector and its parts."""

from __future__ import annotations

import torch

from dyntools.problem.layout import Layout

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "s": torch.tensor(6.0), "b": torch.tensor([7.0])}


def test_there_and_back_without_copying() -> None:
    layout = Layout.of(TENSORS)
    flat = layout.flatten(list(TENSORS.values()))
    assert flat.tolist() == list(range(8))
    parts = layout.split(flat)
    assert [p.shape for p in parts] == [t.shape for t in TENSORS.values()]
    parts[1].fill_(-1.0)
    assert flat[6] == -1.0


def test_a_part_is_in_model_order() -> None:
    layout = Layout.of(TENSORS)
    part = layout.select(["b", "a"])
    assert part.names == ("a", "b")
    assert part.size == 7
    assert layout.take(torch.arange(8.0), part).tolist() == [0, 1, 2, 3, 4, 5, 7]
    assert layout.slices["b"] == slice(7, 8)
