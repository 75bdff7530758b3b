"""Quantity: one number that a limit is on, read off the reports of one side.

One report gives one sample; several reports of a run, each trained from another seed, give a
sample each. Beside the samples stands all that must agree before two quantities may be compared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from dyntools.checks.limit import quoted
from dyntools.measurement import Status


@dataclass(frozen=True)
class Sample:
    """The number of one report.

    value: NaN where there is none, and then `status` says why. bound, standard_error: see
    `error_kinds`; NaN where the error is not known. steps: those the number was made of. missed:
    steps behind the first of them at which the number could not be computed (NaN weights, a failed
    iteration). skipped: likewise those at which it was skipped or absent.
    """

    value: float
    bound: float = 0.0
    standard_error: float = 0.0
    status: Status = Status.ok
    steps: tuple[int, ...] = ()
    missed: tuple[int, ...] = ()
    skipped: tuple[int, ...] = ()

    @property
    def usable(self) -> bool:
        return self.status in (Status.ok, Status.unconverged) and math.isfinite(self.value)


@dataclass(frozen=True)
class Quantity:
    """A number of one side, with a sample for each report.

    labels: (dim, label) of its place. shape: of the layer's tensor, () where none is known.
    settings: of the metric. probe: the hash of the examples it was measured on and how, "" for a
    metric without. mixed: why the samples do not belong together, "" where they do. ends: the last
    step of the training of each sample, None where it is not known; () where of none.
    """

    metric: str
    companion: str
    labels: tuple[tuple[str, str], ...]
    reduction: str
    samples: tuple[Sample, ...]
    unit: str
    version: int
    settings: Mapping[str, object]
    step_unit: str
    probe: str = ""
    shape: tuple[int, ...] = ()
    mixed: str = ""
    ends: tuple[int | None, ...] = ()

    @cached_property
    def key(self) -> str:
        """Its name in words that `limit.parse` reads: `hessian_top[block=all,rank=1]@last`."""
        inside = ",".join(f"{dim}={quoted(label)}" for dim, label in self.labels)
        dotted = f".{self.companion}" if self.companion else ""
        return f"{self.metric}{dotted}{f'[{inside}]' if inside else ''}@{self.reduction}"

    @cached_property
    def usable(self) -> tuple[Sample, ...]:
        return tuple(sample for sample in self.samples if sample.usable)

    @cached_property
    def value(self) -> float:
        """The mean of the usable samples; NaN where there is none."""
        return _mean([sample.value for sample in self.usable]) if self.usable else math.nan

    @cached_property
    def bound(self) -> float:
        """Of the mean: the bounds of the samples on average, those that are known."""
        if len(self.usable) == 1:
            return self.usable[0].bound
        bounds = [sample.bound for sample in self.usable if not math.isnan(sample.bound)]
        return _mean(bounds) if bounds else 0.0

    @cached_property
    def standard_error(self) -> float:
        """Of the mean: the scatter of several samples, or the standard error of a single one."""
        usable = self.usable
        if len(usable) < 2:
            return usable[0].standard_error if usable else 0.0
        unit = _unit([sample.value for sample in usable])
        mean = self.value / unit
        squares = math.fsum((sample.value / unit - mean) ** 2 for sample in usable)
        return unit * math.sqrt(squares / (len(usable) - 1) / len(usable))

    @property
    def error(self) -> float:
        """Bound and standard error together; NaN where that of a single sample is not known."""
        return self.bound + self.standard_error


def _mean(numbers: Sequence[float]) -> float:
    unit = _unit(numbers)
    return unit * (math.fsum(number / unit for number in numbers) / len(numbers))


def _unit(numbers: Sequence[float]) -> float:
    """A power of 2 near the largest: in such units squares and sums lie within float64, exactly."""
    exponent = max(math.frexp(number)[1] for number in numbers)
    return math.ldexp(1.0, max(exponent - 1, -1022))
