"""Small problems whose Hessian is known beforehand, and snapshots of them.

`dense` gives the exact Hessian of any of them in float64, by `torch.func` and so by another route
than the package takes; the closed forms give it on paper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from dyntools.checkpoint import Entry, OptimizerState
from dyntools.checkpoints.optimizer_state import family_of
from dyntools.problem import Engine, Problem
from dyntools.snapshot import Snapshot, Tensors

Array = NDArray[np.float64]
EXACT = Engine(dtype=torch.float64)


class Quadratic(nn.Module):
    """½ xᵀ A_i x of each example A_i (n, n); the parameter is `x`."""

    def __init__(self, size: int, dtype: torch.dtype, seed: int) -> None:
        super().__init__()
        start = torch.randn(size, generator=torch.Generator().manual_seed(seed))
        self.x = nn.Parameter(start.to(dtype))

    def forward(self, matrices: Tensor) -> Tensor:
        return 0.5 * ((matrices @ self.x) * self.x).sum(-1)


def quadratic(hessians: Array, *, engine: Engine = EXACT, seed: int = 0) -> Problem:
    """The mean of ½ xᵀ A_i x over examples A_i, (N, n, n) or one (n, n): H is their mean."""
    matrices = torch.from_numpy(np.array(hessians, dtype=np.float64))
    matrices = matrices if matrices.ndim == 3 else matrices[None]
    model = Quadratic(matrices.shape[-1], engine.dtype, seed)
    return Problem(model, [matrices], lambda outputs, batch: outputs.mean(), engine=engine)


def symmetric(eigenvalues: Sequence[float] | Array, seed: int = 0) -> Array:
    """A symmetric matrix (n, n) with these eigenvalues."""
    rng = np.random.default_rng(seed)
    vectors = np.linalg.qr(rng.standard_normal((len(eigenvalues),) * 2))[0]
    return np.asarray((vectors * np.asarray(eigenvalues, dtype=np.float64)) @ vectors.T)


def linear_regression(
    examples: int = 30,
    features: int = 4,
    outputs: int = 3,
    *,
    engine: Engine = EXACT,
    seed: int = 0,
) -> tuple[Problem, Array]:
    """Half the squared error, summed over outputs, and its Hessian I ⊗ XᵀX/N; no bias."""
    x, generator = _inputs(examples, features, seed)
    y = torch.randn(examples, outputs, generator=generator, dtype=torch.float64)
    model = _linear(features, outputs, seed, bias=False).to(engine.dtype)
    problem = Problem(
        model, [(x, y)], lambda z, b: 0.5 * (z - b[1]).square().sum(-1).mean(), engine=engine
    )
    return problem, np.kron(np.eye(outputs), (x.T @ x / examples).numpy())


def logistic_regression(
    examples: int = 30, features: int = 5, *, engine: Engine = EXACT, seed: int = 0
) -> tuple[Problem, Array]:
    """Binary cross-entropy, and its Hessian Xᵀ diag(p(1-p)) X / N at the model's weights."""
    x, generator = _inputs(examples, features, seed)
    y = torch.randint(2, (examples, 1), generator=generator).double()
    model = _linear(features, 1, seed, bias=False).to(engine.dtype)
    problem = Problem(
        model, [(x, y)], lambda z, b: binary_cross_entropy_with_logits(z, b[1]), engine=engine
    )
    p = torch.sigmoid(x @ model.weight.detach().double().T)
    return problem, ((x.T * (p * (1 - p)).T) @ x / examples).numpy()


def softmax_regression(
    examples: int = 40,
    features: int = 4,
    classes: int = 3,
    *,
    engine: Engine = EXACT,
    seed: int = 0,
) -> tuple[Problem, Array]:
    """Cross-entropy, and its Hessian mean_i (diag p - p pᵀ) ⊗ x xᵀ at the model's weights."""
    x, generator = _inputs(examples, features, seed)
    y = torch.randint(classes, (examples,), generator=generator)
    model = _linear(features, classes, seed, bias=False).to(engine.dtype)
    problem = Problem(model, [(x, y)], _cross_entropy, engine=engine)
    p = (x @ model.weight.detach().double().T).softmax(-1).numpy()
    xs = x.numpy()
    terms = (
        np.kron(np.diag(q) - np.outer(q, q), np.outer(v, v)) for q, v in zip(p, xs, strict=True)
    )
    return problem, np.asarray(sum(terms) / examples)


