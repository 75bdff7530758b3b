"""Class features: what enters the last linear layer, with the label of each place and what is said.

    h (d,) → logits = W h + b (C,),   y the label,   argmax of the logits

That layer is the one whose output is the tensor of logits; else the last whose output has its shape
and says the same classes. Class means and the covariances around them need all rows twice, so rows
are kept: of more than BYTES an even selection, by the fractional parts of p · 0.618… of the places
p, which no order of the labels is in step with (Weyl 1916; Knuth, vol. 3, 6.4).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dyntools.activations.outputs import Terms
from dyntools.activations.places import Place, place_of
from dyntools.activations.selection import WORD, golden
from dyntools.activations.watching import Product

BYTES = 64 << 20  # of rows that are kept: all of CIFAR's 50,000 at d = 300; chosen
SAME = 0.99  # of the places; what a soft cap saturates may differ; chosen
ROUNDING = 1e-3  # of the largest logit; chosen
RECENT = 4  # products in which the first piece looks for the logits, as heads run last; chosen

NO_LAYER = "no linear layer puts out the logits"


@dataclass(eq=False)
class ClassFeatures:
    """rows (n, d), labels (n,), said (n,): argmax of the logits, numbers (n,): of the examples.

    layer: the name of the linear layer, weight: its (C, d).
    is_logits: whether its output is the tensor of logits itself. places: of each example.
    seen: places that count; n of them are kept.
    """

    layer: str = ""
    weight: Tensor | Place | None = None
    is_logits: bool = True
    classes: int = 0
    places: int = 0
    seen: int = 0
    rows: list[Tensor] = field(default_factory=list)
    labels: list[Tensor] = field(default_factory=list)
    said: list[Tensor] = field(default_factory=list)
    numbers: list[Tensor] = field(default_factory=list)
    refused: str = ""
    _heard: deque[Product] = field(default_factory=lambda: deque(maxlen=RECENT), repr=False)

    @property
    def kept(self) -> int:
        """n."""
        return sum(map(len, self.rows))

    @property
    def width(self) -> int:
        """d."""
        return self.rows[0].shape[1]

    def hear(self, product: Product) -> None:
        """A product of the piece that is running; the last few are held until `add`."""
        if not self.refused and self.layer in ("", product.name):
            self._heard.append(product)

    def add(self, terms: Terms | str, numbers: range, examples: int) -> None:
        """The terms of the piece that ran, or why there are none.

        numbers: of its examples, of `examples` in all.
        """
        heard = list(self._heard)
        self._heard.clear()
        if isinstance(terms, str):
            self.refused = self.refused or terms
        if self.refused or isinstance(terms, str):
            return
        product = self._found(heard, terms.logits)
        if product is None or len(terms.logits) % len(numbers):
            self.refused = NO_LAYER
            return
        if not self.layer:
            self.layer, self.weight = product.name, product.weight.detach()
            self.classes = terms.logits.shape[-1]
            self.places = terms.labels.numel() // len(numbers)
        rows = product.x.detach().reshape(-1, product.x.shape[-1])
        if rows.shape[0] != terms.labels.numel():
            self.refused = NO_LAYER
            return
        self._keep(rows, terms, numbers, examples)

    def settle(self, theta: Tensor) -> None:
        """Note where the weight lies in the parameters (n,) instead of holding these."""
        if isinstance(self.weight, Tensor):
            self.weight = place_of(self.weight, theta) or self.weight

    def _found(self, heard: list[Product], logits: Tensor) -> Product | None:
        """Outputs that are still held cannot share memory with the logits by accident."""
        alike = [p for p in heard if p.output.shape[-1:] == logits.shape[-1:]]
        alike = [p for p in alike if p.output.numel() == logits.numel()]
        same = [p for p in alike if _is_same(p.output, logits)]
        self.is_logits = self.is_logits and bool(same)
        return next((p for p in reversed(same or alike) if same or _says(p.output, logits)), None)

    def _keep(self, rows: Tensor, terms: Terms, numbers: range, examples: int) -> None:
        number = torch.arange(numbers.start, numbers.stop).repeat_interleave(
            len(rows) // len(numbers)
        )
        counted = terms.counted.reshape(-1).cpu()
        self.seen += int(counted.sum())
        total = examples * self.places
        most = BYTES // (rows.shape[1] * rows.element_size())
        if total > most:
            place = numbers.start * self.places + torch.arange(len(rows))
            counted = counted & (golden(place) < WORD * most // total)
        at = counted.nonzero()[:, 0]
        here = at.to(rows.device)
        self.rows.append(rows[here])
        self.labels.append(terms.labels.reshape(-1)[here].cpu())
        self.said.append(terms.logits.argmax(-1).reshape(-1)[here].cpu())
        self.numbers.append(number[at])


def _is_same(output: Tensor, logits: Tensor) -> bool:
    """Whether both are one memory, row by row; another order of axes is not."""
    plain = output.is_contiguous() and logits.is_contiguous()
    alike = output.shape == logits.shape and output.stride() == logits.stride()
    return output.data_ptr() == logits.data_ptr() and (plain or alike)


def _says(output: Tensor, logits: Tensor) -> bool:
    """Whether both say the same classes, as under a scale, a soft cap or another precision.

    Or differ by a bias, the same at all places.
    """
    output = output.reshape(logits.shape)
    off = (logits - output).reshape(-1, logits.shape[-1])
    if bool((off - off.mean(0)).abs().max() <= ROUNDING * logits.abs().max()):
        return True
    return float((output.argmax(-1) == logits.argmax(-1)).double().mean()) > SAME
