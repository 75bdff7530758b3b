"""Means and variances over all sets of axes, against NumPy in 80 bits and exact constants."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from dyntools.linalg import axis_moments as module
from dyntools.linalg.axis_moments import axis_moments, subsets
from tests.matrices import gaussian

SHAPES = [
    (6, 5, 3, 4),
    (40, 30),
    (2000, 70),
    (70, 2000),
    (3, 1, 50),
    (500,),
    (1, 9),
    (9, 1),
    (2, 2),
]


def spread(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """Positive values over nine orders of magnitude, in float32."""
    return (3.0 * gaussian(shape, seed)).exp()


def check(tensor: Tensor, rtol: float) -> None:
    exact = tensor.double().numpy().astype(np.longdouble)
    found = dict(axis_moments(tensor))
    assert tuple(found) == subsets(tuple(tensor.shape))
    for axes, over in found.items():
        unit = np.longdouble(2.0) ** over.exponent
        mean, var = (exact / unit).mean(axes).ravel(), (exact / unit).var(axes).ravel()
        np.testing.assert_allclose(over.mean.numpy(), mean.astype(float), rtol=rtol)
        np.testing.assert_allclose(over.var.numpy(), var.astype(float), rtol=rtol)


def test_sets_of_axes_longer_than_one() -> None:
    assert subsets((4, 3)) == ((0,), (1,), (0, 1))
    assert subsets((7, 1, 2)) == ((0,), (2,), (0, 2))
    assert subsets((1, 1)) == subsets(()) == ()
    assert len(subsets((8, 4, 3, 3))) == 15


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("block", [1, 7, 64, 2**16])
def test_every_set_agrees_with_numpy(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], block: int
) -> None:
    """Whatever the blocks, which cut along one axis, or along several where rows are long."""
    if block < 64 and np.prod(shape) > 2000:
        return
    monkeypatch.setattr(module, "BLOCK", block)
    check(spread(shape), 1e-11)


@pytest.mark.parametrize("scale", [1e-40, 1e-24, 1e-20, 1.0, 1e28])
def test_every_scale_of_float32(scale: float) -> None:
    """Down to denormals, whose squares are 1e-90."""
    check((0.1 + gaussian((30, 20, 3), 0).abs()) * scale, 1e-11)


def test_scales_that_differ_inside_one_tensor() -> None:
    tensor = spread((60, 40, 3)) * torch.logspace(-36, 10, 60)[:, None, None]
    assert float(tensor.min()) < 1e-37
    check(tensor, 1e-11)


@pytest.mark.parametrize("scale", [1e-300, 1e-180, 1.0, 1e180, 1e300])
def test_every_scale_of_float64(scale: float) -> None:
    check((0.1 + gaussian((30, 20), 0).double().abs()) * scale, 1e-11)


@pytest.mark.parametrize("deviation", [1e-2, 1e-3, 1e-5, 1e-7])
def test_nothing_cancels(deviation: float) -> None:
    """mean²/var of 1e14: sums of squares alone have no digit left, float32 would have none."""
    tensor = 0.7 * (1.0 + deviation * gaussian((300, 50, 4), 0).double())
    check(tensor, 1e-8)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
@pytest.mark.parametrize("value", [0.1, 1 / 3, 6e-5, 7.7])
def test_constants_have_no_variance_at_all(dtype: torch.dtype, value: float) -> None:
    for _, over in axis_moments(torch.full((777, 95, 3), value, dtype=dtype)):
        assert float(over.var.max()) == 0.0
        assert bool(over.is_constant.all())
        assert not bool(over.is_zero.any())


@pytest.mark.parametrize("shape", [(100_003,), (1001, 77), (77, 1001), (33, 3, 70)], ids=str)
def test_constants_in_float64_are_recognised(shape: tuple[int, ...]) -> None:
    for value in (0.1, 1 / 3, 1e-170):
        tensor = torch.full(shape, value, dtype=torch.float64)
        assert all(bool(over.is_constant.all()) for _, over in axis_moments(tensor))


def test_the_smallest_difference_in_float32_is_no_constant() -> None:
    tensor = torch.full((4, 100_000), 0.1)
    tensor[2, 7] = torch.nextafter(tensor[2, 7], torch.tensor(1.0))
    found = dict(axis_moments(tensor))
    assert found[1,].is_constant.tolist() == [True, True, False, True]
    assert not bool(found[0, 1].is_constant)


def test_slices_that_are_zero_or_constant() -> None:
    tensor = spread((5, 6))
    tensor[1], tensor[3] = 0.0, 0.25
    found = dict(axis_moments(tensor))
    assert found[1,].is_zero.tolist() == [False, True, False, False, False]
    assert found[1,].is_constant.tolist() == [False, False, False, True, False]
    assert not bool(found[0,].is_zero.any() | found[0,].is_constant.any())


def test_layout_in_memory_does_not_matter() -> None:
    """A transposed or channels-last tensor gives the bits of its contiguous copy."""
    for tensor in (spread((40, 30)).mT, spread((4, 5, 6, 3)).permute(0, 3, 1, 2)):
        pairs = zip(axis_moments(tensor), axis_moments(tensor.contiguous()), strict=True)
        for (_, a), (_, b) in pairs:
            assert torch.equal(a.mean, b.mean)
            assert torch.equal(a.var, b.var)


def test_what_is_not_finite_stays_so() -> None:
    tensor = spread((4, 3))
    tensor[2, 1] = torch.nan
    found = dict(axis_moments(tensor))
    assert found[1,].mean.isnan().tolist() == [False, False, True, False]
    assert found[0,].mean.isnan().tolist() == [False, True, False]
    assert bool(found[0, 1].mean.isnan())


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (0,), (0, 5)], ids=str)
def test_nothing_to_average(shape: tuple[int, ...]) -> None:
    assert list(axis_moments(torch.ones(shape))) == []


def test_the_tensor_is_left_as_it_was() -> None:
    for dtype in (torch.float32, torch.float64):
        tensor = spread((70, 30)).to(dtype)
        before = tensor.clone()
        list(axis_moments(tensor))
        assert torch.equal(tensor, before)
