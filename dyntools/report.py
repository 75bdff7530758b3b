"""Report: what is known about one run, as labelled arrays in memory; the waist of the house.

Everything left of it (readers, tensors, metrics) ends here; everything right of it (tables, plots,
findings, checks) starts here and needs nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dyntools.errors import ReportError, nearest
from dyntools.log import Log
from dyntools.measurement import Coordinate, Status


@dataclass(frozen=True)
class Omission:
    """One entry (a tensor, or "" for the whole metric) that was not measured, and why."""

    entry: str
    reason: str
    steps: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Series:
    """One metric along the steps of a run. S steps, and one axis for each of `dims` behind them.

    values, error, status, beside[…]: shape (S, …); error is None where no error is known.
    seconds, matvecs: cost of each step, shape (S,). method: how each step was computed.
    """

    metric: str
    group: str
    version: int
    unit: str
    what: str
    paper: str
    settings: Mapping[str, object]
    step_unit: str
    steps: NDArray[np.int64]
    dims: tuple[str, ...]
    coords: Mapping[str, Coordinate]
    values: NDArray[np.float64]
    error: NDArray[np.float64] | None
    status: NDArray[np.int8]
    beside: Mapping[str, NDArray[np.float64]]
    seconds: NDArray[np.float64]
    matvecs: NDArray[np.int64]
    method: tuple[str, ...]
    omissions: tuple[Omission, ...] = ()

    @property
    def ok(self) -> NDArray[np.bool_]:
        """Where a value was measured, shape (S, …)."""
        return np.asarray(self.status == Status.ok)

    def index(self, step: int) -> int:
        """The row of a step. Raises ReportError when that step was not measured."""
        found = np.flatnonzero(self.steps == step)
        if not len(found):
            raise ReportError(
                f"{self.metric} was not measured at step {step}.",
                remedy="steps: " + ", ".join(map(str, self.steps.tolist())),
            )
        return int(found[0])


@dataclass(frozen=True)
class CheckpointRow:
    """What became of one checkpoint: "ok", "damaged" or "set aside", with the reason."""

    path: str
    format: str
    step: int | None
    step_source: str
    status: str
    reason: str = ""
    fingerprint: str = ""


@dataclass(frozen=True, eq=False)
class Report:
    """A sealed analysis.

    attributes: provenance (versions, command, settings, paths, times, device) as plain values.
    log: the training log the analysis saw, with the roles given to its curves.
    notes: sentences the reader of any number should know.
    """

    attributes: Mapping[str, object] = field(default_factory=dict)
    series: Mapping[str, Series] = field(default_factory=dict)
    checkpoints: Sequence[CheckpointRow] = ()
    log: Log | None = None
    notes: tuple[str, ...] = ()

    @property
    def step_unit(self) -> str:
        """The unit in which the checkpoints count: step, epoch, save, or index."""
        return str(self.attributes.get("step_unit", "step"))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the parameters, as far as the report knows them; what is no shape is not known."""
        found = self.attributes.get("shapes")
        known = found if isinstance(found, Mapping) else {}
        shapes = {str(name): _shape(value) for name, value in known.items()}
        return {name: shape for name, shape in shapes.items() if shape is not None}

    def __getitem__(self, metric: str) -> Series:
        if metric not in self.series:
            raise ReportError(
                f"The report holds no metric {metric!r}.", remedy=nearest(metric, self.series)
            )
        return self.series[metric]


def _shape(value: object) -> tuple[int, ...] | None:
    """A tuple of whole numbers; None for anything else, which only a damaged report holds."""
    if not isinstance(value, list | tuple):
        return None
    numbers = [n for n in value if isinstance(n, int | float) and not isinstance(n, bool)]
    whole = len(numbers) == len(value) and all(n >= 0 and n == n // 1 for n in numbers)
    return tuple(map(int, numbers)) if whole else None