def classifier(
    examples: int = 48,
    features: int = 6,
    hidden: int = 5,
    classes: int = 4,
    *,
    engine: Engine = EXACT,
    seed: int = 0,
    cut: int = 20,
) -> Problem:
    """A tanh network on clusters of points, in batches of `cut`, the last one shorter."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(classes, (examples,), generator=generator)
    centres = torch.randn(classes, features, generator=generator, dtype=torch.float64)
    x = centres[y] + torch.randn(examples, features, generator=generator, dtype=torch.float64)
    model = nn.Sequential(
        _linear(features, hidden, seed), nn.Tanh(), _linear(hidden, classes, seed + 1)
    ).to(engine.dtype)
    batches = list(zip(x.split(cut), y.split(cut), strict=True))
    return Problem(model, batches, _cross_entropy, engine=engine)


def dense(problem: Problem, params: Mapping[str, Tensor] | None = None) -> Array:
    """The exact Hessian (n, n) in float64, parameters in model order."""
    start = {name: p.detach().double() for name, p in problem.model.named_parameters()}
    start |= {name: p.detach().double() for name, p in (params or {}).items()}
    weights = [problem.terms(batch) for batch in problem.batches]

    def loss(flat: Tensor) -> Tensor:
        parts = flat.split([p.numel() for p in start.values()])
        named = {n: v.view(p.shape) for (n, p), v in zip(start.items(), parts, strict=True)}
        total = torch.zeros((), dtype=torch.float64)
        for weight, batch in zip(weights, problem.batches, strict=True):
            inputs = batch[0] if isinstance(batch, tuple) else batch
            outputs = functional_call(problem.model, named, (inputs.double(),))
            total = total + weight * problem.loss(outputs, batch)
        return total / sum(weights)

    flat = torch.cat([p.reshape(-1) for p in start.values()])
    return torch.func.jacrev(torch.func.grad(loss))(flat).detach().numpy()


def eigenvalues(matrix: Array) -> Array:
    """In descending order."""
    return np.linalg.eigvalsh(matrix)[::-1]


def params_of(problem: Problem) -> dict[str, Tensor]:
    """A copy of the parameters that the problem's model has now."""
    return {name: p.detach().clone() for name, p in problem.model.named_parameters()}


def moved(params: Mapping[str, Tensor], size: float, seed: int = 0) -> dict[str, Tensor]:
    """The parameters with normal noise of this size added."""
    generator = torch.Generator().manual_seed(seed)
    noise = {n: torch.randn(p.shape, generator=generator).to(p) for n, p in params.items()}
    return {name: p + size * noise[name] for name, p in params.items()}


def snapshot_of(
    problem: Problem,
    params: Mapping[str, Tensor] | None = None,
    *,
    step: int = 100,
    initial: Snapshot | None = None,
    previous: Snapshot | None = None,
    earlier: Snapshot | None = None,
    optimizer: torch.optim.Optimizer | OptimizerState | None = None,
) -> Snapshot:
    """A problem at these parameters (default: those of its model) as a snapshot."""
    if isinstance(optimizer, torch.optim.Optimizer):
        optimizer = optimizer_state(problem.model, optimizer)
    found = optimizer
    return Snapshot(
        step,
        Tensors.of(params_of(problem) if params is None else params),
        initial=initial,
        previous=previous,
        earlier=earlier,
        problem=problem,
        open_optimizer=None if found is None else lambda: found,
    )


def optimizer_state(model: nn.Module, optimizer: torch.optim.Optimizer) -> OptimizerState:
    """The state of a live optimizer as the readers of checkpoints hand it over, copied."""
    names = {id(p): name for name, p in model.named_parameters()}
    groups = tuple(
        {
            **{key: value for key, value in group.items() if key != "params"},
            "params": tuple(names[id(p)] for p in group["params"]),
        }
        for group in optimizer.param_groups
    )
    state = {
        names[id(p)]: {key: _entry(value) for key, value in entries.items() if value is not None}
        for p, entries in optimizer.state.items()
    }
    return OptimizerState(family_of(state, groups), groups, state, "live names")


def trained(problem: Problem, optimizer: torch.optim.Optimizer, steps: int) -> None:
    """Take full-batch steps with the problem's own model."""
    weights = [problem.terms(batch) for batch in problem.batches]
    for _ in range(steps):
        optimizer.zero_grad()
        for weight, batch in zip(weights, problem.batches, strict=True):
            inputs = batch[0] if isinstance(batch, tuple) else batch
            first = next(problem.model.parameters())
            outputs = problem.outputs(problem.model, inputs.to(first.dtype))
            (problem.loss(outputs, batch) * (weight / sum(weights))).backward()
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _inputs(examples: int, features: int, seed: int) -> tuple[Tensor, torch.Generator]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(examples, features, generator=generator, dtype=torch.float64), generator


def _linear(features: int, outputs: int, seed: int, *, bias: bool = True) -> nn.Linear:
    layer = nn.Linear(features, outputs, bias=bias, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed + 100)
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64) / features**0.5)
    return layer


def _cross_entropy(outputs: Tensor, batch: tuple[Tensor, Tensor]) -> Tensor:
    return cross_entropy(outputs, batch[1])


def _entry(value: object) -> Entry:
    tensor = torch.as_tensor(value).detach().clone()
    return Entry(tuple(tensor.shape), str(tensor.dtype), lambda: tensor)
