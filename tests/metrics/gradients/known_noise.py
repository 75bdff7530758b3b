"""A loss whose gradient of an example is x - ξ: its covariance is that of ξ, drawn as told."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from dyntools.problem import Problem
from dyntools.problem.layout import Layout
from dyntools.problem.per_example import PerExample, per_example
from dyntools.problem.probe import probe_of
from dyntools.problem.risk import Risk
from dyntools.problem.units import Units
from tests.problems import EXACT, Array, params_of


class Springs(nn.Module):
    """½ |x - ξ|² of each example ξ (B, n)."""

    def __init__(self, at: Array) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.from_numpy(np.array(at, dtype=np.float64)))

    def forward(self, points: Tensor) -> Tensor:
        return 0.5 * (self.x - points).square().sum(-1)


class WithBatchNorm(Springs):
    """The same, with a layer by whose name batches must not be cut."""

    def __init__(self, at: Array) -> None:
        super().__init__(at)
        self.layer = _BatchNormByName()


class _BatchNormByName(nn.Module):
    pass


def springs(
    points: Array, at: Array, *, cuts: tuple[int, ...] = (), whole: bool = False
) -> Problem:
    """points: ξ (N, n). at: x (n,). cuts: where the batches end."""
    batches = [torch.from_numpy(part.copy()) for part in np.split(points, cuts)]
    model = (WithBatchNorm if whole else Springs)(at)
    return Problem(model, batches, lambda losses, batch: losses.mean(), engine=EXACT)


def by_hand(
    points: Array, at: Array, *, batches: Array | None = None, terms: Array | None = None
) -> PerExample:
    """The same statistics in NumPy, for many data sets; groups of equal size one after another.

    batches: the sizes of batches that must not be cut, each then a group of its own. terms: of each
        example, where they are not cut into batches; 1 each.
    """
    sizes = np.ones(len(points)) if batches is None else batches.astype(np.float64)
    starts = np.cumsum([0, *sizes[:-1]]).astype(int)
    h = at - np.add.reduceat(points, starts) / sizes[:, None]
    count = 16 if batches is None else len(sizes)
    group = np.arange(len(h)) * count // len(h)
    weights = sizes if terms is None else terms
    units = Units((), weights, sizes, group, whole=batches is not None)
    mean = weights @ h / weights.sum()
    squares = (weights / (weights.sum() / sizes.sum())) ** 2 / sizes
    variance = squares @ (h - mean) ** 2 / (len(h) - 1)
    w = np.stack([np.where(group == j, weights, 0.0) for j in range(count)])
    means = (w @ h) / w.sum(1, keepdims=True)
    return PerExample(
        Layout(("x",), ((len(at),),)),
        torch.from_numpy(mean),
        torch.from_numpy(variance),
        (h**2).sum(1)[:, None],
        units,
        (means @ means.T)[None],
        None,
        "by hand",
    )


def statistics(problem: Problem, scale: Tensor | None = None) -> PerExample:
    """Without the guards, so that many data sets take no time."""
    params = params_of(problem)
    probe = probe_of(problem, torch.device("cpu"), problem.engine.dtype)
    risk = Risk(problem, probe, params, {}, {name: name for name in params})
    return per_example(risk, scale)
