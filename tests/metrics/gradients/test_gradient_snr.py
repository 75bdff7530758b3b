"""gradient_snr: mean and variance known by coordinate, without the bias of few examples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from dyntools.measurement import Status
from dyntools.measuring import measure
from dyntools.problem import Problem
from tests.metrics.gradients.known_noise import springs
from tests.problems import EXACT, classifier, snapshot_of

WIDTHS, AT = np.linspace(0.5, 2.0, 200), np.linspace(0.0, 1.0, 200)


def test_signal_over_noise_of_known_noise() -> None:
    here = np.random.default_rng(0).normal(size=(2000, 200)) * WIDTHS
    found = measure(snapshot_of(springs(here, AT)), "gradient_snr")
    truth = float((AT**2).sum() / (WIDTHS**2).sum())
    assert abs(found.values[0] - truth) < 4 * found.error[0]  # type: ignore[index]
    assert found.error[0] < 0.05 * truth  # type: ignore[index]
    for name, share in (("q10", 0.1), ("median", 0.5), ("q90", 0.9)):
        exact = np.quantile(AT**2 / WIDTHS**2, share)
        assert found.beside[name][0] == pytest.approx(exact, rel=0.12, abs=4e-3)
    assert found.beside["raw"][0] == pytest.approx(found.values[0] + 1 / 2000)
    assert found.beside["size"][0] == 200


def test_noise_alone_is_zero_on_average_and_its_signal_one_in_twenty() -> None:
    found = [
        measure(
            snapshot_of(springs(np.random.default_rng(s).normal(size=(60, 200)) * WIDTHS, 0 * AT)),
            "gradient_snr",
        )
        for s in range(5)
    ]
    values = np.array([float(m.values[0]) for m in found])
    assert abs(values.mean()) < 4 * values.std(ddof=1) / np.sqrt(5)
    assert np.abs(values).max() < 0.25 / 60  # of the raw ratio of noise, 1/60
    assert 0.03 < np.mean([m.beside["signal"] for m in found]) < 0.08  # Student's t has more


def test_one_over_it_is_the_noise_scale() -> None:
    snapshot = snapshot_of(springs(np.random.default_rng(1).normal(size=(100, 200)) + 2, 0 * AT))
    snr, scale = measure(snapshot, "gradient_snr"), measure(snapshot, "noise_scale")
    assert 1 / snr.values[0] == pytest.approx(float(scale.values), rel=1e-12)
    relative = float(scale.error / scale.values)  # type: ignore[operator]
    assert snr.error[0] / snr.values[0] == pytest.approx(relative, rel=1e-6)  # type: ignore[index]


def test_every_tensor_has_its_own_and_an_unused_one_says_so() -> None:
    one = classifier()

    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.idle = one.model, nn.Parameter(torch.ones(3, dtype=torch.float64))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.body(x)  # type: ignore[no-any-return]

    problem = Problem(Idle(), one.batches, lambda z, b: cross_entropy(z, b[1]), engine=EXACT)
    found = measure(snapshot_of(problem), "gradient_snr")
    layers = dict(zip(found.coords["layer"], found.status, strict=True))
    assert layers["idle"] == Status.failed
    assert "zero for every example" in found.skipped["idle"]
    assert sum(status == Status.ok for status in layers.values()) == 4


def test_dead_weights_are_counted_and_left_out_of_the_quantiles() -> None:
    here = np.random.default_rng(2).normal(size=(50, 10))
    here[:, :4] = 0.0
    at = np.where(np.arange(10) < 4, 0.0, 1.0)
    found = measure(snapshot_of(springs(here, at)), "gradient_snr")
    assert found.beside["zero"][0] == pytest.approx(0.4)
    assert found.beside["q10"][0] > 0.2


def test_quantiles_of_few_weights_are_those_of_their_definition() -> None:
    """The median of four is the mean of the middle two."""
    here = np.random.default_rng(4).normal(size=(50, 4))
    found = measure(snapshot_of(springs(here, np.arange(4) * 1.0)), "gradient_snr")
    mean = np.arange(4) - here.mean(0)
    ratio = mean**2 / here.var(0, ddof=1) - 1 / 50
    assert found.beside["median"][0] == pytest.approx(np.median(ratio), rel=1e-9)
    for name, share in (("q10", 0.1), ("q90", 0.9)):
        assert found.beside[name][0] == pytest.approx(np.quantile(ratio, share), rel=1e-9)
