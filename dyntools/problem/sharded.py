"""Sharded: a risk whose parameters, and all vectors of their length, are cut over the ranks.

    θ_i = all-gather of θ_i^(r) over ranks r,   ∂L/∂θ_i^(r) = part r of Σ_ranks ∂L_rank/∂θ_i

The gather stands inside the forward pass and is differentiable to any order (`Ranks.whole`), its
adjoint being the sum over ranks of which each keeps its part: ZeRO's third stage (Rajbhandari et
al. 2020, arXiv:1910.02054) for second derivatives. Each rank has its share of the examples as ever;
the loss is weighted before it is differentiated, as the sum over ranks is taken on the way. Every
rank goes through as many pieces as any other, because each piece is a collective.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from dyntools.errors import ProblemError
from dyntools.problem.batches import Batch
from dyntools.problem.evaluation import Evaluation
from dyntools.problem.graphs import Graph, Kind
from dyntools.problem.layout import Layout
from dyntools.problem.pieces import Pieces, limit_of, plan, whole_pieces
from dyntools.problem.pooling import Pooling
from dyntools.problem.probe import Piece, Probe, fixed
from dyntools.problem.problem import Problem
from dyntools.problem.risk import Risk
from dyntools.problem.user_code import blamed
from dyntools.ranks import ALONE, RankError, Ranks

T = TypeVar("T")


@dataclass(frozen=True)
class ShardedLayout(Layout):
    """Shapes are those of the whole tensors; sizes, and the flat vector, those of this rank."""

    ranks: Ranks = ALONE

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        spans = (self._span(math.prod(shape)) for shape in self.shapes)
        return tuple(stop - start for start, stop in spans)

    def part(self, tensor: Tensor) -> Tensor:
        """This rank's part of a whole tensor, flat."""
        return tensor.reshape(-1)[slice(*self._span(tensor.numel()))]

    def whole(self, part: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The whole tensor from the parts of all ranks, which are filled up to equal lengths."""
        missing = _length(math.prod(shape), self.ranks) - part.numel()
        filled = torch.cat([part, part.new_zeros(missing)]) if missing else part
        return self.ranks.whole(filled)[: math.prod(shape)].view(shape)

    def normal(self, seed: int, like: Tensor) -> Tensor:
        """This rank's part of a standard normal vector, drawn whole tensor by tensor on the CPU."""
        generator = torch.Generator().manual_seed(seed)
        drawn = (torch.randn(math.prod(shape), generator=generator) for shape in self.shapes)
        return torch.cat([self.part(tensor).to(like) for tensor in drawn])

    def split(self, vector: Tensor) -> tuple[Tensor, ...]:
        return torch.split(vector, list(self.sizes))

    def select(self, names: Any) -> ShardedLayout:
        found = Layout(self.names, self.shapes).select(names)
        return ShardedLayout(found.names, found.shapes, self.ranks)

    def _span(self, size: int) -> tuple[int, int]:
        length = _length(size, self.ranks)
        return min(self.ranks.rank * length, size), min((self.ranks.rank + 1) * length, size)


class ShardedRisk(Risk):
    """A problem at fixed parameters, of which this rank holds its part in `theta`.

    Products take and give this rank's part of a vector; inner products need `reduce`.
    """

    def __init__(
        self,
        problem: Problem,
        probe: Probe,
        layout: ShardedLayout,
        theta: Tensor,
        constants: Mapping[str, Tensor],
        names: Mapping[str, str],
        pieces: Pieces | None = None,
    ) -> None:
        """theta: this rank's part. Otherwise as for `Risk`."""
        self.problem, self.probe, self.layout = problem, probe, layout
        self.device, self.dtype = probe.device, probe.dtype
        self.theta = theta.to(self.device, self.dtype)
        self.products, self.told, self.guard, self.gradient_guard = 0, None, None, None
        self._names, self._stored, self._given = names, constants, pieces
        inside = [names[name] for name in layout.names]
        self._gathering = _Gathering(problem, inside, constants, layout, self.device, self.dtype)
        self.evaluation = self._gathering
        self.leaves = self._leaves_at(self.theta)
        self._differences = None
        self._pooling = _EvenPooling(self._gathering, probe, self.leaves, pieces)

    @classmethod
    def of(
        cls,
        problem: Problem,
        probe: Probe,
        shapes: Mapping[str, tuple[int, ...]],
        read: Callable[[str], Tensor],
        constants: Mapping[str, Tensor],
        names: Mapping[str, str],
    ) -> ShardedRisk:
        """Read tensor by tensor, of which each is cut before the next is read."""
        if problem.engine.hvp == "differences":
            raise ProblemError(
                "Differences of gradients are taken with whole parameters only.",
                where=problem.source or None,
                remedy="--hvp autograd, or without --shard-parameters",
            )
        layout = ShardedLayout(tuple(shapes), tuple(shapes.values()), problem.ranks)
        parts = [layout.part(read(name).detach()).to(probe.device, probe.dtype) for name in shapes]
        return cls(problem, probe, layout, torch.cat(parts), constants, names)

    def reduce(self, tensor: Tensor) -> Tensor:
        """The sum of a small tensor over the ranks."""
        return self.problem.ranks.sum(tensor)

    def draw(self, seed: int, part: Layout | None = None) -> Tensor:
        """This rank's part of a standard normal vector, over some of the tensors."""
        layout = self.layout if part is None else part
        assert isinstance(layout, ShardedLayout)
        return layout.normal(seed, self.theta)

    def on(self, batches: Sequence[Batch], dtype: torch.dtype | None = None) -> ShardedRisk:
        """These batches, the same on every rank, each of which counts for its share of them."""
        probe = fixed(self.probe, batches, dtype or self.dtype)
        same = whole_pieces(probe)
        count = self.problem.ranks.count
        pieces = Pieces((), same.mine, same.terms, same.total * count)
        return self._with(self.problem, probe, pieces)

    def _with(self, problem: Problem, probe: Probe, pieces: Pieces | None = None) -> ShardedRisk:
        assert isinstance(self.layout, ShardedLayout)
        return ShardedRisk(
            problem, probe, self.layout, self.theta, self._stored, self._names, pieces
        )

    def _summed(self, total: Tensor) -> Tensor:
        """The adjoint of the gather has summed over the ranks already."""
        return total

    @contextmanager
    def _agreeing(self, place: str) -> Iterator[None]:
        """The others wait within this work: an error ends all, as nobody can be asked."""
        try:
            with blamed(self.problem):
                yield
        except RankError:
            raise
        except Exception as error:
            raise self.problem.ranks.failed(error) from error


class _Gathering(Evaluation):
    """Evaluates with whole tensors gathered from the leaves; share: what the loss counts for."""

    def __init__(
        self,
        problem: Problem,
        names: Sequence[str],
        constants: Mapping[str, Tensor],
        layout: ShardedLayout,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(problem, names, constants, device, dtype)
        self.layout, self.share = layout, 1.0

    def within(self, leaves: Sequence[Tensor], work: Callable[[], T]) -> T:
        pairs = zip(leaves, self.layout.shapes, strict=True)
        return super().within([self.layout.whole(leaf, shape) for leaf, shape in pairs], work)

    def loss_of_outputs(self, outputs: Any, batch: Batch) -> Tensor:
        return super().loss_of_outputs(outputs, batch) * self.share

    @contextmanager
    def counting(self, share: float) -> Iterator[None]:
        self.share = share
        try:
            yield
        finally:
            self.share = 1.0


class _EvenPooling(Pooling):
    """As many pieces on each rank, shares inside the loss, and no graph is kept: it would hold the
    whole tensors."""

    evaluation: _Gathering

    def kept_gradient(self, into: Sequence[Tensor]) -> bool:
        return False

    def sum(
        self,
        leaves: Sequence[Tensor],
        one: Callable[[Batch], Sequence[Tensor]],
        into: Sequence[Tensor],
    ) -> None:
        for tensor in into:
            tensor.zero_()
        for share, batch in self.weighted():
            with self.evaluation.counting(share):
                found = self.evaluation.within(leaves, partial(one, batch))
            for tensor, value in zip(into, found, strict=True):
                tensor.add_(value)

    def _uses(
        self, kind: Kind, seed: int, use: Callable[[Graph], Sequence[Tensor]]
    ) -> Iterator[tuple[float, Sequence[Tensor]]]:
        for piece, batch in self._read(self.pieces.rebuilt):
            build = self._building(kind, piece, batch, seed)
            with self.evaluation.counting(self.pieces.share(piece)):
                used = self.evaluation.within(self.leaves, partial(_used, use, build))
            yield 1.0, used
            del used  # before the next graph is built

    def _fitting(self, compute: Callable[[], None]) -> None:
        compute()  # smaller pieces here would be more of them than elsewhere

    def _planned(self) -> Pieces:
        probe, ranks = self.probe, self.probe.problem.ranks
        limit = min(ranks.gather(limit_of(probe)))  # else the ranks would try other sizes
        cost = probe.problem.once(("cost", probe.device, probe.dtype), lambda: self._cost(limit))
        return even(plan(probe, cost, limit), ranks)


def _used(use: Callable[[Graph], Sequence[Tensor]], build: Callable[[], Graph]) -> Sequence[Tensor]:
    return use(build())  # no name is bound to the graph: it would live on


def even(pieces: Pieces, ranks: Ranks) -> Pieces:
    """All rebuilt, and filled up with pieces of other ranks, which count for nothing here."""
    everywhere: list[tuple[Piece, ...]] = ranks.gather(pieces.mine)
    most = max(map(len, everywhere))
    others = [p for found in everywhere for p in found if p not in pieces.terms]
    spare = others[: most - len(pieces.mine)]
    terms = {**pieces.terms, **dict.fromkeys(spare, 0.0)}
    return replace(pieces, kept=(), rebuilt=(*pieces.mine, *spare), terms=terms)


def _length(size: int, ranks: Ranks) -> int:
    """Of a part, on every rank but the last."""
    return math.ceil(size / ranks.count)
