"""Risk: a problem at the parameters of one snapshot: loss, gradient, and products with its Hessian.

    L(θ) = Σ_p w_p L_p(θ) / Σ_p w_p,   H v = Σ_p w_p H_p v / Σ_p w_p      over pieces p of the data

A piece is as large as memory allows. The graphs of as many pieces as fit are kept for all products
of a snapshot, which then cost 1.4 to 3.3 gradients each; those of the others are built again for
every product. Vectors are flat tensors (n,) on the device, see `layout`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dyntools.problem.batches import Batch, placed
from dyntools.problem.conditions import is_whole
from dyntools.problem.differences import Differences, part_of, recast, refused
from dyntools.problem.evaluation import Evaluation
from dyntools.problem.examples import example_losses
from dyntools.problem.graphs import Graph, Kind, gradients
from dyntools.problem.layout import Layout
from dyntools.problem.obstacles import told_plainly
from dyntools.problem.pieces import Pieces, whole_pieces
from dyntools.problem.pooling import Pooling
from dyntools.problem.probe import Probe, counted, fixed
from dyntools.problem.problem import Problem
from dyntools.problem.user_code import blamed
from dyntools.ranks import ALONE

Told = Callable[[int, float], None]  # products so far, seconds of the last one
Guard = Callable[["Risk"], object]  # raises ProblemError


class Risk:
    """A problem at fixed parameters.

    layout: where each tensor lies in a flat vector. theta: the parameters (n,).
    products: how many products there were so far; `told` hears after each. guard: is asked before
    a product whether products are to be believed, `gradient_guard` before a gradient; None for
    those of the guards themselves.
    """

    def __init__(
        self,
        problem: Problem,
        probe: Probe,
        params: Mapping[str, Tensor],
        constants: Mapping[str, Tensor],
        names: Mapping[str, str],
        pieces: Pieces | None = None,
    ) -> None:
        """params: trainable, by the names of the report, in model order.

        constants: frozen parameters and buffers by the model's names. names: report → model.
        pieces: how the examples are cut; None lets memory decide.
        """
        self.problem, self.probe, self.layout = problem, probe, Layout.of(params)
        self.device, self.dtype = probe.device, probe.dtype
        flat = [p.detach().reshape(-1).to(self.device, self.dtype) for p in params.values()]
        self.theta = torch.cat(flat)
        self.products = 0
        self.told: Told | None = None
        self.guard: Guard | None = None
        self.gradient_guard: Guard | None = None
        self._names, self._stored = names, constants
        inside = [names[name] for name in self.layout.names]
        self.evaluation = Evaluation(problem, inside, constants, self.device, self.dtype)
        self.leaves = self._leaves_at(self.theta)
        self._given = pieces
        self._differences: Differences | None = None
        self._pooling = Pooling(self.evaluation, probe, self.leaves, pieces)

    @property
    def size(self) -> int:
        """n, the number of parameters."""
        return self.layout.size

    @property
    def pieces(self) -> Pieces:
        """How the examples are cut."""
        return self._pooling.pieces

    def loss(self, theta: Tensor | None = None) -> float:
        """L at θ (n,), default the snapshot's own; summed over pieces and ranks in float64."""

        def one(batch: Batch) -> tuple[Tensor]:
            with torch.no_grad():
                return (self.evaluation.loss(batch),)

        total = torch.zeros((), dtype=torch.float64, device=self.device)
        leaves = self._leaves_at(theta)
        with self._agreeing("loss"):
            self._pooling.sum(leaves, one, [total])
        return float(self.problem.ranks.sum(total))

    def gradient(self, theta: Tensor | None = None) -> Tensor:
        """∂L/∂θ (n,) at θ (n,), default the snapshot's own.

        Raises ProblemError when it is not the derivative of the loss.
        """
        self.believe_gradient()
        leaves = self._leaves_at(theta)

        def one(batch: Batch) -> Sequence[Tensor]:
            return gradients(self.evaluation.loss(batch), leaves)

        total = torch.empty_like(self.theta)
        parts = self.layout.split(total)
        with self._agreeing("gradient"), told_plainly(self.problem):
            if theta is not None or not self._pooling.kept_gradient(parts):
                self._pooling.sum(leaves, one, parts)
        return self._summed(total)

    def believe_gradient(self) -> None:
        """Asked before every gradient, also those of examples. Raises ProblemError."""
        if self.gradient_guard is not None:
            self.gradient_guard(self)

    def product(
        self, vector: Tensor, kind: Kind = "hessian", part: Layout | None = None, seed: int = 0
    ) -> Tensor:
        """A v (n,) for the Hessian, Gauss–Newton or a Fisher matrix.

        part: restricts the matrix to the rows and columns of some tensors; `vector` and the result
        are then (part.size,). seed: of the labels of `fisher`.
        Raises ProblemError when the model has no second derivative, or a wrong one.
        """
        if self.guard is not None:
            self.guard(self)
        started = time.perf_counter()
        part = part or self.layout
        vectors = part.split(vector)
        among = [self.layout.names.index(name) for name in part.names]

        def use(graph: Graph) -> Sequence[Tensor]:
            return graph.product(vectors, among)

        if self.problem.engine.hvp == "differences":
            with told_plainly(self.problem):
                total = self._by_differences(vector, kind, part)
        else:
            total = torch.empty_like(vector)
            with self._agreeing(f"product with {kind}"), told_plainly(self.problem):
                self._pooling.products(kind, seed, use, part.split(total))
            total = self._summed(total)
        self.products += 1
        if self.told is not None:
            self.told(self.products, time.perf_counter() - started)
        return total

    def example_losses(self, theta: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """The mean loss and the weight of every example that counts, (B,) each, by pieces."""
        leaves = self._leaves_at(theta)

        def one(batch: Batch) -> tuple[Tensor, Tensor]:
            with torch.no_grad():
                return example_losses(self.evaluation, batch)

        for _, batch in self._pooling.weighted():
            yield self.evaluation.within(leaves, partial(one, batch))

    def loss_of(self, batch: Batch) -> Tensor:
        """The mean loss of one batch with its graph, on this rank alone."""
        here = placed(batch, self.device, self.dtype)
        return self.evaluation.within(self.leaves, lambda: self.evaluation.loss(here))

    def part(self, examples: NDArray[np.int64]) -> Risk:
        """The same parameters on some of the examples, by their numbers."""
        return self.over(self.problem, self.probe.part(examples))

    def over(self, problem: Problem, probe: Probe) -> Risk:
        """The same parameters on other examples, of this problem or of another of its model."""
        other = self._with(problem, probe)
        other.told, other.guard = self.told, self.guard
        other.gradient_guard = self.gradient_guard
        return other

    def on(self, batches: Sequence[Batch], dtype: torch.dtype | None = None) -> Risk:
        """The same parameters on these batches, whole and by this rank alone, for trials."""
        probe = fixed(self.probe, batches, dtype or self.dtype)
        alone = replace(self.problem, ranks=ALONE)
        probe = replace(probe, problem=alone)
        return self._with(alone, probe, whole_pieces(probe))

    def release(self) -> None:
        """Free the graphs that are kept; the next product builds them again."""
        self._pooling.release()
        self._differences = None

    def _with(self, problem: Problem, probe: Probe, pieces: Pieces | None = None) -> Risk:
        params = dict(zip(self.layout.names, self.layout.split(self.theta), strict=True))
        return Risk(problem, probe, params, self._stored, self._names, pieces)

    def _summed(self, total: Tensor) -> Tensor:
        return self.problem.ranks.sum(total)

    @contextmanager
    def _agreeing(self, place: str) -> Iterator[None]:
        """Work of this rank, to be added when no other has failed at it."""
        ranks = self.problem.ranks
        if ranks.count == 1:
            yield
            return
        with ranks.agreeing(place), blamed(self.problem):
            yield

    def _by_differences(self, vector: Tensor, kind: Kind, part: Layout) -> Tensor:
        if kind != "hessian":
            raise refused(self.problem, kind)
        if self._differences is None:
            fine = self._in_float64()
            self._differences = Differences.at(fine.gradient, fine.theta)
        return part_of(self._differences.product, self.layout, part, vector)

    def _in_float64(self) -> Risk:
        """The same risk in float64; this one where the model insists on its precision."""
        if self.dtype == torch.float64:
            return self
        fine = self._with(self.problem, recast(self.probe, torch.float64), self._given)
        try:
            fine.loss_of(counted(fine.probe, None if is_whole(self.problem) else 1))
        except (RuntimeError, TypeError):
            return self
        return fine

    def _leaves_at(self, theta: Tensor | None) -> tuple[Tensor, ...]:
        """Leaves of a graph in the shapes of the tensors, sharing the memory of `theta`."""
        flat = self.theta if theta is None else theta
        return tuple(part.detach().requires_grad_() for part in self.layout.split(flat))
