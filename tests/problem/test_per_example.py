"""Gradients of examples: against a plain loop in float64, whatever the model and the route."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dyntools.errors import ProblemError
from dyntools.problem import Engine, Problem
from dyntools.problem.batches import rows, take
from dyntools.problem.example_gradients import BATCHES, LOOP, TOGETHER
from dyntools.problem.memory import footprint
from dyntools.problem.per_example import PerExample, per_example
from dyntools.problem.probe import probe_of
from dyntools.problem.risk import Risk
from tests.problems import EXACT, Array, classifier, params_of


class Convolutions(nn.Module):
    """With BatchNorm by running statistics, whose parameters are given to each example."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 4, 2)
        )
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).mean((2, 3)))


class Language(nn.Module):
    """Tied embeddings, positions, attention, a layer of Hugging Face's form, a scale by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(11, 6, padding_idx=3), nn.Embedding(5, 6)
        self.norm, self.queries = nn.LayerNorm(6), nn.Linear(6, 18)
        self.weight, self.bias = nn.Parameter(torch.randn(6, 6)), nn.Parameter(torch.zeros(6))
        self.scale, self.mix = nn.Parameter(torch.ones(6)), nn.Parameter(torch.randn(6, 6))
        self.head = nn.Linear(6, 11, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(self.tokens(x) + self.places(torch.arange(x.shape[1])))
        q, k, v = self.queries(h).chunk(3, -1)
        h = h + F.scaled_dot_product_attention(q, k, v, is_causal=True)
        h = h + torch.addmm(self.bias, h.reshape(-1, 6), self.weight).view(h.shape) * self.scale
        h = torch.tanh(h @ self.mix) + torch.matmul(h, self.mix)
        return self.head(h)


class Branching(nn.Module):
    """Asks a value which way to go, which vmap cannot."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 4, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) if float(x.sum()) > 0.0 else self.layer(-x)


