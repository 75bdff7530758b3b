"""Second moments estimated from gradients, against gradients worked out on paper."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dyntools.checkpoint import OptimizerState
from dyntools.errors import ProblemError
from dyntools.moments import Moments, moments_of
from dyntools.problem import Engine
from dyntools.problem.second_moments import Estimate, estimated
from tests import problems

EXAMPLES = 30
NEARLY_ONE = 1.0 - 1e-9  # the running average is then a plain mean, to 1e-7


def example_gradients() -> np.ndarray:
    """(examples, outputs, features): (W x - y) xᵀ of each example of the linear regression."""
    problem, _ = problems.linear_regression(EXAMPLES)
    (x, y) = problem.batches[0]
    weight = problem.model.weight.detach().numpy()
    residual = x.numpy() @ weight.T - y.numpy()
    return np.asarray(residual[:, :, None] * x.numpy()[:, None, :])


def state_of(estimate: Estimate) -> OptimizerState:
    problem, _ = problems.linear_regression(EXAMPLES)
    return estimated(problems.snapshot_of(problem).risk(), estimate)


def moments(estimate: Estimate) -> Moments:
    found = moments_of(state_of(estimate), "weight", (3, 4))
    assert isinstance(found, Moments)
    return found


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_equal_gradients_give_the_closed_form_of_adam(steps: int) -> None:
    """With all examples in each batch every gradient is G: m = (1-β1^t) G, v = (1-β2^t) G²."""
    found = moments(Estimate(steps, EXAMPLES, 0.8, 0.95))
    whole = example_gradients().mean(0)
    np.testing.assert_allclose(found.v().numpy(), (1 - 0.95**steps) * whole**2, rtol=1e-12)
    assert found.first is not None
    np.testing.assert_allclose(found.first.read().numpy(), (1 - 0.8**steps) * whole, rtol=1e-12)
    np.testing.assert_allclose(found.v_hat().numpy(), whole**2, rtol=1e-12)
    assert found.steps == steps


def test_averages_of_bfloat16_gradients_are_taken_in_float32() -> None:
    """In bfloat16 0.999 v rounds to v: an average kept in it does not forget."""
    problem, _ = problems.linear_regression(EXAMPLES, engine=Engine(dtype=torch.bfloat16))
    risk = problems.snapshot_of(problem).risk()

    def v_hat(gradients: int) -> np.ndarray:
        state = estimated(risk, Estimate(gradients, EXAMPLES))
        found = moments_of(state, "weight", (3, 4))
        assert isinstance(found, Moments)
        return found.v_hat().numpy()

    np.testing.assert_allclose(v_hat(600), v_hat(1), rtol=1e-4)


def test_batches_of_one_give_the_mean_squared_gradient_of_an_example() -> None:
    found = moments(Estimate(EXAMPLES, 1, 0.9, NEARLY_ONE))
    expected = (example_gradients() ** 2).mean(0)
    np.testing.assert_allclose(found.v_hat().numpy(), expected, rtol=1e-6)


def test_one_pass_takes_every_example_once() -> None:
    """The mean of the batches is then the gradient of the whole, whatever their order."""
    found = moments(Estimate(5, EXAMPLES // 5, NEARLY_ONE, 0.999, seed=3))
    average = found.m_hat()
    assert average is not None
    np.testing.assert_allclose(average.numpy(), example_gradients().mean(0), rtol=1e-6)


def test_smaller_batches_are_noisier() -> None:
    """E v of a batch of B is G² + (tr of the covariance) / B; drawn here without replacement."""
    gradients = example_gradients()
    mean, spread = gradients.mean(0), gradients.var(0, ddof=1)
    for batch in (1, 3, 10):
        found = moments(Estimate(3000, batch, 0.9, NEARLY_ONE)).v_hat().numpy()
        finite = (EXAMPLES - batch) / EXAMPLES  # of a sample without replacement
        expected = mean**2 + spread * finite / batch
        assert found.sum() == pytest.approx(expected.sum(), rel=0.05), batch


def test_the_batch_is_the_problems_own_unless_told() -> None:
    problem = problems.classifier(examples=48, cut=20)
    risk = problems.snapshot_of(problem).risk()
    own, told = estimated(risk, Estimate(4)), estimated(risk, Estimate(4, 20))
    other = estimated(risk, Estimate(4, 19))
    for name in own.state:
        v = own.state[name]["exp_avg_sq"].read()
        assert torch.equal(v, told.state[name]["exp_avg_sq"].read())
        assert not torch.equal(v, other.state[name]["exp_avg_sq"].read())


def test_the_seed_decides_and_nothing_else() -> None:
    torch.manual_seed(1)
    first = moments(Estimate(6, 4)).v()
    torch.manual_seed(2)
    assert torch.equal(first, moments(Estimate(6, 4)).v())
    assert not torch.equal(first, moments(Estimate(6, 4, seed=1)).v())


def test_it_is_marked_as_what_it_is() -> None:
    state = state_of(Estimate(6, 4, 0.9, 0.95))
    assert state.estimated == (
        "estimated at fixed weights from 6 gradients of batches of 4, β2 0.95, seed 0"
    )
    found = moments_of(state, "weight", (3, 4))
    assert isinstance(found, Moments)
    assert np.isnan(found.lr)
    weights = 0.05 * 0.95 ** np.arange(6)
    assert found.n_eff == pytest.approx(weights.sum() ** 2 / (weights**2).sum())


def test_a_batch_beyond_the_problem_is_refused() -> None:
    with pytest.raises(ProblemError, match="larger than the problem") as caught:
        state_of(Estimate(6, EXAMPLES + 1))
    assert "31 examples of 30" in str(caught.value)


def test_gradients_that_are_not_finite_are_said() -> None:
    problem, _ = problems.linear_regression(EXAMPLES)
    snapshot = problems.snapshot_of(problem)
    risk = snapshot.risk()
    risk.theta.fill_(float("nan"))
    with pytest.raises(ProblemError, match="NaN"):
        estimated(risk, Estimate(2))


@pytest.mark.parametrize(
    "wrong", [{"gradients": 0}, {"batch": 0}, {"beta1": 1.0}, {"beta2": 0.0}, {"seed": -1}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="running averages"):
        replace(Estimate(3), **wrong)
