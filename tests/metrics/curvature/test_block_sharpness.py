"""block_sharpness against dense Hessians: expectation, standard error, kinds, fused tensors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dyntools.layer_kinds import Kinds
from dyntools.measurement import Status
from dyntools.measuring import measure
from dyntools.problem import Problem
from dyntools.snapshot import Snapshot, Tensors
from tests import problems

SEEDS = 60


def block_means(problem: Problem) -> problems.Array:
    """Tr(H_bb) / size of every tensor, from the dense Hessian."""
    diagonal = np.diag(problems.dense(problem))
    ends = np.cumsum([p.numel() for p in problem.model.parameters()])[:-1]
    return np.array([part.mean() for part in np.split(diagonal, ends)])


def test_one_standard_error_is_one_standard_error() -> None:
    """Over seeds the truth lies within one in about 68 %, within two in about 95 %."""
    problem = problems.classifier()
    truth, snapshot = block_means(problem), problems.snapshot_of(problem)
    draws = [
        measure(replace(snapshot, _computed={}), "block_sharpness", seed=i) for i in range(SEEDS)
    ]
    off = np.stack([(found.values - truth) / found.error for found in draws])
    assert 0.58 <= (np.abs(off) < 1).mean() <= 0.78
    assert (np.abs(off) < 2).mean() >= 0.89
    mean = np.mean([found.values for found in draws], axis=0)
    error = np.mean([found.error for found in draws], axis=0) / np.sqrt(SEEDS)
    assert (np.abs(mean - truth) < 4 * error).all()


def test_what_is_coupled_to_nothing_else_is_exact() -> None:
    """A diagonal Hessian: v_i (Hv)_i = H_ii for every sign."""
    eigenvalues = np.array([3.0, 1.0, -2.0, 0.5])
    problem = problems.quadratic(np.diag(eigenvalues))
    found = measure(problems.snapshot_of(problem), "block_sharpness", probes=2)
    np.testing.assert_allclose(found.values, [eigenvalues.mean()], rtol=1e-12)
    np.testing.assert_allclose(found.error, [0.0], atol=1e-12)
    np.testing.assert_array_equal(found.beside["parameters"], [4.0])
    np.testing.assert_allclose(found.beside["ratio_to_mean"], [1.0])


def test_blocks_add_up_to_the_trace() -> None:
    problem = problems.classifier()
    snapshot = problems.snapshot_of(problem)
    by_layer = measure(snapshot, "block_sharpness")
    by_kind = measure(snapshot, "block_sharpness", block="kind")
    traces = [(one.values * one.beside["parameters"]).sum() for one in (by_layer, by_kind)]
    np.testing.assert_allclose(traces[0], traces[1], rtol=1e-12)
    weighted = by_layer.beside["ratio_to_mean"] * by_layer.beside["parameters"]
    np.testing.assert_allclose(weighted.sum(), by_layer.beside["parameters"].sum())


def test_gauss_newton_of_a_linear_model_is_the_hessian() -> None:
    problem, hessian = problems.softmax_regression()
    snapshot = problems.snapshot_of(problem)
    of_hessian = measure(snapshot, "block_sharpness")
    of_gauss_newton = measure(snapshot, "block_sharpness", matrix="gauss_newton")
    np.testing.assert_allclose(of_gauss_newton.values, of_hessian.values, rtol=1e-9)
    assert abs(of_hessian.values[0] - np.diag(hessian).mean()) < 4 * of_hessian.error[0]


def test_gauss_newton_of_a_network_is_another_matrix() -> None:
    snapshot = problems.snapshot_of(problems.classifier())
    a = measure(snapshot, "block_sharpness")
    b = measure(snapshot, "block_sharpness", matrix="gauss_newton")
    assert (b.values > 0).all()
    assert (np.abs(a.values - b.values)[:3] > 1e-3).all()
    # The outputs are linear in the last bias, so its own block is the same in both.
    np.testing.assert_allclose(a.values[3], b.values[3], atol=3 * float(a.error[3] + b.error[3]))


class Attention(nn.Module):
    """A layer with a fused projection as nanoGPT has it, an embedding and a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.wte = nn.Embedding(6, 4)
        self.ln_1 = nn.LayerNorm(4)
        self.attn = nn.ModuleDict({"c_attn": nn.Linear(4, 12, bias=False)})
        self.lm_head = nn.Linear(4, 6, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.wte(tokens.long())
        q, k, v = self.attn["c_attn"](self.ln_1(x)).chunk(3, -1)
        out: Tensor = self.lm_head(x + (q @ k.mT).softmax(-1) @ v)
        return out


@pytest.fixture(scope="module")
def attention() -> tuple[Problem, Snapshot]:
    generator = torch.Generator().manual_seed(0)
    model = Attention().double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64))
    tokens = torch.randint(6, (8, 5), generator=generator)
    problem = Problem(
        model,
        [(tokens, tokens.roll(-1, 1))],
        lambda z, b: cross_entropy(z.flatten(0, 1), b[1].flatten()),
        engine=problems.EXACT,
    )
    config = {"n_layer": 1, "n_head": 1, "n_embd": 4, "block_size": 5}
    return problem, replace(problems.snapshot_of(problem), config=config)


