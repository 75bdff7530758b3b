"""Noise: unbiased on data of known covariance, with errors that cover; by Monte Carlo."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import t as student

from dyntools.metrics.gradients import noise
from dyntools.metrics.gradients.noise import delete_group
from dyntools.problem import Problem
from tests.metrics.gradients.known_noise import by_hand, springs, statistics
from tests.problems import EXACT, Array, softmax_regression

WIDTHS = np.linspace(0.5, 2.0, 30)
AT = np.full(30, 0.4)
TRACE, SQUARED = float((WIDTHS**2).sum()), float((AT**2).sum())


BATCHES = np.array([2, 6, 4, 8, 10, 3, 7, 8])


def points(seed: int, examples: int) -> Array:
    return np.random.default_rng(seed).normal(size=(examples, 30)) * WIDTHS


@pytest.mark.parametrize("whole", [False, True], ids=["examples", "whole batches of several sizes"])
def test_trace_and_squared_norm_are_unbiased(whole: bool) -> None:
    """Within 3.5 standard errors; whole batches know the trace from 8 of them alone."""
    batches = BATCHES if whole else None
    found = [noise.of_all(by_hand(points(seed, 48), AT, batches=batches)) for seed in range(400)]
    for values, truth in (
        ([float(n.trace) for n in found], TRACE),
        ([float(n.squared) for n in found], SQUARED),
    ):
        error = np.std(values, ddof=1) / np.sqrt(len(values))
        assert abs(np.mean(values) - truth) < 3.5 * error
        assert error < 0.03 * truth  # so that K in place of K - 1 would show


@pytest.mark.parametrize("whole", [False, True], ids=["examples", "whole batches of several sizes"])
def test_the_pass_gives_what_is_made_by_hand(whole: bool) -> None:
    cuts = tuple(np.cumsum(BATCHES)[:-1].tolist())
    here = points(9, 48)
    found = noise.of_all(statistics(springs(here, AT, cuts=cuts, whole=whole)))
    exact = noise.of_all(by_hand(here, AT, batches=BATCHES if whole else None))
    np.testing.assert_allclose(found.trace, exact.trace, rtol=1e-12)
    np.testing.assert_allclose(found.squared, exact.squared, rtol=1e-12)
    if whole:
        np.testing.assert_allclose(found.covariance, exact.covariance, rtol=1e-9)
    else:  # by other groups
        np.testing.assert_allclose(found.trace_error, exact.trace_error, rtol=0.6)


def test_errors_cover_the_truth_as_often_as_they_should() -> None:
    found = [noise.of_all(by_hand(points(1000 + s, 128), AT)) for s in range(300)]
    for pull in (
        np.array([(n.trace - TRACE) / n.trace_error for n in found]),
        np.array([(n.squared - SQUARED) / n.squared_error for n in found]),
        np.array([(n.ratio - TRACE / SQUARED) / n.ratio_error for n in found]),
    ):
        assert 0.7 < np.std(pull) < 1.35
        assert np.mean(np.abs(pull) < 2) > 0.87
    assert covered(found) > 0.9


def covered(found: list[noise.Noise]) -> float:
    return float(
        np.mean([low <= TRACE / SQUARED <= high for low, high in (n.bounds for n in found)])
    )


@pytest.mark.parametrize("count", [3, 5, 12])
def test_bounds_of_few_whole_batches_cover_as_well(count: int) -> None:
    """Of batches so large that the mean is known well, and only the trace is not."""
    batches = np.full(count, 64)
    found = [
        noise.of_all(by_hand(points(2000 + s, 64 * count), AT, batches=batches)) for s in range(200)
    ]
    assert covered(found) > 0.91  # with the error of |G|² alone below a half
    assert np.isfinite([n.bounds[1] for n in found]).mean() > 0.9


@pytest.mark.parametrize(("spread", "least", "most"), [(0.5, 0.87, 0.97), (1.0, 0.68, 0.85)])
def test_bounds_of_heavy_tails_cover_less(spread: float, least: float, most: float) -> None:
    """The numbers of the page: the largest examples are yet to come."""
    found = []
    for seed in range(200):
        generator = np.random.default_rng(seed)
        radius = np.exp(spread * generator.normal(size=(256, 1)) - spread**2)
        strong = 3.0 * AT + generator.normal(size=(256, 30)) * WIDTHS * radius
        found.append(noise.of_all(by_hand(strong, 0 * AT)))
    truth = TRACE / SQUARED / 9.0
    held = np.mean([low <= truth <= high for low, high in (n.bounds for n in found)])
    assert least < held < most


def test_bounds_are_those_of_fieller() -> None:
    """Where S - ρQ is t standard errors from zero; and one-sided where a sign is not known."""
    t2 = float(student.ppf(0.5 + 0.9545 / 2, 15)) ** 2
    covariance = np.array([[0.04, 0.01], [0.01, 0.09]])
    low, high = noise.Noise(np.array(3.0), np.array(2.0), covariance, 16).bounds
    for rho in (float(low), float(high)):
        slope = np.array([1.0, -rho])
        assert (3.0 - rho * 2.0) ** 2 == pytest.approx(t2 * slope @ covariance @ slope, rel=1e-9)
    assert low < 1.5 < high
    low, high = noise.Noise(np.array(3.0), np.array(0.2), covariance, 16).bounds
    assert np.isposinf(high)
    assert 0.0 < low < 15.0
    low, high = noise.Noise(np.array(0.1), np.array(2.0), covariance, 16).bounds
    assert low == 0.0
    assert 0.05 < high < 1.0
    low, high = noise.Noise(np.array(3.0), np.array(-2.0), covariance, 16).bounds
    assert np.isnan(low)
    assert np.isposinf(high)


def test_what_is_not_finite_has_no_bounds() -> None:
    broken = points(3, 64)
    broken[5, 2] = np.nan
    assert np.isnan(noise.of_all(by_hand(broken, AT)).bounds).all()


def test_two_units_tell_a_trace_and_no_error_of_it() -> None:
    """Without one of two there is no spread, so nothing is known of how well it is known."""
    found = noise.of_all(by_hand(points(4, 32), AT, batches=np.array([16, 16])))
    assert float(found.trace) > 0.0
    assert np.isnan(found.covariance).all()
    assert np.isnan(found.bounds).all()
    assert np.isnan(noise.by_tensor(by_hand(points(4, 2), AT, batches=np.ones(2))).trace_error)
    three = noise.of_all(by_hand(points(4, 48), AT, batches=np.full(3, 16)))
    assert float(three.trace_error) > 0.0


def test_the_error_of_examples_of_unequal_length() -> None:
    """The mean told error of the trace is its spread over data sets; with w̄ held, nearly twice."""
    found = []
    for seed in range(300):
        terms = np.random.default_rng(seed).integers(1, 17, 128).astype(np.float64)
        found.append(noise.of_all(by_hand(points(3000 + seed, 128), AT, terms=terms)))
    spread = np.std([float(n.trace) for n in found], ddof=1)
    assert np.mean([float(n.trace_error) for n in found]) == pytest.approx(spread, rel=0.2)


def test_two_batch_sizes_agree_and_are_the_published_formula() -> None:
    found = by_hand(points(0, 320), AT)
    both = noise.two_sizes(found)
    gram, big, small = found.gram.sum(0), 320.0, 20.0
    whole = gram.mean()
    one = np.diag(gram).mean()
    np.testing.assert_allclose(both.trace, (one - whole) / (1 / small - 1 / big), rtol=1e-9)
    np.testing.assert_allclose(both.squared, (big * whole - small * one) / (big - small), rtol=1e-9)
    assert both.trace == pytest.approx(TRACE, rel=0.3)


def test_pure_noise_has_no_scale_but_a_lower_bound() -> None:
    found = [noise.of_all(by_hand(points(s, 64), 0 * AT)) for s in range(40)]
    assert any(np.isnan(n.ratio) for n in found)
    for low, high in (n.bounds for n in found):
        assert np.isinf(high) or low > 10.0


def test_under_a_preconditioner_both_are_scaled_by_coordinates() -> None:
    here = points(5, 4000)
    scale = torch.from_numpy(WIDTHS**2)
    found = noise.preconditioned(statistics(springs(here, AT), scale))
    assert found is not None
    assert float(found.trace) == pytest.approx(30.0, rel=0.02)
    truth = float((AT**2 / WIDTHS**2).sum())
    assert abs(float(found.squared) - truth) < 4 * float(found.squared_error)
    assert float(found.squared_error) < 0.2 * truth
    assert noise.preconditioned(statistics(springs(here[:50], AT))) is None


def test_under_a_preconditioner_the_error_is_that_of_its_own_trace() -> None:
    """The jackknife over the same groups of the data itself, and the spread over data sets."""
    scale = np.where(np.arange(30) == 4, 1e-3, 1.0)  # by one weight: all others tell its error ill
    traces, errors = [], []
    for seed in range(60):
        here = points(seed, 128)
        problem = springs(here, AT, cuts=(40,))
        found = statistics(problem, torch.from_numpy(scale))
        one = noise.preconditioned(found)
        assert one is not None
        traces.append(float(one.trace))
        errors.append(float(one.trace_error))
    assert np.mean(errors) == pytest.approx(np.std(traces, ddof=1), rel=0.3)
    assert np.mean(errors) / np.mean(traces) > 2 * float(noise.of_all(found).trace_error) / TRACE
    starts = (0, 40)
    rows, group = np.empty(128, dtype=int), found.units.group
    for part in found.units.parts:
        rows[part.numbers] = part.rows + starts[part.batch]
    scaled = ((AT - here) / np.sqrt(scale))[rows]
    assert found.scaled is not None
    energy = np.bincount(group, weights=(scaled**2).sum(1))
    np.testing.assert_allclose(found.scaled.energy, energy, rtol=1e-12)
    without = [scaled[group != j].var(0, ddof=1).sum() for j in range(16)]
    assert errors[-1] == pytest.approx(np.sqrt(15 * np.var(without)), rel=1e-9)


def test_leaving_out_one_of_equal_groups_is_the_common_jackknife() -> None:
    """Of a mean, whose jackknife error is its standard error."""
    values = np.random.default_rng(6).normal(size=(12, 2))
    without = np.stack([np.delete(values, i, 0).mean(0) for i in range(12)])
    found = delete_group(values.mean(0), without, np.ones(12))
    np.testing.assert_allclose(found, np.cov(values.T) / 12, rtol=1e-12)


def test_leaving_out_groups_of_unequal_size() -> None:
    """Of a mean of 60 draws: over many data sets the told variance is that of the mean."""
    generator, sizes = np.random.default_rng(7), np.array([2, 4, 6, 8, 10, 30])
    told = []
    for _ in range(400):
        groups = np.split(generator.normal(size=60), np.cumsum(sizes)[:-1])
        sums = np.array([group.sum() for group in groups])
        without = (sums.sum() - sums) / (60 - sizes)
        told.append(delete_group(np.array([sums.sum() / 60]), without[:, None], sizes)[0, 0])
    assert np.mean(told) == pytest.approx(1 / 60, rel=0.15)


def test_fisher_identity_where_the_model_is_the_truth() -> None:
    """With labels drawn from the model itself the second moment of gradients is the Hessian."""
    from torch.nn.functional import cross_entropy

    problem, _ = softmax_regression(examples=6000, features=4, classes=3, seed=3)
    x = problem.batches[0][0]  # type: ignore[index]
    with torch.no_grad():
        p = problem.model(x).softmax(-1)
    y = torch.multinomial(p, 1, generator=torch.Generator().manual_seed(0))[:, 0]
    true = Problem(problem.model, [(x, y)], lambda z, b: cross_entropy(z, b[1]), engine=EXACT)
    found = statistics(true)
    curvature = float(((p * (1 - p)).sum(1) * (x**2).sum(1)).mean())  # the trace of the Hessian
    one = noise.of_all(found)
    assert abs(float(one.trace) - curvature) < 4 * float(one.trace_error)
    assert float(one.trace_error) < 0.02 * curvature
    assert abs(float(one.squared)) < 3 * float(one.squared_error)  # a minimum, but for noise


def test_terms_of_examples_weigh_as_in_the_loss_of_a_batch() -> None:
    """Σ/B is the covariance of the gradient of B examples drawn at random, a ratio of sums."""
    generator = np.random.default_rng(8)
    here, terms = generator.normal(size=(300, 6)) + 1.0, generator.integers(1, 9, 300)
    here *= np.sqrt(terms)[:, None]  # so that weights and gradients go together
    one = springs(here, np.zeros(6))
    batch = (one.batches[0], torch.from_numpy(terms.astype(np.float64)))  # type: ignore[index]
    problem = Problem(
        one.model,
        [batch],
        lambda losses, batch: (losses * batch[1]).sum() / batch[1].sum(),
        weight=lambda batch: float(batch[1].sum()),
        engine=one.engine,
    )
    found = statistics(problem)
    h = -here
    drawn_at = generator.integers(0, 300, (4000, 60))
    w = terms[drawn_at][..., None]
    gradients = (w * h[drawn_at]).sum(1) / w.sum(1)
    trace = 60 * gradients.var(0, ddof=1).sum()
    assert found.traces.sum() == pytest.approx(trace, rel=0.05)
    unweighted = h.var(0, ddof=1).sum()
    assert abs(unweighted - trace) > 0.1 * trace
