"""Feature rank of features whose spectrum is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dyntools.activations.features import Features, singular_values
from dyntools.activations.patterns import drawn_groups
from dyntools.activations.watching import Product
from dyntools.measurement import Measurement
from dyntools.measuring import measure
from dyntools.metrics import find
from tests.metrics.activations.probes import through


def rank_of(features: Tensor) -> Measurement:
    linear = nn.Linear(features.shape[-1], 3).double()
    return measure(through(linear, features.split(10)), find("feature_rank"))


def test_a_layer_that_no_example_enters_has_no_rank_and_ends_nothing() -> None:
    """An expert to which no token went: its input has no rows."""

    class Experts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = (nn.Linear(4, 4, dtype=torch.float64) for _ in range(2))

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x) + self.idle(x[:0]).sum()

    for count in (10, 300):
        snapshot = through(Experts(), [torch.randn(count, 4, dtype=torch.float64)])
        for name in ("feature_rank", "alignment"):
            found = measure(snapshot, name)
            values = dict(zip(found.coords["layer"], found.values, strict=True))
            assert np.isfinite(values["function.used"])
            assert "went through it" in found.skipped["function.idle"]


def test_orthogonal_rows_fill_as_many_directions() -> None:
    found = rank_of(4.0 * torch.eye(24, dtype=torch.float64)[:20])
    assert found.values[0] == pytest.approx(20, rel=1e-9)
    assert found.beside["above"][0] == 20
    assert found.beside["most"][0] == 20


def test_equal_rows_fill_one() -> None:
    found = rank_of(torch.arange(1.0, 7.0, dtype=torch.float64).expand(30, 6).clone())
    assert found.values[0] == pytest.approx(1, abs=1e-6)
    assert np.isnan(found.beside["centred"][0])


def test_against_singular_values_by_numpy() -> None:
    x = torch.randn(40, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = x * torch.tensor([5.0, 3.0, 1.0, 1.0, 0.5, 0.004], dtype=torch.float64) + 1.0
    found = rank_of(x)
    s = np.linalg.svd(x.numpy(), compute_uv=False)
    p = s / s.sum()
    assert found.values[0] == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-6)
    assert found.beside["above"][0] == (s / np.sqrt(40) > 0.01).sum()
    t = np.linalg.svd((x - x.mean(0)).numpy(), compute_uv=False) ** 2
    for share in (50, 90, 99):
        expected = np.flatnonzero(np.cumsum(t) / t.sum() >= share / 100)[0] + 1
        assert found.beside[f"variance_{share}"][0] == expected


def test_features_that_are_zero_have_no_rank() -> None:
    assert "all zero" in rank_of(torch.zeros(20, 5, dtype=torch.float64)).skipped["function"]


@pytest.mark.parametrize(
    ("n", "d", "mean"), [(40, 9, 1e4), (9, 40, 1e4), (20, 20, 0.0), (7, 1, 2.0), (2, 5, 1.0)]
)
def test_both_spectra_from_one_tridiagonal_matrix(n: int, d: int, mean: float) -> None:
    """Against the singular values of both matrices by NumPy, also far from the origin."""
    rng = np.random.default_rng(n)
    phi = rng.standard_normal((n, d)) + mean * rng.standard_normal(d)
    s, t = singular_values(phi)
    np.testing.assert_allclose(s, np.linalg.svd(phi, compute_uv=False), rtol=1e-6, atol=1e-7)
    exact = np.linalg.svd(phi - phi.mean(0), compute_uv=False)
    np.testing.assert_allclose(t, exact[: len(t)], rtol=1e-8, atol=1e-8)
    assert (exact[len(t) :] < 1e-8).all()


def test_a_direction_far_below_the_mean_is_seen_by_the_centred_spectrum() -> None:
    """Its variance is 1e-14 of the square of the mean: a difference of Gram matrices is blind."""
    x = torch.zeros(30, 8, dtype=torch.float64)
    x[:, 0], x[:15, 3], x[15:, 3] = 1e7, 1.0, -1.0
    assert rank_of(x).beside["centred"][0] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("examples", [10, 100, 200, 256, 300])
def test_rows_are_of_all_positions_however_many_examples(examples: int) -> None:
    """Of nearly as many examples as rows, the first position alone was taken."""
    number, position = torch.meshgrid(torch.arange(examples), torch.arange(64), indexing="ij")
    x = torch.stack([number, position], -1).double()
    features = Features(examples)
    for part in x.split(70):
        first = int(part[0, 0, 0])
        product = Product("a", part, torch.eye(2).double(), part)
        features.add(product, range(first, first + len(part)))
    rows = torch.cat(features.rows)
    assert 256 * 3 / 4 <= len(rows) <= 256
    assert len(rows.unique(dim=0)) == len(rows)
    assert rows[:, 1].unique().numel() == 64
    assert rows[:, 0].unique().numel() == min(examples, 256)
    groups = torch.cat(features.groups)
    assert torch.equal(groups, drawn_groups(examples)[rows[:, 0].long()])
