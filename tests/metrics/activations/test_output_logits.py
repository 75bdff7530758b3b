"""log Z and margins of logits that are written down."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dyntools.measuring import measure
from dyntools.metrics import find
from tests.metrics.activations.probes import classified, through

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


def test_another_loss_is_refused_with_a_sentence() -> None:
    found = measure(through(nn.ReLU(), [torch.randn(5, 3, dtype=torch.float64)]), LOGITS)
    assert np.isnan(found.values)
    assert "cross-entropy" in found.skipped[""]
