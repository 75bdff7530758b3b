"""Groups of examples, for the errors of all metrics of activations."""

from __future__ import annotations

import pytest
import torch

from dyntools.activations.patterns import GROUPS, Examples, drawn_groups


@pytest.mark.parametrize("count", [8, 96, 101, 5])
def test_groups_are_of_equal_size_and_the_same_in_any_pieces(count: int) -> None:
    groups = drawn_groups(count)
    sizes = torch.bincount(groups, minlength=GROUPS)
    assert int(sizes.sum()) == count
    assert int(sizes.max() - sizes.min()) <= 1
    pieces = [range(3), range(3, count)]
    found = torch.cat([Examples.of(count).groups(numbers) for numbers in pieces])
    assert torch.equal(found, groups)


def test_they_know_nothing_of_the_order() -> None:
    """The mean number of each group is that of all, to 1/√n of its spread, as in a random draw."""
    count = 8000
    groups, numbers = drawn_groups(count), torch.arange(count).double()
    for group in range(GROUPS):
        mean = float(numbers[groups == group].mean())
        assert abs(mean - count / 2) < 4 * count / 12**0.5 / (count / GROUPS) ** 0.5
