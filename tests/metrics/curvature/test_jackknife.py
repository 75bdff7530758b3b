from __future__ import annotations

import math

import numpy as np
import pytest

from dyntools.measuring import measure
from dyntools.metrics.curvature.jackknife import jackknife, without_each_group
from dyntools.problem import Problem
from tests import problems


def test_of_a_mean_it_is_the_standard_error() -> None:
    numbers = np.random.default_rng(0).standard_normal(50)
    without = np.array([[np.delete(numbers, i).mean()] for i in range(50)])
    error, bias = jackknife(np.array([numbers.mean()]), without)
    assert error[0] == pytest.approx(numbers.std(ddof=1) / math.sqrt(50))
    assert bias[0] == pytest.approx(0.0, abs=1e-12)


def test_it_finds_the_bias_of_the_variance() -> None:
    """The variance with divisor N is too small by s²/N: the textbook case, exact."""
    numbers = np.random.default_rng(1).standard_normal(30)
    without = np.array([[np.delete(numbers, i).var()] for i in range(30)])
    _, bias = jackknife(np.array([numbers.var()]), without)
    assert bias[0] == pytest.approx(-numbers.var(ddof=1) / 30)


def test_each_example_is_left_out_once() -> None:
    parts = without_each_group(23, 5, seed=3)
    left_out = [np.setdiff1d(np.arange(23), part) for part in parts]
    np.testing.assert_array_equal(np.sort(np.concatenate(left_out)), np.arange(23))
    assert {len(out) for out in left_out} == {4, 5}
    assert all((np.diff(part) > 0).all() for part in parts)
    assert len(without_each_group(3, 8, seed=0)) == 3


def test_against_dense_hessians_without_each_group() -> None:
    problem = problems.classifier()
    found = measure(problems.snapshot_of(problem), "hessian_top", k=2, groups=4, rtol=1e-9, seed=5)
    parts = without_each_group(48, 4, seed=5)
    tops = np.array([problems.eigenvalues(problems.dense(_part(problem, p)))[:2] for p in parts])
    whole = problems.eigenvalues(problems.dense(problem))[:2]
    error, bias = jackknife(whole, tops)
    np.testing.assert_allclose(found.beside["sampling_error"][0], error, rtol=1e-6)
    np.testing.assert_allclose(found.beside["sampling_bias"][0], bias, rtol=1e-6)


def _part(problem: Problem, examples: np.ndarray) -> Problem:  # type: ignore[type-arg]
    import torch

    x, y = (torch.cat([batch[i] for batch in problem.batches])[examples] for i in (0, 1))
    return Problem(problem.model, [(x, y)], problem.loss, engine=problem.engine)
