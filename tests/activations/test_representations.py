"""Debiased CKA against its definition, its null, and what it does not see."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dyntools.activations.likeness import biased_cka, cka, likeness
from dyntools.activations.patterns import drawn_groups
from dyntools.activations.representations import Representation, layers_of

Array = NDArray[np.float64]
N = 128


def represented(x: Array | Tensor, pieces: int = 1) -> Representation:
    found = Representation(len(x))
    tensor = torch.as_tensor(x)
    for numbers in np.array_split(np.arange(len(x)), pieces):
        found.add(tensor[numbers], range(numbers[0], numbers[-1] + 1))
    found.close()
    return found


def song(k: Array, l: Array) -> float:  # noqa: E741
    """The unbiased HSIC as Song et al. 2012 write it."""
    n, ones = len(k), np.ones(len(k))
    k, l = k - np.diag(np.diag(k)), l - np.diag(np.diag(l))  # noqa: E741
    whole = np.trace(k @ l) + (ones @ k @ ones) * (ones @ l @ ones) / ((n - 1) * (n - 2))
    return float((whole - 2 / (n - 2) * ones @ k @ l @ ones) / (n * (n - 3)))


def over_quadruples(k: Array, l: Array) -> float:  # noqa: E741
    """The mean of k_ij (l_ij + l_qr - 2 l_iq) over all four different i, j, q, r."""
    every = [
        k[i, j] * (l[i, j] + l[q, r] - 2 * l[i, q]) for i, j, q, r in permutations(range(len(k)), 4)
    ]
    return float(np.mean(every))


def textbook(x: Array, y: Array) -> float:
    k, l = x @ x.T, y @ y.T  # noqa: E741  # not centred: the estimate must not care
    return song(k, l) / math.sqrt(song(k, k) * song(l, l))


def draw(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def related(seed: int, n: int = N) -> tuple[Array, Array]:
    x = 3.0 + draw(seed, n, 20)
    return x, x @ draw(seed + 1, 20, 30) + 4 * draw(seed + 2, n, 30) - 1.0


def test_the_formula_of_song_is_the_mean_over_quadruples() -> None:
    x, y = draw(0, 7, 3), draw(1, 7, 4)
    assert song(x @ x.T, y @ y.T) == pytest.approx(over_quadruples(x @ x.T, y @ y.T), rel=1e-10)


def test_against_the_textbook_in_float64() -> None:
    x, y = related(0)
    found = likeness(represented(x), represented(y))
    assert found.value == pytest.approx(textbook(x, y), rel=1e-10)
    assert 0.2 < found.value < 0.9
    assert found.examples == N
    group = drawn_groups(N).numpy()
    without = np.array([textbook(x[group != g], y[group != g]) for g in range(8)])
    jackknife = math.sqrt(7 / 8 * ((without - without.mean()) ** 2).sum())
    assert found.error == pytest.approx(jackknife, rel=1e-8)


def test_the_biased_form_is_that_of_kornblith() -> None:
    x, y = related(3)
    x0, y0 = x - x.mean(0), y - y.mean(0)
    norm = np.linalg.norm
    wanted = norm(x0.T @ y0) ** 2 / (norm(x0.T @ x0) * norm(y0.T @ y0))
    assert likeness(represented(x), represented(y)).biased == pytest.approx(wanted, rel=1e-10)


@pytest.mark.parametrize("width", [64, 512])
def test_null_of_independent_isotropic_features(width: int) -> None:
    """Biased d/(d + n); debiased zero, spread as the cosine of n (n - 3) / 2 independent pairs."""
    draws = 60
    pairs = [(draw(s, N, width), draw(10_000 + s, N, width)) for s in range(draws)]
    grams = [(x @ x.T, y @ y.T) for x, y in pairs]
    values = np.array([cka(*pair) for pair in grams])
    spread = math.sqrt(2 / (N * (N - 3)))
    assert abs(values.mean()) < 4 * spread / math.sqrt(draws)
    assert values.std() == pytest.approx(spread, rel=0.35)
    biased = np.mean([biased_cka(*pair) for pair in grams])
    assert biased == pytest.approx(width / (width + N), rel=0.02)


def test_with_itself_it_is_one_without_error() -> None:
    found = likeness(represented(draw(5, N, 12)), represented(draw(5, N, 12)))
    assert found.value == pytest.approx(1.0, abs=1e-14)
    assert found.biased == pytest.approx(1.0, abs=1e-14)
    assert found.error < 1e-14


def test_rotation_scale_and_shift_change_nothing() -> None:
    x, y = related(7)
    rotation = np.linalg.qr(draw(8, 30, 30))[0]
    before = likeness(represented(x), represented(y))
    after = likeness(represented(x), represented(100.0 - 0.03 * y @ rotation))
    assert after.value == pytest.approx(before.value, rel=1e-9)
    assert after.error == pytest.approx(before.error, rel=1e-6)
    stretched = y * np.linspace(0.1, 10, 30)  # any other linear map does
    assert abs(likeness(represented(x), represented(stretched)).value - before.value) > 0.01


def test_the_error_is_the_spread_over_draws_of_examples() -> None:
    mix = draw(0, 20, 30)
    found = []
    for seed in range(60):
        x = draw(1 + seed, 256, 20)
        y = x @ mix + 4 * draw(1000 + seed, 256, 30)
        found.append(likeness(represented(x), represented(y)))
    spread = float(np.std([f.value for f in found]))
    assert np.mean([f.error for f in found]) == pytest.approx(spread, rel=0.3)


def test_cut_into_pieces_it_is_the_same() -> None:
    x, y = related(9)
    whole = likeness(represented(x), represented(y))
    assert likeness(represented(x, 5), represented(y, 3)) == whole


def test_an_even_selection_of_examples_and_entries() -> None:
    x = draw(11, 1000, 1500)
    kept = [i for i in range(1000) if i * 256 // 1000 != (i - 1) * 256 // 1000]
    found = represented(x, 7)
    assert found.numbers == kept
    assert len(kept) == 256
    step = next(s for s in range(2, 99) if math.gcd(s, 1500) == 1)  # meets every channel
    assert found.gram is not None
    rows = x[kept][:, ::step]
    rows = rows - rows.mean(0)
    np.testing.assert_allclose(found.gram, rows @ rows.T, rtol=1e-9, atol=1e-9)


def test_memory_is_bounded_by_the_selection() -> None:
    found = Representation(100_000)
    output = torch.zeros(500, 64, 33)
    for start in range(0, 100_000, 500):
        found.add(output, range(start, start + 500))
    assert sum(rows.numel() for rows in found.rows) <= 256 * 1024
    assert all(rows.untyped_storage().nbytes() <= 4 * 1024 * 500 for rows in found.rows)


@pytest.mark.parametrize(
    ("outputs", "sentence"),
    [
        ([torch.randn(3, 8), torch.randn(4, 8)], "does not count the examples"),
        ([torch.randn(4, 5, 8), torch.randn(4, 6, 8)], "different numbers of outputs"),
    ],
)
def test_what_is_no_output_of_each_example_is_unfit(outputs: list[Tensor], sentence: str) -> None:
    found = Representation(8)
    for i, output in enumerate(outputs):
        found.add(output, range(4 * i, 4 * i + 4))
    found.close()
    assert sentence in found.unfit
    assert found.gram is None


def test_an_embedding_of_positions_is_unfit_also_where_their_number_is_that_of_the_examples() -> (
    None
):
    weight = torch.randn(20, 8)
    found = Representation(16)
    found.add(nn.functional.embedding(torch.arange(16), weight), range(16), [weight])
    assert "does not depend" in found.unfit


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        (torch.full((8, 3), math.nan), "NaN"),
        (torch.full((8, 3), 0.1), "the same for all examples"),
        (torch.full((8, 3), 0.1) + 1e-8 * torch.randn(8, 3), "the same for all examples"),
        (torch.randn(3, 3), "3 examples"),
    ],
)
def test_outputs_that_tell_nothing_are_refused(output: Tensor, sentence: str) -> None:
    assert sentence in represented(output).refused


def test_few_examples_have_a_value_and_no_error() -> None:
    x, y = related(2, 6)
    found = likeness(represented(x), represented(y))
    assert found.value == pytest.approx(textbook(x, y), rel=1e-9)
    assert math.isnan(found.error)


def test_layers_are_the_modules_with_parameters_and_without_parts() -> None:
    block = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.BatchNorm1d(2, affine=False))
    model = nn.Sequential(nn.Embedding(3, 2), block, nn.LayerNorm(2), nn.Dropout())
    assert layers_of(model) == {"0", "1.0", "2"}
