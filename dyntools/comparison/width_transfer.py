"""Width transfer: do the curves of runs of different width lie on one another?

    spread(t) = (max_w y_w(t) - min_w y_w(t)) / |median_w y_w(t)|       at equal fractions t

Under μP the sharpness along training does not depend on the width, and with it the learning rate
that is stable; in the standard parametrisation it does (Noci et al. 2024, Super Consistency of
Neural Network Landscapes, arXiv:2402.17457). With the right weight decay the top singular values of
matching layers agree over widths too (Robust Layerwise Scaling Rules 2025, arXiv:2510.15262).
Neither paper gives a number at which curves count as one. With seeds of every width that is decided
by the analysis of variance of the logarithms (Fisher 1925), Holm over the places:

    F = n sum_w (mean_w - mean)² / (W - 1)  /  (sum_w sum_s (y_ws - mean_w)² / (N - W))

without, by the median spread against what four seeds of one recipe span (`LEAST`, `MOST`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc

from dyntools.checks.significance import LEVEL, holm
from dyntools.comparison.alignment import By
from dyntools.comparison.compared import Compared, compare
from dyntools.comparison.given import Given, by_width
from dyntools.comparison.headline import headline
from dyntools.comparison.powers import Power, power_law
from dyntools.comparison.side import Side
from dyntools.errors import ReportError

SHARPNESS = ("hessian_top", "adam_sharpness", "gauss_newton_top", "batch_sharpness")
TOP = "spectral_norm"
# Median spread of the sharpness of four seeds of one recipe, over all fours of six seeds and two
# recipes: 0.19 to 0.47, measured on the reports of docs/how-to/compare_runs.py.
LEAST, MOST = 0.2, 0.5


class Verdict(StrEnum):
    """What the spread of the curves says."""

    collapse = "collapse"  # a run a width: no further apart than any seeds
    unclear = "unclear"  # a run a width: as far apart as seeds are
    within_seeds = "within seeds"  # no more than the seeds of the widths explain
    apart = "apart"
    unknown = "unknown"  # too few numbers


@dataclass(frozen=True, eq=False)
class Curves:
    """One quantity along the runs. places (P,), values (W, P), spread (P,) of the runs.

    entry: "" or a layer. p (P,): of equal means of all widths, NaN without seeds.
    power: of the values at the last place against the width.
    """

    metric: str
    entry: str
    places: NDArray[np.float64]
    values: NDArray[np.float64]
    spread: NDArray[np.float64]
    p: NDArray[np.float64]
    power: Power

    @property
    def behind(self) -> NDArray[np.bool_]:
        """The places behind the start, where the runs have trained; all, if there are none."""
        later = self.places > 0
        return later if later.any() else np.ones(len(self.places), dtype=bool)

    @property
    def median_spread(self) -> float:
        """Behind the start; NaN if none is known."""
        known = self.spread[self.behind & np.isfinite(self.spread)]
        return float(np.median(known)) if len(known) else math.nan

    @property
    def smallest_p(self) -> float:
        """Behind the start, adjusted over the places; NaN without seeds."""
        p = self.p[self.behind & np.isfinite(self.p)]
        return float(holm(p, np.ones(len(p), dtype=bool)).min()) if len(p) else math.nan

    @property
    def verdict(self) -> Verdict:
        if math.isfinite(self.smallest_p):
            return Verdict.apart if self.smallest_p <= LEVEL else Verdict.within_seeds
        if math.isnan(self.median_spread):
            return Verdict.unknown
        if self.median_spread <= LEAST:
            return Verdict.collapse
        return Verdict.apart if self.median_spread > MOST else Verdict.unclear


@dataclass(frozen=True, eq=False)
class WidthTransfer:
    """widths: one a side, and where they were read. curves: of sharpness, then of layers."""

    sides: tuple[str, ...]
    widths: Given
    curves: tuple[Curves, ...]
    sentence: str


def width_transfer(sides: Sequence[Side], said: Mapping[str, float]) -> WidthTransfer:
    """Raises ReportError where no metric of sharpness or top singular value is shared by all."""
    sides, given = by_width(sides, said)
    curves, sentence = [], ""
    for metric in SHARPNESS:
        found = headline(sides, metric)
        if found is None or not all(side.all(metric) for side in sides):
            continue
        compared = compare(found.sides, metric, By.fraction)
        curves += _curves(compared, given)
        sentence = compared.alignment.sentence
    if all(side.all(TOP) for side in sides):
        compared = compare(sides, TOP, By.fraction)
        curves += _curves(compared, given)
        sentence = sentence or compared.alignment.sentence
    if not curves:
        raise ReportError(
            "The reports share no metric of sharpness and no top singular values.",
            remedy=f"analyze all runs with --metric {SHARPNESS[0]} --metric {TOP}",
        )
    return WidthTransfer(tuple(side.name for side in sides), given, tuple(curves), sentence)


def spread_of(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(max - min) / |median| over runs, of (W, P); NaN where fewer than two are known."""
    found = np.full(values.shape[1], np.nan)
    for i, column in enumerate(values.T):
        known = column[np.isfinite(column)]
        if len(known) > 1 and np.median(known) != 0:
            found[i] = (known.max() - known.min()) / abs(float(np.median(known)))
    return found


def equal_means(values: NDArray[np.float64], owner: NDArray[np.intp]) -> float:
    """p of the analysis of variance of positive values (R,), which belong to the sides `owner`.

    NaN where a value is missing or not positive, or no side has two reports.
    """
    sides = np.unique(owner)
    if not (np.isfinite(values) & (values > 0)).all() or len(values) == len(sides):
        return math.nan
    logs = np.log(values)
    groups = [logs[owner == side] for side in sides]
    between = sum(len(g) * (g.mean() - logs.mean()) ** 2 for g in groups) / (len(sides) - 1)
    degrees = len(values) - len(sides)
    within = sum(float(((g - g.mean()) ** 2).sum()) for g in groups) / degrees
    if within == 0:
        return 0.0 if between > 0 else 1.0
    return float(fdtrc(len(sides) - 1, degrees, between / within))


def _curves(compared: Compared, given: Given) -> list[Curves]:
    places = range(len(compared.alignment.places))
    sides = range(len(compared.sides))
    means = [[compared.column(side, place).means for place in places] for side in sides]
    values = np.array(means)  # (W, P, n)
    found = []
    for i, entry in enumerate(compared.entries):
        p = [equal_means(compared.values[:, place, i], compared.owner) for place in places]
        found.append(
            Curves(
                compared.metric,
                entry,
                compared.alignment.places,
                values[:, :, i],
                spread_of(values[:, :, i]),
                np.array(p),
                power_law([given.values[o] for o in compared.owner], compared.values[:, -1, i]),
            )
        )
    return found
