"""log Z and margins of logits that are written down."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from dyntools.live import snapshot_of
from dyntools.measurement import Measurement
from dyntools.measuring import measure
from dyntools.metrics import find
from dyntools.problem import Engine, Problem
from tests.metrics.activations.probes import Through, classified, through

LOGITS = find("output_logits")


def test_equal_logits_give_log_of_the_classes() -> None:
    labels = torch.arange(20) % 8
    found = measure(classified(torch.zeros(20, 8, dtype=torch.float64), labels, 7), LOGITS)
    assert float(found.values) == pytest.approx(np.log(8), rel=1e-12)
    assert found.beside["norm"] == 0.0
    assert found.beside["margin"] == 0.0


def test_against_numpy_with_places_that_do_not_count() -> None:
    generator = torch.Generator().manual_seed(0)
    z = 3 * torch.randn(12, 5, 6, generator=generator, dtype=torch.float64)
    labels = torch.randint(6, (12, 5), generator=generator)
    labels[:, 0] = -100
    found = measure(classified(z, labels, 5), LOGITS)
    rows, y = z[:, 1:].reshape(-1, 6).numpy(), labels[:, 1:].reshape(-1).numpy()
    log_z = np.log(np.exp(rows).sum(1))
    others = np.where(np.arange(6) == y[:, None], -np.inf, rows).max(1)
    margin = rows[np.arange(len(y)), y] - others
    assert float(found.values) == pytest.approx(log_z.mean(), rel=1e-10)
    assert found.beside["margin"] == pytest.approx(margin.mean(), rel=1e-10)
    assert found.beside["accuracy"] == pytest.approx((margin > 0).mean())
    norm = np.linalg.norm(rows - rows.mean(1, keepdims=True), axis=1).mean()
    assert found.beside["norm"] == pytest.approx(norm, rel=1e-10)
    assert found.beside["terms"] == 48


def test_terms_whose_probability_has_rounded_to_one_count() -> None:
    z = torch.eye(4, dtype=torch.float64)[torch.arange(12) % 4] * 200.0
    z[:6] = 0.0
    found = measure(classified(z, torch.arange(12) % 4, 6), LOGITS)
    assert found.beside["terms"] == 12
    assert float(found.values) == pytest.approx((200 + np.log(4)) / 2, rel=1e-10)


def by_tokens(
    z: Tensor, labels: Tensor, dtype: torch.dtype, smoothing: float = 0.0, penalty: float = 0.0
) -> Measurement:
    """A model whose logits (n, T, C) are its inputs, in batches of 5 examples."""

    def loss(z: Tensor, batch: tuple[Tensor, Tensor]) -> Tensor:
        mean = cross_entropy(z.flatten(0, 1), batch[1].flatten(), label_smoothing=smoothing)
        return mean + penalty * z.logsumexp(-1).square().mean()

    model = Through(nn.Identity(), z.shape[-1])
    batches = list(zip(z.split(5), labels.split(5), strict=True))
    problem = Problem(model, batches, loss, engine=Engine(dtype=dtype))
    return measure(snapshot_of(model, 0, problem=problem), LOGITS)


@pytest.mark.parametrize("gap", [30.0, 300.0])
def test_sure_places_count_where_they_have_a_label_and_nowhere_else(gap: float) -> None:
    """Padding of which a model is sure looked like a label of which it is sure."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(5, (32, 8), generator=generator)
    sure = torch.rand(32, 8, generator=generator) < 0.5
    z = torch.randn(32, 8, 5, generator=generator) + gap * sure[..., None] * one_hot(labels, 5)
    there = torch.rand(32, 8, generator=generator) > 0.3
    found = by_tokens(z, torch.where(there, labels, -100), torch.float32)
    rows, y = z[there].double().numpy(), labels[there].numpy()
    others = np.where(np.arange(5) == y[:, None], -np.inf, rows).max(1)
    margin = rows[np.arange(len(y)), y] - others
    assert found.beside["terms"] == len(y) > 100
    assert float(found.values) == pytest.approx(np.logaddexp.reduce(rows, 1).mean(), rel=1e-5)
    assert found.beside["margin"] == pytest.approx(margin.mean(), rel=1e-5)
    assert found.beside["accuracy"] == pytest.approx((margin > 0).mean())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rounding_of_few_bits_is_no_other_loss(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    z = 2 * torch.randn(20, 4, 10, generator=generator)
    labels = torch.randint(10, (20, 4), generator=generator)
    found = by_tokens(z, labels, dtype)
    assert float(found.values) == pytest.approx(float(z.logsumexp(-1).mean()), rel=0.01)
    assert found.beside["terms"] == 80
    assert "label smoothing" in by_tokens(z, labels, dtype, smoothing=0.2).skipped[""]
    assert "no single" not in by_tokens(z, labels, dtype, penalty=0.1).skipped[""]
    assert "no mean" not in by_tokens(z, labels, dtype, penalty=0.1).skipped[""]


def test_a_loss_that_is_a_cross_entropy_at_zero_alone_is_refused() -> None:
    """(log Z)² has the gradient 2 log Z · p: large at large logits, where p is sure."""
    labels = torch.arange(20).reshape(10, 2) % 4
    z = 50.0 * one_hot(labels, 4).double()
    assert "not a mean" in by_tokens(z, labels, torch.float64, penalty=1e-4).skipped[""]


def test_terms_that_the_problem_counts_otherwise_are_told() -> None:
    """The first batch is checked against its count; of the second the count alone is wrong."""
    x, labels = torch.zeros(8, 3, dtype=torch.float64), torch.arange(8) % 3
    model = Through(nn.Identity(), 3)
    batches = [(x[:4], labels[:4], 4.0), (x[4:], labels[4:], 6.0)]
    problem = Problem(
        model,
        batches,
        lambda z, b: cross_entropy(z, b[1]),
        weight=lambda b: b[2],
        engine=Engine(dtype=torch.float64),
    )
    told = measure(snapshot_of(model, 0, problem=problem), LOGITS).skipped[""]
    assert "4 terms" in told
    assert "6" in told


def test_the_error_does_not_know_the_order_of_the_examples() -> None:
    """Of examples sorted by their log Z it was three times the standard error of a mean."""
    ratios = []
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        z = torch.randn(96, 1, generator=generator, dtype=torch.float64).sort(0).values
        found = measure(classified(z.expand(96, 4).clone(), torch.arange(96) % 4, 40), LOGITS)
        assert found.error is not None
        ratios.append(float(found.error) / (float(z.std()) / 96**0.5))
    assert 0.85 < np.sqrt(np.mean(np.square(ratios))) < 1.15


def test_another_loss_is_refused_with_a_sentence() -> None:
    found = measure(through(nn.ReLU(), [torch.randn(5, 3, dtype=torch.float64)]), LOGITS)
    assert np.isnan(found.values)
    assert "cross-entropy" in found.skipped[""]
