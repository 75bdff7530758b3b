"""What is an example of a batch, and how many terms a mean was over."""

from __future__ import annotations

from collections import UserDict
from typing import Any

import pytest
import torch

from dyntools.problem.batches import digest, nbytes, placed, plain, rows, take, terms

IDS = torch.tensor([[1, 2, 0], [2, 1, 1]])
LABELS = torch.tensor([[1, 2, -100], [2, -100, -100]])


@pytest.mark.parametrize(
    ("batch", "count"),
    [
        ((torch.zeros(3, 2), torch.tensor([0, 1, -100])), 2),
        ((torch.zeros(3, 2), torch.zeros(3)), 3),
        (torch.zeros(4, 2), 4),
        ((IDS, LABELS), 3),
        ({"input_ids": IDS, "labels": LABELS}, 1),  # the first position is never predicted
        ({"input_ids": IDS, "labels": torch.tensor([0, -100])}, 1),
        ((torch.zeros(3, 2), torch.zeros(3, dtype=torch.bool)), 3),
    ],
)
def test_terms(batch: Any, count: int) -> None:
    assert terms(batch) == count


def test_what_is_no_example_goes_along() -> None:
    mask, name = torch.ones(5, 5), "a"
    batch = {"x": torch.arange(6.0).reshape(3, 2), "mask": mask, "name": name, "y": [IDS.T]}
    assert rows(batch) == 3
    part = take(batch, slice(1, 3))
    assert part["x"].tolist() == [[2.0, 3.0], [4.0, 5.0]]
    assert part["mask"] is mask
    assert part["name"] is name
    assert part["y"][0].shape == (2, 2)
    assert nbytes(part) == 4 * 4 + 100 + 4 * 8


def test_only_floating_point_tensors_change_their_precision() -> None:
    x, y = placed((torch.zeros(2), IDS), torch.device("cpu"), torch.float64)
    assert (x.dtype, y.dtype) == (torch.float64, torch.int64)


def test_a_mapping_of_any_class_is_a_dictionary() -> None:
    assert plain(UserDict(a=1)) == {"a": 1}
    assert type(plain(UserDict(a=1))) is dict


@pytest.mark.parametrize(
    "other",
    [
        (torch.zeros(2, 3), torch.zeros(2)),
        (torch.zeros(3, 2), torch.ones(2)),
        (torch.zeros(2, 3).double(), torch.ones(2)),
        [torch.zeros(2, 3), torch.ones(2)],
    ],
)
def test_digest_tells_values_shapes_types_and_structure_apart(other: Any) -> None:
    one = (torch.zeros(2, 3), torch.ones(2))
    assert digest(one) == digest((torch.zeros(2, 3), torch.ones(2)))
    assert digest(other) != digest(one)
