"""Tensor: one parameter with the ways to keep its second moment, and what was measured of each."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dyntools.forms import Form


@dataclass(frozen=True)
class Candidate:
    """One way to keep one tensor's second moment, and what was measured of it.

    label: as the metrics name it; two labels may stand for one form.
    snr, corrected: mean over the steps, the latter over those whose variance is not all noise; only
        averaged axes have them.
    update_error: |u' - u| / |u| of the update, at most over the steps; cosine: of u' and u, at
        least; v_error: |v' - v| / |v|, at most. NaN: not measured.
    """

    form: Form
    label: str
    snr: float = math.nan
    corrected: float = math.nan
    update_error: float = math.nan
    cosine: float = math.nan
    v_error: float = math.nan

    @property
    def measured(self) -> bool:
        """Whether there is a number to judge it by."""
        return not (math.isnan(self.snr) and math.isnan(self.update_error))


@dataclass(frozen=True)
class Tensor:
    """One parameter with its candidates. reason: why nothing was measured of it, empty if it was.

    shape: of a trace without axes of length one at the end, which leave no trace there.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    candidates: tuple[Candidate, ...]
    reason: str = ""

    @property
    def size(self) -> int:
        """How many weights."""
        return math.prod(self.shape)

    @property
    def measured(self) -> bool:
        """Whether any candidate has a number to be judged by."""
        return any(one.measured for one in self.candidates)
