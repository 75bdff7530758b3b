"""Coordinate check: how the size of what a layer computes grows with the width, layer by layer.

    log scale(layer, width) = log c + a log width      a with its standard error, at each step

In a parametrisation that transfers, the mean size of every activation stays the same when the width
grows: a ≈ 0 at the start and after a few steps (Yang et al. 2022, Tensor Programs V,
arXiv:2203.03466, section D.1; the `mup` package plots mean |x| against the width after 1 to 3
steps). Blow-up (a > 0) is where a large model diverges, a < 0 a layer that stops learning. Any
other metric of layers can be fitted the same way, and then the exponent to expect is another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dyntools.comparison.alignment import By
from dyntools.comparison.compared import compare
from dyntools.comparison.given import Given, by_width
from dyntools.comparison.powers import Power, power_law
from dyntools.comparison.side import Side

SCALE = "activation_scale"
INSTEAD = "weight_norm.rms"  # a scale of weights, where no activations were measured


@dataclass(frozen=True)
class Fit:
    """One layer at the first and the last place. values: one a side, at the last place."""

    layer: str
    first: Power
    last: Power
    values: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class CoordinateCheck:
    """metric: what was fitted. at: the first and the last place, in words. note: on the metric."""

    sides: tuple[str, ...]
    widths: Given
    metric: str
    at: tuple[str, str]
    fits: tuple[Fit, ...]
    note: str
    sentence: str


def coordinate_check(
    sides: Sequence[Side],
    said: Mapping[str, float],
    metric: str | None = None,
    by: By | None = None,
) -> CoordinateCheck:
    """Fit a metric of layers against the width; default: activations, else the size of weights."""
    sides, given = by_width(sides, said)
    note = ""
    if metric is None:
        metric = SCALE if all(side.all(SCALE) for side in sides) else INSTEAD
        if metric == INSTEAD:
            note = (
                f"No report has {SCALE}: fitted is the root mean square of the weights instead,"
                " which an initialisation by fan-in lets fall as width^-0.5 in hidden layers."
            )
    compared = compare(sides, metric, by)
    owners = [given.values[i] for i in compared.owner]
    fits = []
    for i, layer in enumerate(compared.entries):
        first, last = (
            power_law(owners, compared.values[:, place, i].tolist()) for place in (0, compared.last)
        )
        means = [compared.column(s, compared.last).means[i] for s in range(len(compared.sides))]
        fits.append(Fit(layer, first, last, tuple(np.asarray(means).tolist())))
    at = (compared.alignment.at(0), compared.alignment.at(compared.last))
    return CoordinateCheck(
        compared.sides, given, metric, at, tuple(fits), note, compared.alignment.sentence
    )