class BatchNormByName(nn.Module):
    """Nothing but a name by which batches are not to be cut."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def of(logits: Tensor, batch: Any) -> Tensor:
    return F.cross_entropy(logits.flatten(0, -2), batch[1].flatten())


def images() -> Problem:
    torch.manual_seed(1)
    model = Convolutions().double()
    model.body[1].running_mean.uniform_(-1, 1)
    x = torch.randn(11, 2, 5, 5, dtype=torch.float64)
    batches = [(x[:6], torch.arange(6) % 3), (x[6:], torch.arange(5) % 3)]
    return Problem(model, batches, of, engine=EXACT)


def text() -> Problem:
    """Sequences that count different numbers of tokens, one of them none."""
    torch.manual_seed(2)
    x, y = torch.randint(11, (9, 5)), torch.randint(11, (9, 5))
    y[torch.rand(9, 5) < 0.4] = -100
    y[4] = -100
    return Problem(Language().double(), [(x[:5], y[:5]), (x[5:], y[5:])], of, engine=EXACT)


def branching() -> Problem:
    torch.manual_seed(3)
    x, y = torch.randn(10, 6, dtype=torch.float64), torch.randint(4, (10,))
    return Problem(Branching(), [(x, y)], of, engine=EXACT)


def whole() -> Problem:
    one = classifier(examples=30, cut=7)
    model = nn.Sequential(*one.model, BatchNormByName())
    return Problem(model, one.batches, one.loss, engine=EXACT)


def plainly(problem: Problem, *, cut: bool = True) -> tuple[Array, Array, Array]:
    """Gradients (K, n), terms (K,) and sizes (K,) of all that count, one backward pass each."""
    found, terms, sizes = [], [], []
    problem.model.eval()
    for batch in problem.batches:
        parts = [take(batch, slice(i, i + 1)) for i in range(rows(batch))] if cut else [batch]
        for part in parts:
            if not problem.terms(part) > 0:
                continue
            loss = problem.loss(problem.outputs(problem.model, part), part)
            gradients = torch.autograd.grad(loss, list(problem.model.parameters()))
            found.append(torch.cat([g.reshape(-1) for g in gradients]).numpy())
            terms.append(problem.terms(part))
            sizes.append(float(rows(part)))
    return np.stack(found), np.array(terms), np.array(sizes)


def bare(problem: Problem) -> Risk:
    """Without the guards, which are about second derivatives."""
    params = params_of(problem)
    probe = probe_of(problem, torch.device("cpu"), problem.engine.dtype)
    return Risk(problem, probe, params, {}, {name: name for name in params})


def statistics(problem: Problem) -> PerExample:
    return per_example(bare(problem))


CASES: dict[str, tuple[Callable[[], Problem], str]] = {
    "network": (classifier, TOGETHER),
    "images": (images, TOGETHER),
    "text": (text, TOGETHER),
    "branching": (branching, LOOP),
    "whole": (whole, BATCHES),
}


@pytest.mark.parametrize("case", CASES)
def test_mean_variance_and_norms_are_those_of_a_loop(case: str) -> None:
    make, route = CASES[case]
    problem = make()
    found, (h, w, m) = statistics(problem), plainly(problem, cut=case != "whole")
    assert found.method == route
    mean = w @ h / w.sum()
    share = w / (w.sum() / m.sum())
    variance = (share**2 / m) @ (h - mean) ** 2 / (len(h) - 1)
    np.testing.assert_allclose(found.mean.numpy(), mean, rtol=0, atol=1e-10 * np.abs(mean).max())
    np.testing.assert_allclose(found.variance, variance, rtol=0, atol=1e-10 * variance.max())
    cuts = np.cumsum([p.numel() for p in params_of(problem).values()])[:-1]
    norms = np.stack([(part**2).sum(1) for part in np.split(h, cuts, axis=1)], 1)
    np.testing.assert_allclose(found.norms, norms, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(found.units.terms, w)


@pytest.mark.parametrize("case", CASES)
def test_what_a_preconditioner_needs_is_that_of_a_loop(case: str) -> None:
    """tr(P⁻¹Σ), and Σ c hᵀP⁻¹h of each group; all else as without P."""
    problem = CASES[case][0]()
    risk, (h, w, m) = bare(problem), plainly(problem, cut=case != "whole")
    p = np.exp(np.random.default_rng(5).normal(size=risk.size))
    found, without = per_example(risk, torch.from_numpy(p)), per_example(risk)
    c = (w / (w.sum() / m.sum())) ** 2 / m
    trace = (c @ ((h - w @ h / w.sum()) ** 2 / p)).sum() / (len(h) - 1)
    assert found.scaled is not None
    assert found.scaled.trace == pytest.approx(trace, rel=1e-10)
    energy = np.bincount(found.units.group, weights=c * (h**2 / p).sum(1))
    np.testing.assert_allclose(found.scaled.energy, energy, rtol=1e-10)
    np.testing.assert_allclose(found.variance, without.variance, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(found.norms, without.norms, rtol=1e-12)
    np.testing.assert_allclose(found.gram, without.gram, rtol=1e-9, atol=1e-14)
    assert without.scaled is None


@pytest.mark.parametrize("case", CASES)
def test_groups_are_disjoint_and_their_products_add_up_to_the_mean(case: str) -> None:
    problem = CASES[case][0]()
    found, (h, w, _) = statistics(problem), plainly(problem, cut=case != "whole")
    group = found.units.group
    counts = np.bincount(group)
    assert len(group) == len(h)
    assert counts.min() >= 1
    assert counts.max() - counts.min() <= max(counts.max() // 2, 1)
    means = np.stack(
        [w[group == j] @ h[group == j] / w[group == j].sum() for j in range(len(counts))]
    )
    np.testing.assert_allclose(found.gram.sum(0), means @ means.T, rtol=1e-9, atol=1e-12)


def test_every_operation_of_the_text_model_is_noted_but_scale_and_norm() -> None:
    """What is not noted is right all the same, but each example then holds a whole tensor."""
    from dyntools.problem.tracing import traced
    from dyntools.problem.uses import Dense

    problem = text()
    risk = bare(problem)
    batch = next(iter(risk.probe.batches()))
    _, uses = risk.evaluation.within(
        risk.leaves, lambda: traced(risk.evaluation, risk.leaves, batch)
    )
    held = {n for n, u in zip(risk.layout.names, uses, strict=True) if isinstance(u[0], Dense)}
    assert held == {"norm.weight", "norm.bias", "scale", "places.weight"}
    shared = ("tokens.weight", "mix")
    assert [len(u) for u in uses] == [2 if n in shared else 1 for n in risk.layout.names]


def test_chunks_give_the_same_and_bound_the_memory() -> None:
    def made(memory: int | None) -> Problem:
        torch.manual_seed(0)
        x, y = torch.randn(256, 20, 32), torch.randint(10, (256, 20))
        model = nn.Sequential(nn.Linear(32, 64), nn.Tanh(), nn.Linear(64, 10))
        return Problem(model, [(x, y)], of, engine=Engine(memory=memory))

    free, bound = made(None), made(3 << 20)
    risks = [bare(problem) for problem in (free, bound)]
    for risk in risks:
        per_example(risk)  # guards and trials are over
    (all_at_once, most), (cut, least) = (footprint(lambda r=risk: per_example(r)) for risk in risks)
    assert least.peak < 5 << 20 < most.peak
    np.testing.assert_allclose(cut.variance, all_at_once.variance, rtol=1e-4)
    np.testing.assert_array_equal(cut.units.group, all_at_once.units.group)


def test_one_unit_alone_has_no_spread() -> None:
    problem = classifier(examples=1)
    with pytest.raises(ProblemError, match="two examples"):
        statistics(problem)
    one = classifier(examples=20, cut=20)
    model = nn.Sequential(*one.model, BatchNormByName())
    alone = Problem(model, one.batches, one.loss, engine=EXACT)
    with pytest.raises(ProblemError, match="two batches"):
        statistics(alone)


def test_what_vmap_does_not_know_is_gone_through_one_by_one() -> None:
    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return 2 * x

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            return 2 * g

    class Doubling(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return Twice.apply(super().forward(x))  # type: ignore[no-any-return, no-untyped-call]

    torch.manual_seed(0)
    x, y = torch.randn(8, 3, dtype=torch.float64), torch.randint(3, (8,))
    problem = Problem(Doubling(3, 3).double(), [(x, y)], of, engine=EXACT)
    found, (h, _, _) = statistics(problem), plainly(problem)
    assert found.method == LOOP
    np.testing.assert_allclose(found.variance, h.var(0, ddof=1), rtol=1e-10, atol=1e-14)


def test_the_model_and_its_statistics_are_left_as_they_were() -> None:
    problem = images()
    before = {n: t.clone() for n, t in problem.model.state_dict().items()}
    state = torch.random.get_rng_state()
    statistics(problem)
    assert all(torch.equal(before[n], t) for n, t in problem.model.state_dict().items())
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(p.grad is None for p in problem.model.parameters())
