"""Kinds: the graph of each curvature matrix for a piece of data."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from dyntools.problem.batches import Batch
from dyntools.problem.evaluation import Evaluation
from dyntools.problem.examples import example_losses
from dyntools.problem.fisher import empirical_fisher_graph, fisher_graph
from dyntools.problem.gauss_newton import gauss_newton_graph
from dyntools.problem.graphs import Graph, HessianGraph, Kind


def graph_of(
    kind: Kind,
    evaluation: Evaluation,
    leaves: Sequence[Tensor],
    batch: Batch,
    numbers: Sequence[int],
    seed: int,
) -> Graph:
    """To be called within the evaluation.

    numbers: of the examples in the problem, for the labels that `fisher` draws with `seed`.
    """
    if kind == "hessian":
        return HessianGraph.of(evaluation.loss(batch), leaves)
    if kind == "empirical_fisher":
        return empirical_fisher_graph(*example_losses(evaluation, batch), leaves)
    outputs = evaluation.outputs(batch)

    def loss_of(z: object) -> Tensor:
        return evaluation.loss_of_outputs(z, batch)

    if kind == "gauss_newton":
        return gauss_newton_graph(outputs, loss_of, leaves)
    terms = evaluation.problem.terms(batch)
    return fisher_graph(outputs, loss_of, leaves, terms=terms, examples=numbers, seed=seed)
