"""The pass: one forward pass over the probe, from which all metrics of activations are read.

Sums stream over the pieces; of a site stay counts of positive outputs and masks of a few examples
(`patterns`), sums by unit (`units`), moments (`scale`), some rows of features (`features`), sums by
head (`attention`), of the logits sums by groups of examples (`outputs`) and some terms
(`predictions`), and where it is asked for products of the outputs of examples (`representations`).
Every rank makes the whole pass, as it costs little.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dyntools.activations.attention import Attention
from dyntools.activations.axes import refuse_others
from dyntools.activations.class_features import ClassFeatures
from dyntools.activations.features import Features
from dyntools.activations.functions import Kind
from dyntools.activations.outputs import Logits, terms_of
from dyntools.activations.patterns import Examples, Patterns, followed, positive
from dyntools.activations.predictions import Predictions
from dyntools.activations.representations import Representations, layers_of
from dyntools.activations.scale import Scale
from dyntools.activations.scores import Scores
from dyntools.activations.units import Units
from dyntools.activations.watching import Product, Seen, watched
from dyntools.errors import ProblemError
from dyntools.problem.batches import Batch, take
from dyntools.problem.conditions import is_whole
from dyntools.problem.cost import measured
from dyntools.problem.pieces import limit_of
from dyntools.problem.probe import heaviest, read_batch

if TYPE_CHECKING:
    from dyntools.problem.risk import Risk

# Of the tensors of a piece: the same whatever memory is free, so that bits are the same; chosen.
PIECE = 64 << 20  # bytes
MOST = 4096  # examples of a piece; chosen


@dataclass(eq=False)
class Activations:
    """What one pass leaves, by the names of its sites in the order in which they ran.

    kinds: of activation functions; `patterns` and `units` are theirs. scales: of these and of all
    modules without parts. features: by linear layers. represented: None where not asked for.
    """

    examples: Examples
    logits: Logits
    kinds: dict[str, Kind] = field(default_factory=dict)
    patterns: dict[str, Patterns] = field(default_factory=dict)
    units: dict[str, Units] = field(default_factory=dict)
    scales: dict[str, Scale] = field(default_factory=dict)
    features: dict[str, Features] = field(default_factory=dict)
    attentions: dict[str, Attention] = field(default_factory=dict)
    class_features: ClassFeatures = field(default_factory=ClassFeatures)
    predictions: Predictions = field(default_factory=Predictions)
    represented: Representations | None = None

    def is_finite(self, name: str) -> bool:
        """Whether all that was seen at a site is."""
        return math.isfinite(self.scales[name].largest) and math.isfinite(self.scales[name].rms)

    def hear(self, numbers: range, seen: Seen) -> None:
        """Add one output of a piece with these examples."""
        output = seen.output.detach()
        self.scales.setdefault(seen.name, Scale()).add(output)
        if self.represented is not None:
            self.represented.hear(seen, numbers)
        if seen.kind is None:
            return
        if seen.name not in self.kinds:
            self.kinds[seen.name] = seen.kind
            self.patterns[seen.name] = Patterns(self.examples)
            self.units[seen.name] = Units(seen.kind)
        part = followed(output, len(numbers))
        on = positive(part)
        if seen.kind.signed:
            self.patterns[seen.name].add(output, on, numbers)
        self.units[seen.name].add(output, seen.axis, part, on)

    def hear_product(self, numbers: range, product: Product) -> None:
        """Add what enters a linear layer."""
        self.features.setdefault(product.name, Features(self.examples.count)).add(product, numbers)
        if not self.logits.refused:
            self.class_features.hear(product)

    def hear_scores(self, numbers: range, scores: Scores) -> None:
        """Add what enters the softmax of an attention."""
        self.attentions.setdefault(scores.name, Attention()).add(scores, len(numbers))

    def settle(self, theta: Tensor) -> None:
        """Hold no parameters (n,) by the weights of products that lie in them."""
        for features in self.features.values():
            features.settle(theta)
        self.class_features.settle(theta)


def activations_of(risk: Risk, *, represented: bool = False) -> Activations:
    """One pass at the risk's parameters; `represented` with products of the outputs of examples.

    Raises ProblemError where memory does not hold a single example.
    """
    probe = risk.probe
    examples = Examples.of(probe.examples)
    found = Activations(examples, Logits(examples))
    if represented:
        layers = layers_of(risk.problem.model)
        found.represented = Representations(layers, probe.examples, risk.leaves)
    pieces = probe.cut(pieces_of(risk))
    for piece, batch in probe.read(pieces):
        work = partial(_one, risk, found, batch, probe.numbers(piece))
        risk.evaluation.within(risk.leaves, work)
    if any(len(probe.numbers(piece)) > 1 for piece in pieces):
        refuse_others(risk, found)
    if found.represented is not None:
        found.represented.close()
    found.settle(risk.theta)
    return found


def _one(risk: Risk, found: Activations, batch: Batch, numbers: range) -> None:
    """The pass over one piece; to be called within the evaluation."""
    outputs = _forward(risk, found, batch, numbers)
    if found.logits.refused:
        return
    loss_of = partial(_loss, risk, batch)
    first = found.logits.classes == 0
    terms = terms_of(outputs, loss_of, risk.problem.terms(batch), check=first)
    found.class_features.add(terms, numbers, found.examples.count)
    if isinstance(terms, str):
        found.logits.refused = terms
        return
    found.logits.add(terms, numbers)
    if not found.logits.refused:
        found.predictions.add(terms, found.examples.groups(numbers))


def _loss(risk: Risk, batch: Batch, outputs: Any) -> Tensor:
    return risk.evaluation.loss_of_outputs(outputs, batch)


def _forward(risk: Risk, found: Activations, batch: Batch, numbers: range) -> Any:
    hear, hear_product = partial(found.hear, numbers), partial(found.hear_product, numbers)
    hear_scores, model = partial(found.hear_scores, numbers), risk.problem.model
    with torch.no_grad(), watched(model, hear, hear_product, risk.leaves, hear_scores):
        return risk.evaluation.outputs(batch)


def pieces_of(risk: Risk) -> int | None:
    """Examples of a piece: of PIECE bytes, fewer if memory is short; None leaves batches whole."""
    if is_whole(risk.problem):
        return None
    probe = risk.probe

    def decided() -> int:
        limit, index = limit_of(probe), heaviest(probe, whole=False)
        batch, count = read_batch(probe, index), probe.rows[index]

        def trial(size: int) -> Any:
            examples = Examples.of(size)
            into = Activations(examples, Logits(examples))
            work = partial(_one, risk, into, take(batch, slice(0, size)), range(size))
            return partial(risk.evaluation.within, risk.leaves, work)

        cost = measured(trial, count, probe.examples, limit)
        size = MOST
        while size > 1 and cost.peak_of(size) > min(PIECE, limit):
            size //= 2
        if cost.peak_of(size) > limit:
            raise ProblemError(
                "The memory limit is too small for the forward pass of one example.",
                where=risk.problem.source or None,
                found=f"{limit / 2**20:.0f} MiB, needed {cost.peak_of(1) / 2**20:.0f} MiB",
                remedy="--memory with more, or shorter examples in the problem",
            )
        return size

    return probe.problem.once(("pass", probe.device, probe.dtype), decided)  # type: ignore[no-any-return]