def test_query_key_and_value_of_a_fused_weight_are_apart(
    attention: tuple[Problem, Snapshot],
) -> None:
    problem, snapshot = attention
    found = measure(snapshot, "block_sharpness", probes=200)
    diagonal = np.diag(problems.dense(problem))
    start = 24 + 4 + 4
    thirds = diagonal[start : start + 48].reshape(3, 16).mean(1)
    names = list(found.coords["block"])
    at = [names.index(f"attn.c_attn.weight[{part}]") for part in ("query", "key", "value")]
    assert (np.abs(found.values[at] - thirds) < 4 * found.error[at]).all()


def test_kinds_are_those_of_the_paper(attention: tuple[Problem, Snapshot]) -> None:
    found = measure(attention[1], "block_sharpness", block="kind")
    kinds = ("embedding", "norm", "attention qk", "attention vo", "head")
    assert found.coords["block"] == kinds
    np.testing.assert_array_equal(found.beside["parameters"], [24, 8, 32, 16, 24])


def test_a_person_may_say_which_block_a_tensor_is_in(attention: tuple[Problem, Snapshot]) -> None:
    told = replace(attention[1], kinds=Kinds((("lm_head.*", "mlp up"),)))
    found = measure(told, "block_sharpness", block="kind")
    blocks = ("embedding", "norm", "attention qk", "attention vo", "mlp")
    assert found.coords["block"] == blocks


def test_products_do_not_grow_with_the_blocks_and_are_shared() -> None:
    snapshot = problems.snapshot_of(problems.classifier())
    risk = snapshot.risk()
    found = snapshot.once("alone", lambda: _measured(snapshot, "block_sharpness"))
    before = risk.products
    assert found.matvecs == before
    _measured(snapshot, "hessian_diagonal")
    _measured(snapshot, "block_sharpness", block="kind")
    assert risk.products == before


def test_weights_that_are_not_finite_give_a_sentence_for_each_block() -> None:
    problem = problems.classifier()
    good = problems.snapshot_of(problem)
    measure(good, "block_sharpness")
    bad = {name: torch.full_like(p, float("nan")) for name, p in good.params.items()}
    for metric in ("block_sharpness", "hessian_diagonal"):
        found = measure(replace(good, params=Tensors.of(bad), _computed={}), metric)
        assert (found.status == Status.failed).all()
        assert np.isnan(found.error).all()
        assert len(found.skipped) == 4


def _measured(snapshot: Snapshot, metric: str, **settings: str):  # type: ignore[no-untyped-def]
    """As `measure`, which would let go of the risk afterwards."""
    from dyntools.metrics import find

    return find(metric).measure(snapshot, **settings)
