"""Pooling: weighted sums over the pieces of this process, and the graphs that are kept for them.

    Σ_p w_p f(p) / Σ w

When memory runs out in spite of the plan, the pieces are halved and the sum begins anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from dyntools.errors import ProblemError
from dyntools.problem.batches import Batch, take
from dyntools.problem.conditions import is_whole
from dyntools.problem.cost import Cost, measured
from dyntools.problem.evaluation import Evaluation
from dyntools.problem.graphs import Graph, HessianGraph, Kind, Tensors, gradients
from dyntools.problem.kinds import graph_of
from dyntools.problem.memory import ran_out
from dyntools.problem.obstacles import told_plainly
from dyntools.problem.pieces import Pieces, halved, limit_of, plan
from dyntools.problem.probe import Piece, Probe, heaviest, read_batch


class Pooling:
    """The examples of a probe, cut into pieces, at the parameters `leaves`."""

    def __init__(
        self,
        evaluation: Evaluation,
        probe: Probe,
        leaves: Sequence[Tensor],
        pieces: Pieces | None = None,
    ) -> None:
        """pieces: how the examples are cut; None lets memory decide."""
        self.evaluation, self.probe, self.leaves = evaluation, probe, leaves
        self._pieces = pieces
        self._kept: tuple[tuple[Kind, int], list[tuple[float, Graph]]] | None = None

    def sum(
        self, leaves: Sequence[Tensor], one: Callable[[Batch], Tensors], into: Sequence[Tensor]
    ) -> None:
        """Σ w_p one(p) / Σ w, evaluated at `leaves`, written `into` tensors of these shapes."""

        def values() -> Iterator[tuple[float, Tensors]]:
            for share, batch in self.weighted():
                yield share, self.evaluation.within(leaves, partial(one, batch))

        self._fitting(lambda: _add(values(), into))

    def products(
        self, kind: Kind, seed: int, use: Callable[[Graph], Tensors], into: Sequence[Tensor]
    ) -> None:
        """Σ w_p use(graph of p) / Σ w: over the graphs kept, then over those built anew."""
        self._fitting(lambda: _add(self._uses(kind, seed, use), into))

    def kept_gradient(self, into: Sequence[Tensor]) -> bool:
        """The gradient, where the graphs of the Hessians of all pieces hold it; whether they do."""
        if self._kept is None or self._kept[0][0] != "hessian" or self.pieces.rebuilt:
            return False
        graphs = [(s, graph) for s, graph in self._kept[1] if isinstance(graph, HessianGraph)]
        with torch.no_grad():
            _add(((s, graph.gradients) for s, graph in graphs), into)
        return True

    def weighted(self) -> Iterator[tuple[float, Batch]]:
        """The pieces of this rank, each with its share of all terms."""
        for piece, batch in self.probe.read(self.pieces.mine):
            yield self.pieces.share(piece), batch

    def release(self) -> None:
        self._kept = None

    @property
    def pieces(self) -> Pieces:
        """Decided by trials before the first evaluation, once for all snapshots of a problem."""
        if self._pieces is None:
            probe = self.probe
            key = ("pieces", probe.digest, probe.device, probe.dtype)
            self._pieces = probe.problem.once(key, self._planned)
        return self._pieces

    def _uses(
        self, kind: Kind, seed: int, use: Callable[[Graph], Tensors]
    ) -> Iterator[tuple[float, Tensors]]:
        within = partial(self.evaluation.within, self.leaves)
        for share, graph in self._graphs(kind, seed):
            yield share, within(partial(use, graph))
        for piece, batch in self._read(self.pieces.rebuilt):
            # No name is bound to the graph: it would live on while the next one is built.
            build = self._building(kind, piece, batch, seed)
            yield self.pieces.share(piece), within(partial(_used, use, build))

    def _graphs(self, kind: Kind, seed: int) -> list[tuple[float, Graph]]:
        """Those of the kept pieces; of one kind at a time."""
        if self._kept is None or self._kept[0] != (kind, seed):
            self._kept = None
            graphs = [
                (self.pieces.share(piece), self.evaluation.within(self.leaves, build))
                for piece, batch in self._read(self.pieces.kept)
                for build in (self._building(kind, piece, batch, seed),)
            ]
            self._kept = ((kind, seed), graphs)
        return self._kept[1]

    def _building(self, kind: Kind, piece: Piece, batch: Batch, seed: int) -> Callable[[], Graph]:
        numbers = self.probe.numbers(piece)
        return partial(graph_of, kind, self.evaluation, self.leaves, batch, numbers, seed)

    def _read(self, wanted: Sequence[Piece]) -> Iterator[tuple[Piece, Batch]]:
        return self.probe.read(wanted) if wanted else iter(())

    def _fitting(self, compute: Callable[[], None]) -> None:
        """`compute()`, again with smaller pieces as often as memory runs out."""
        while True:
            try:
                compute()
                return
            except RuntimeError as error:
                if not ran_out(error):
                    raise
                smaller = halved(self.pieces, self.probe)
                if smaller is None:
                    raise ProblemError(
                        "Memory ran out with a single example.",
                        where=self.probe.problem.source or None,
                        found=" ".join(str(error).split())[:160],
                        remedy="a device with more memory, or shorter examples in the problem",
                    ) from error
            self.release()  # here, where the error is gone, whose frames hold tensors
            self._pieces = smaller

    def _planned(self) -> Pieces:
        probe, limit = self.probe, limit_of(self.probe)
        key = ("cost", probe.device, probe.dtype)
        with probe.problem.ranks.agreeing("trials of memory"):
            cost = probe.problem.once(key, lambda: self._cost(limit))
        return plan(probe, cost, limit)

    def _cost(self, limit: float) -> Cost:
        """Of the graph and one product, or of a gradient where that is all that can be had."""
        if self.probe.problem.engine.hvp != "differences":
            try:
                return self._tried(limit, _product_of)
            except ProblemError:
                pass  # no second derivative, which whoever asks for products is told
        return self._tried(limit, self._gradient)

    def _tried(self, limit: float, use: Callable[[Callable[[], Graph], Batch], object]) -> Cost:
        """By trials on large examples. Raises ProblemError for a known obstacle."""
        whole = is_whole(self.probe.problem)
        index = heaviest(self.probe, whole=whole)
        batch, count = read_batch(self.probe, index), self.probe.rows[index]

        def trial(size: int) -> Callable[[], object]:
            part = take(batch, slice(0, size))
            build = self._building("hessian", Piece(index, 0, size), part, 0)
            return partial(self.evaluation.within, self.leaves, partial(use, build, part))

        with told_plainly(self.probe.problem):
            return measured(trial, count, self.probe.examples, limit, whole)

    def _gradient(self, build: Callable[[], Graph], batch: Batch) -> None:
        gradients(self.evaluation.loss(batch), self.leaves)


def _add(values: Iterator[tuple[float, Tensors]], into: Sequence[Tensor]) -> None:
    """Each value goes tensor by tensor to its place: a flat copy would be one vector more."""
    for tensor in into:
        tensor.zero_()
    for share, found in values:
        for tensor, value in zip(into, found, strict=True):
            tensor.add_(value, alpha=share)
            del value
        del found  # before the next one is computed


def _product_of(build: Callable[[], Graph], batch: Batch) -> Graph:
    graph = build()
    graph.product(graph.leaves, range(len(graph.leaves)))
    return graph


def _used(use: Callable[[Graph], Tensors], build: Callable[[], Graph]) -> Tensors:
    return use(build())
