"""Snapshot: a model at one step, from disk or alive; the only thing a metric sees.

Tensors are read when they are asked for and not kept, so that a model of any size costs the memory
of the tensor at hand. What several metrics need, such as the spectrum of a layer, is computed once
and shared through `once`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from dyntools.linalg.spectrum import Spectrum, singular_values
from dyntools.matrix import Matrix, matrices_of

if TYPE_CHECKING:
    from dyntools.log import Log

T = TypeVar("T")
CPU = torch.device("cpu")


class Tensors(Mapping[str, Tensor]):
    """Tensors by name; shapes are known beforehand, values are read at each access."""

    def __init__(
        self, shapes: Mapping[str, tuple[int, ...]], read: Callable[[str], Tensor]
    ) -> None:
        self.shapes = dict(shapes)
        self._read = read

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Tensors:
        """Tensors that are in memory already."""
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        return cls(shapes, lambda name: tensors[name].detach())

    def only(self, name: str) -> Tensors:
        """Just this tensor, read at most once and kept as long as the result lives."""
        kept: list[Tensor] = []

        def read(wanted: str) -> Tensor:
            if not kept:
                kept.append(self._read(wanted))
            return kept[0]

        return Tensors({name: self.shapes[name]}, read)

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.shapes:
            raise KeyError(name)
        return self._read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)

    def __contains__(self, name: object) -> bool:
        return name in self.shapes


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A model at one step.

    params: trainable tensors by name, wrapper prefixes stripped, tied ones once.
    initial: the same model before training, `previous`: at the checkpoint before this one.
    log: the training log up to and including this step.
    config: what is known of the architecture (for the layout of fused projections).
    """

    step: int
    params: Tensors
    initial: Snapshot | None = None
    previous: Snapshot | None = None
    log: Log | None = None
    config: Mapping[str, object] = field(default_factory=dict)
    device: torch.device = CPU
    _computed: dict[Hashable, object] = field(default_factory=dict, repr=False)

    def once(self, key: Hashable, compute: Callable[[], T]) -> T:
        """`compute()` at the first call with this key, the same object afterwards."""
        if key not in self._computed:
            self._computed[key] = compute()
        return self._computed[key]  # type: ignore[return-value]

    def only(self, name: str) -> Snapshot:
        """The same step reduced to one parameter; what is computed is still shared."""
        return replace(self, params=self.params.only(name))

    def tensor(self, name: str) -> Tensor:
        """A parameter on the snapshot's device."""
        return self.params[name].to(self.device)

    def matrices(self) -> tuple[Matrix, ...]:
        """Every parameter read as matrices, in model order."""
        cut = (matrices_of(n, shape, self.config) for n, shape in self.params.shapes.items())
        return tuple(matrix for group in cut if not isinstance(group, str) for matrix in group)

    def not_matrices(self) -> dict[str, str]:
        """The parameters that have no spectrum, each with its reason."""
        cut = {n: matrices_of(n, s, self.config) for n, s in self.params.shapes.items()}
        return {name: reason for name, reason in cut.items() if isinstance(reason, str)}

    def matrix(self, matrix: Matrix) -> Tensor:
        """The values of a matrix, shape `matrix.shape`, on the device."""
        return matrix.take(self.tensor(matrix.parameter))

    def spectrum(self, matrix: Matrix) -> Spectrum:
        """All singular values of a matrix, in descending order, computed once."""
        return self.once(("spectrum", matrix.name), lambda: singular_values(self.matrix(matrix)))

    def has(self, matrix: Matrix) -> bool:
        """Whether this step holds the parameter in the same shape."""
        known = matrices_of(
            matrix.parameter, self.params.shapes.get(matrix.parameter, ()), self.config
        )
        return not isinstance(known, str) and any(
            m.name == matrix.name and m.shape == matrix.shape for m in known
        )
