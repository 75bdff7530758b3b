"""Axes: where the first axis of what a model computes does not count the examples.

    length of the first axis at b examples = k b

Data that run time first, (T, b, …), have lengths that T and b only share by accident, and whose
parts are then taken for examples that are none. So the model runs once on two and once on three
examples of one batch, and lengths that do not grow with them are told. Time and examples in one
axis, (T · b, …), cannot be told apart from examples and time.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from dyntools.activations.features import OF_INPUT
from dyntools.activations.outputs import OF_LOGITS, tensors_of
from dyntools.activations.patterns import OF_OUTPUT
from dyntools.activations.watching import Product, Seen, watched
from dyntools.problem.batches import Batch, take
from dyntools.problem.conditions import is_whole
from dyntools.problem.probe import read_batch

if TYPE_CHECKING:
    from dyntools.activations.probe_pass import Activations
    from dyntools.problem.risk import Risk

FEW = 2  # examples, and one more; chosen: the least with which batch statistics exist

Place = tuple[str, str]  # what it is, and its name


def refuse_others(risk: Risk, found: Activations) -> None:
    """Refuse what needs examples at the places where the first axis does not count them.

    Not where batches must stay whole: such a model may be run on whole batches alone.
    """
    unfit = risk.problem.once(("axes", risk.probe.device, risk.probe.dtype), partial(_unfit, risk))
    for what, name in unfit:
        if what == "output" and name in found.patterns:
            found.patterns[name].refused = found.patterns[name].refused or OF_OUTPUT
        if what == "input" and name in found.features:
            found.features[name].refused = found.features[name].refused or OF_INPUT
        if what == "logits":
            found.logits.refused = found.logits.refused or OF_LOGITS
        represented = {} if found.represented is None else found.represented.found
        if what == "output" and name in represented:
            represented[name].unfit = represented[name].unfit or OF_OUTPUT


def _unfit(risk: Risk) -> frozenset[Place]:
    probe = risk.probe
    index = int(np.argmax(probe.rows))
    few = min(FEW, probe.rows[index] - 1)
    if few < 1 or is_whole(risk.problem):
        return frozenset()
    batch = read_batch(probe, index)
    less, more = (_lengths(risk, take(batch, slice(0, size))) for size in (few, few + 1))
    return frozenset(
        place for place in less.keys() & more.keys() if less[place] * (few + 1) != more[place] * few
    )


def _lengths(risk: Risk, batch: Batch) -> dict[Place, int]:
    """Of the first axis at each place, 0 where there is none."""
    lengths: dict[Place, int] = {}

    def hear(seen: Seen) -> None:
        lengths["output", seen.name] = len(seen.output) if seen.output.ndim else 0

    def hear_product(product: Product) -> None:
        lengths["input", product.name] = len(product.x) if product.x.ndim else 0

    def work() -> None:
        with torch.no_grad(), watched(risk.problem.model, hear, hear_product, risk.leaves):
            outputs = tensors_of(risk.evaluation.outputs(batch))
        if len(outputs) == 1 and outputs[0].ndim:
            lengths["logits", ""] = len(outputs[0])

    risk.evaluation.within(risk.leaves, work)
    return lengths
