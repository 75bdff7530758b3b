"""Representations: which examples the outputs of a layer find alike.

    K_ij = x_i · x_j,  x_i the output for example i, centred              Gram matrix (n, n)

`likeness` compares those of two steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dyntools.activations.patterns import OF_OUTPUT
from dyntools.activations.selection import evenly_chosen, step_of
from dyntools.problem.matching import bare

if TYPE_CHECKING:
    from torch import nn

    from dyntools.activations.watching import Seen

Matrix = NDArray[np.float64]

EXAMPLES = 256  # a Gram matrix of 512 KiB; with ENTRIES 1 MiB of a layer during the pass; chosen
ENTRIES = 1024  # of the output for one example; chosen
FEWEST = 4  # examples, below which the unbiased estimate does not exist
ROUNDING = 2.0**-20  # of the RMS: a spread below it is that of float32 sums; chosen


@dataclass(eq=False)
class Representation:
    """The kept outputs of one layer, and at the end their Gram matrix.

    examples: of the whole probe. numbers: of those kept. outputs: entries of one example.
    unfit: why there is no output for each example. refused: why these outputs tell nothing.
    """

    examples: int
    rows: list[Tensor] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    outputs: int = 0
    unfit: str = ""
    refused: str = ""
    gram: Matrix | None = None

    def add(self, output: Tensor, numbers: range, weights: Sequence[Tensor] = ()) -> None:
        """output: (b, …), or (b · k, …) with the parts of an example one after another."""
        if self.unfit:
            return
        if output.ndim == 0 or len(output) % len(numbers):
            self.unfit = OF_OUTPUT
        elif not self.outputs and _is_a_weight(output, weights):
            self.unfit = "its output does not depend on the examples"
        elif self.outputs and output.numel() != self.outputs * len(numbers):
            self.unfit = "examples have different numbers of outputs there"
        if self.unfit:
            self.rows = []
            return
        flat = output.reshape(len(numbers), -1)
        self.outputs = flat.shape[1]
        step = step_of(self.outputs, ENTRIES)
        at = _chosen(numbers, self.examples)
        self.rows.append(flat[at.to(flat.device), ::step])
        self.numbers += (at + numbers[0]).tolist()

    def close(self) -> None:
        """Only the Gram matrix stays."""
        rows, self.rows = self.rows, []
        if self.unfit:
            return
        x = torch.cat(rows).double()
        centred = x - x.mean(0)
        if not bool(torch.isfinite(centred).all()):
            self.refused = "its values hold NaN or inf"
        elif len(x) < FEWEST:
            self.refused = f"{len(x)} examples, and the estimate needs {FEWEST}"
        elif float(centred.norm()) <= ROUNDING * float(x.norm()):
            self.refused = "its outputs are the same for all examples"
        else:
            self.gram = (centred @ centred.T).cpu().numpy()


@dataclass(eq=False)
class Representations:
    """Those of every module that has parameters and no parts, by name.

    layers: names of these modules. examples: of the whole probe. weights: of the model.
    """

    layers: frozenset[str]
    examples: int
    weights: Sequence[Tensor] = ()
    found: dict[str, Representation] = field(default_factory=dict)

    def hear(self, seen: Seen, numbers: range) -> None:
        """Keep some of an output of a piece with these examples."""
        if seen.kind is None and seen.name.partition("#")[0] in self.layers:
            kept = self.found.setdefault(seen.name, Representation(self.examples))
            kept.add(seen.output.detach(), numbers, self.weights)

    def close(self) -> None:
        """To be called at the end of the pass."""
        for representation in self.found.values():
            representation.close()


def layers_of(model: nn.Module) -> frozenset[str]:
    """The modules with parameters and without parts, by name."""
    return frozenset(
        bare(name)
        for name, module in model.named_modules()
        if not any(module.children()) and any(True for _ in module.parameters(recurse=False))
    )


def _chosen(numbers: range, examples: int) -> Tensor:
    """Where those of an even selection of at most EXAMPLES stand among these."""
    number = torch.arange(numbers[0], numbers[-1] + 1)
    return evenly_chosen(number, examples, EXAMPLES).nonzero()[:, 0]


def _is_a_weight(output: Tensor, weights: Sequence[Tensor]) -> bool:
    """Rows of a matrix in their order, as of an embedding of positions."""
    return output.ndim == 2 and any(
        w.ndim == 2 and w.shape[1] == output.shape[1] and torch.equal(w[: len(output)], output)
        for w in weights
    )
