"""Second-moment drift: known changes, and the null against a simulation of Adam on noise."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor

from dyntools.measurement import Measurement, Status
from dyntools.measuring import measure
from dyntools.metrics.optimizer.second_moment_drift import of_noise
from tests.matrices import gaussian
from tests.metrics.optimizer.adam_states import adam_snapshot, without


def drift(
    now: Tensor, then: Tensor, steps: tuple[float, float] = (1e9, 1e9), **settings: object
) -> Measurement:
    """Ten steps by the numbers of the checkpoints."""
    previous = adam_snapshot({"w": then}, steps=steps[0], step=90, **settings)
    snapshot = adam_snapshot({"w": now}, steps=steps[1], step=100, previous=previous, **settings)
    return measure(snapshot, "second_moment_drift")


def test_dense_reference() -> None:
    now, then = gaussian((30, 20), 0) ** 2, gaussian((30, 20), 1) ** 2
    found = drift(now, then, (40, 60))
    a = now.double().numpy() / (1 - 0.999**60)
    b = then.double().numpy() / (1 - 0.999**40)
    total = np.abs(a - b).sum() / b.sum()
    assert found.values[0] == pytest.approx(total / 20, rel=1e-12)
    assert found.beside["total"][0] == pytest.approx(total, rel=1e-12)
    assert found.beside["l1_ratio"][0] == pytest.approx(a.sum() / b.sum(), rel=1e-12)
    cosine = (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())
    assert found.beside["cosine"][0] == pytest.approx(cosine, rel=1e-12)
    assert found.beside["mean_change"][0] == pytest.approx(np.abs(a - b).mean() / 20, rel=1e-12)
    assert found.beside["steps"][0] == 20


def test_a_scaled_moment_keeps_its_direction() -> None:
    then = gaussian((50,), 0) ** 2
    for scale in (1e-12, 1e-30):  # the second is a gradient of 1e-15, in float64
        found = drift(1.5 * scale * then.double(), scale * then.double())
        assert found.beside["total"][0] == pytest.approx(0.5)
        assert found.beside["l1_ratio"][0] == pytest.approx(1.5)
        assert found.beside["cosine"][0] == pytest.approx(1.0)
        assert found.values[0] == pytest.approx(0.05)


def test_what_does_not_change_does_not_drift() -> None:
    found = drift(torch.ones(4), torch.ones(4))
    assert (found.values[0], found.beside["l1_ratio"][0]) == (0.0, 1.0)
    assert "since step 90" in found.method


def test_the_optimizers_count_goes_before_the_numbers_of_the_checkpoints() -> None:
    assert drift(torch.ones(4), torch.ones(4), (1000, 1500)).beside["steps"][0] == 500
    assert drift(torch.ones(4), torch.ones(4), (1500, 1500)).beside["steps"][0] == 10


def adam_on_noise(beta2: float, stops: tuple[int, int], seed: int) -> list[Tensor]:
    """v at two steps, under Gaussian gradients whose size differs from weight to weight."""
    sizes = gaussian((20000,), seed + 1).exp().double()
    v = torch.zeros(20000, dtype=torch.float64)
    found = []
    generator = torch.Generator().manual_seed(seed)
    for step in range(1, stops[1] + 1):
        g = sizes * torch.randn(20000, generator=generator, dtype=torch.float64)
        v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
        if step in stops:
            found.append(v.clone())
    return found


# 20000 lognormal sizes weigh like some 400 equal ones: the standard error is about 4 % at most.
@pytest.mark.parametrize(
    ("beta2", "stops"),
    [
        (0.999, (1, 2)),
        (0.999, (1, 20)),
        (0.999, (10, 20)),
        (0.999, (300, 400)),
        (0.95, (100, 101)),
        (0.95, (100, 105)),
        (0.95, (100, 300)),
    ],
)
def test_the_null_is_what_noise_gives(beta2: float, stops: tuple[int, int]) -> None:
    then, now = adam_on_noise(beta2, stops, 0)
    found = drift(now, then, stops, betas=(0.9, beta2))
    assert found.values[0] == pytest.approx(found.beside["null"][0], rel=0.1)


@pytest.mark.parametrize(("steps", "between"), [(3, 2), (40, 30), (200, 20)])
def test_the_null_against_an_integral(steps: int, between: int) -> None:
    """(1-a) E|X - Y| of gamma variables, by quadrature of ∫ F(1-G) + G(1-F)."""
    kept = 0.999**between * (1 - 0.999 ** (steps - between)) / (1 - 0.999**steps)
    shapes = []
    for count in (steps - between, between):
        weights = 0.999 ** np.arange(count)
        shapes.append(weights.sum() ** 2 / (weights**2).sum() / 2)
    f, g = (stats.gamma(shape, scale=1 / shape) for shape in shapes)
    apart, _ = integrate.quad(
        lambda x: f.cdf(x) * g.sf(x) + g.cdf(x) * f.sf(x), 0, 60, limit=500, points=[0.5, 1, 2]
    )
    assert of_noise(0.999, steps, between) == pytest.approx((1 - kept) * apart, rel=1e-5)


def test_the_null_in_its_limits() -> None:
    """Two squares of Gaussians: 4/π, halved as the second is averaged with the first."""
    assert of_noise(0.999999, 2, 1) == pytest.approx(2 / math.pi, rel=1e-5)
    n_eff = (1 + 0.99) / (1 - 0.99)
    assert of_noise(0.99, math.inf, 1e5) == pytest.approx(
        2 * math.sqrt(2 / math.pi / n_eff), rel=1e-2
    )
    assert math.isnan(of_noise(0.999, 10, 10))
    assert math.isnan(of_noise(0.999, 10, 20))


def test_first_checkpoint_and_missing_states_are_skipped() -> None:
    now = adam_snapshot({"w": torch.ones(2)})
    assert "before" in measure(now, "second_moment_drift").skipped[""]
    bare = adam_snapshot({"w": torch.ones(2)}, step=90)
    unsaved = adam_snapshot({"w": torch.ones(2)}, previous=replace(bare, open_optimizer=None))
    found = measure(unsaved, "second_moment_drift")
    assert found.status[0] == Status.skipped
    assert found.skipped["w"] == "there is no optimizer state at step 90"
    young = without(bare, "exp_avg_sq")
    found = measure(adam_snapshot({"w": torch.ones(2)}, previous=young), "second_moment_drift")
    assert found.skipped["w"].startswith("at step 90: ")


def test_estimates_at_fixed_weights_do_not_drift() -> None:
    found = measure(
        adam_snapshot(
            {"w": torch.ones(2)},
            estimated="estimated",
            previous=adam_snapshot({"w": torch.ones(2)}, estimated="estimated", step=90),
        ),
        "second_moment_drift",
    )
    assert "do not drift" in found.skipped["w"]


def test_zero_before_and_broken_moments_fail() -> None:
    assert "zero everywhere" in drift(torch.ones(3), torch.zeros(3)).skipped["w"]
    assert drift(torch.zeros(3), torch.ones(3)).beside["total"][0] == 1.0
    assert math.isnan(drift(torch.zeros(3), torch.ones(3)).beside["cosine"][0])
    nan = torch.full((3,), math.nan)
    assert drift(nan, torch.ones(3)).skipped["w"] == "the second moment holds NaN or inf"
    assert drift(torch.ones(3), nan).skipped["w"].endswith("at the previous checkpoint")
    assert drift(torch.ones(3), nan).status[0] == Status.failed
