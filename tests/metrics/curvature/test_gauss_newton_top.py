from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, jacrev

from dyntools.measurement import Status
from dyntools.measuring import measure
from dyntools.problem import Engine, Problem
from tests import problems
from tests.problems import Array, classifier, eigenvalues, snapshot_of


def gauss_newton(problem: Problem) -> Array:
    """mean Jᵀ (diag p - p pᵀ) J of a classifier, written out."""
    params = {name: p.detach() for name, p in problem.model.named_parameters()}
    x = torch.cat([batch[0] for batch in problem.batches])
    jacobian = jacrev(lambda values: functional_call(problem.model, values, (x,)))(params)
    flat = torch.cat([j.flatten(2) for j in jacobian.values()], dim=2)
    p = functional_call(problem.model, params, (x,)).softmax(-1)
    middle = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    return (torch.einsum("nci,ncd,ndj->ij", flat, middle, flat) / len(x)).detach().numpy()


def test_of_a_network_against_the_formula() -> None:
    problem = classifier()
    g, h = gauss_newton(problem), problems.dense(problem)
    found = measure(snapshot_of(problem), "gauss_newton_top", k=6, rtol=1e-10)
    assert found.error is not None
    assert (found.status == Status.ok).all()
    truth, vectors = np.linalg.eigh(g)
    assert (np.abs(found.values - truth[::-1][:6]) <= found.error + 1e-13).all()
    along = np.einsum("ik,ij,jk->k", vectors, h, vectors)[::-1][:6]
    np.testing.assert_allclose(found.beside["hessian"], along, rtol=1e-4, atol=1e-6)
    assert found.values[0] != np.float64(eigenvalues(h)[0])


def test_of_a_linear_model_both_agree() -> None:
    """No second derivative of the outputs: G = H, and the split shows nothing left."""
    problem, hessian = problems.softmax_regression()
    found = measure(snapshot_of(problem), "gauss_newton_top", k=5)
    np.testing.assert_allclose(found.values, eigenvalues(hessian)[:5], rtol=2e-3)
    np.testing.assert_allclose(found.beside["hessian"], found.values, rtol=1e-9)


def test_the_residual_part_vanishes_as_the_data_are_fitted() -> None:
    """Squared error with targets off by a given size: H - G is proportional to that size."""
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(20, 4, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=generator))
    residuals = torch.randn(20, 2, generator=generator, dtype=torch.float64)
    parts = []
    for size in (1e-3, 1.0):
        problem = Problem(
            net,
            [(x, net(x).detach() + size * residuals)],
            lambda z, batch: (z - batch[1]).square().sum(-1).mean(),
            engine=Engine(dtype=torch.float64),
        )
        found = measure(snapshot_of(problem), "gauss_newton_top", k=4, rtol=1e-9)
        parts.append(np.abs(found.beside["hessian"] - found.values))
    assert (parts[0] < 1e-3 * found.values).all()
    np.testing.assert_allclose(parts[0], 1e-3 * parts[1], rtol=1e-3)


def test_without_the_split_it_costs_less() -> None:
    snapshot = snapshot_of(classifier())
    whole = measure(snapshot, "gauss_newton_top", k=4)
    bare = measure(snapshot, "gauss_newton_top", k=4, split=False)
    assert bare.matvecs == whole.matvecs - 4
    assert bare.values.tobytes() == whole.values.tobytes()
    assert not bare.beside


def test_more_than_the_matrix_has_is_absent() -> None:
    problem, _ = problems.logistic_regression(features=3)
    found = measure(snapshot_of(problem), "gauss_newton_top", k=5)
    assert found.status.tolist() == [0, 0, 0, Status.absent, Status.absent]
    assert np.isnan(found.beside["hessian"][3:]).all()
