"""Snapshot: a model at one step, from disk or alive; the only thing a metric sees.

Tensors are read when they are asked for and not kept, so that a model of any size costs the memory
of the tensor at hand. What several metrics need, such as the spectrum of a layer, is computed once
and shared through `once`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar, cast

import torch
from torch import Tensor

from dyntools.errors import CheckpointError, ProblemError
from dyntools.layer_kinds import BY_NAME, Kinds
from dyntools.linalg.blockwise import norm
from dyntools.linalg.spectrum import Spectrum, singular_values
from dyntools.matrix import Matrix, matrices_of
from dyntools.moments import has_moments
from dyntools.problem.binding import risk_of
from dyntools.problem.per_example import STATISTICS
from dyntools.problem.risk import Risk
from dyntools.problem.second_moments import Estimate, estimated
from dyntools.recipe import NOTHING, Recipe

if TYPE_CHECKING:
    from dyntools.checkpoint import OptimizerState
    from dyntools.log import Log
    from dyntools.problem import Problem

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
    initial: the same model before training, `previous`: at the checkpoint before this one, `final`:
        at the last one of its run; None for a model that still trains.
    log: the training log up to and including this step.
    config: what is known of the architecture (for the layout of fused projections).
    buffers: what else the model holds, such as running statistics.
    open_optimizer: opens the state of the optimizer; None where there is none.
    problem: the loss behind the run; None for what needs only weights.
    gradients: those that training took its last step by, where they are known; without the tensors
        that had none.
    earlier: the snapshot measured before this one, from which iterations may start warm; whatever
        it knows changes what a number costs, and the number only within its error.
    kinds: what part each tensor plays, by its name.
    estimate: how second moments are found where none were saved; needs the problem.
    recipe: what a person told of the run, such as its batch size.
    """

    step: int
    params: Tensors
    initial: Snapshot | None = None
    previous: Snapshot | None = None
    log: Log | None = None
    config: Mapping[str, object] = field(default_factory=dict)
    device: torch.device = CPU
    buffers: Tensors = field(default_factory=lambda: Tensors.of({}))
    open_optimizer: Callable[[], OptimizerState | None] | None = None
    problem: Problem | None = None
    gradients: Tensors | None = None
    earlier: Snapshot | None = None
    kinds: Kinds = BY_NAME
    estimate: Estimate | None = None
    recipe: Recipe = NOTHING
    final: Snapshot | None = None
    _one: str | None = None
    _moments: list[OptimizerState | None] = field(default_factory=list, repr=False)
    _computed: dict[Hashable, object] = field(default_factory=dict, repr=False)

    def once(self, key: Hashable, compute: Callable[[], T]) -> T:
        """`compute()` at the first call with this key, the same object afterwards."""
        if key not in self._computed:
            self._computed[key] = compute()
        return cast("T", self._computed[key])

    def attempted(self, key: Hashable, compute: Callable[[], T]) -> T:
        """As `once`, of what may raise ProblemError: that is raised again, and not met anew."""

        def attempt() -> T | ProblemError:
            try:
                return compute()
            except ProblemError as error:
                return error

        found = self.once(key, attempt)
        if isinstance(found, ProblemError):
            raise found
        return found

    def known(self, key: Hashable) -> object | None:
        """What `once` computed under this key, None if nothing did."""
        return self._computed.get(key)

    @property
    def optimizer(self) -> OptimizerState | None:
        """The optimizer's state by parameter name, its tensors not yet read."""
        if self.open_optimizer is None:
            return None
        return self.once("optimizer", self.open_optimizer)

    @property
    def known_optimizer(self) -> OptimizerState | None:
        """The same; None also where it cannot be read, which the metrics that need it say."""
        try:
            return self.optimizer
        except CheckpointError:
            return None

    @property
    def moments(self) -> OptimizerState | None:
        """The optimizer's state; where it has no second moments, those that are estimated.

        Raises ProblemError when the gradients for an estimate cannot be had.
        """
        if not self._moments:
            state = self.optimizer
            if self.estimate is not None and (state is None or not has_moments(state)):
                estimate = self.estimate
                state = self.attempted("estimated", lambda: estimated(self.risk(), estimate))
            if state is not None and self._one is not None:
                state = state.only(self._one)
            self._moments.append(state)
        return self._moments[0]

    def tensors(self) -> tuple[str, ...]:
        """Parameters, and behind them what only the optimizer knows, as `param[3] (16, 8)`."""
        state = self.moments
        return tuple(dict.fromkeys((*self.params, *(() if state is None else state.state))))

    def risk(self) -> Risk:
        """The problem at this step's parameters; `release` frees its graphs.

        Raises ProblemError when the problem does not fit the checkpoint or fails a guard.
        """
        if self.problem is None:
            raise ProblemError("This snapshot has no problem.", remedy="Snapshot(…, problem=…)")
        problem = self.problem
        shapes, others = self.params.shapes, self.buffers.shapes
        return self.once("risk", lambda: risk_of(problem, self._read, shapes, others, self.device))

    def gradient_of_problem(self, name: str) -> Tensor:
        """The gradient of the problem by one tensor, computed once for all of them.

        It is computed where the whole snapshot asks first; one reduced by `only` only knows it.
        Raises ProblemError as `risk` does.
        """

        def compute() -> Mapping[str, Tensor]:
            risk = self.risk()
            parts = risk.layout.split(risk.gradient())
            return dict(zip(risk.layout.names, parts, strict=True))

        return self.attempted(("vectors", "gradient"), compute)[name]

    def _read(self, name: str) -> Tensor:
        return self.params[name] if name in self.params else self.buffers[name]

    def release(self) -> None:
        """Free what only this step needs: the risk with its graphs, statistics, activations."""
        self._computed.pop(STATISTICS, None)
        self._computed.pop("activations", None)
        if isinstance(risk := self._computed.pop("risk", None), Risk):
            risk.release()

    def forget_vectors(self) -> None:
        """Free what was kept for the next step: eigenvectors under ("vectors", …), and so on."""
        self._computed.pop("estimated", None)
        self._computed.pop("predictions", None)
        self._moments.clear()
        for key in [k for k in self._computed if isinstance(k, tuple) and k[0] == "vectors"]:
            del self._computed[key]

    def only(self, name: str) -> Snapshot:
        """The same step reduced to one tensor, read at most once; what is computed is shared."""
        params = self.params.only(name) if name in self.params else Tensors.of({})
        return replace(self, params=params, _one=name, _moments=[])

    def tensor(self, name: str) -> Tensor:
        """A parameter on the snapshot's device."""
        return self.params[name].to(self.device)

    def norm(self, name: str) -> float:
        """Frobenius norm of a parameter, computed once."""
        return self.once(("norm", name), lambda: norm(self.tensor(name)))

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
