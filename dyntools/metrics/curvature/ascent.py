"""Ascent: how far the loss rises at the end of one step of fixed length up the gradient.

    e = ρ T² g / |T g|,    rise = L(w + e) - L(w) = ρ |T g| + ½ eᵀ H e + …

T = 1 in SAM (Foret et al. 2021, arXiv:2010.01412), T = diag(|w| + η) in ASAM (Kwon et al. 2021,
arXiv:2102.11600); e maximises the linear part among all e with |T⁻¹ e| ≤ ρ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dyntools.measurement import Measurement
from dyntools.metrics.curvature import rounding

if TYPE_CHECKING:
    from torch import Tensor

    from dyntools.problem.risk import Risk
    from dyntools.snapshot import Snapshot

GROUPS = 16  # of m examples, for m-sharpness; chosen: a standard error known to a fifth


@dataclass(frozen=True)
class Rise:
    """rise of the loss; slope: ρ |T g|, its linear part; flatness: ρ |T g(w + e)|.

    rounding: what the two losses, taken in the precision of the risk, may be off by.
    """

    rise: float
    slope: float
    flatness: float
    rounding: float


def rise(risk: Risk, rho: float, scale: Tensor | None = None, *, flatness: bool = True) -> Rise:
    """One step of length ρ. scale: the diagonal of T (n,), None for 1. NaN at a zero gradient.

    flatness: whether to spend another gradient on it.
    """

    from dyntools.linalg.vectors import norm

    gradient = risk.gradient()
    scaled = gradient if scale is None else gradient * scale
    length = float(norm(scaled))
    if not (0.0 < length < math.inf):
        return Rise(math.nan, rho * length, math.nan, math.nan)
    step = (scaled if scale is None else scaled * scale) * (rho / length)
    before, after = risk.loss(), risk.loss(risk.theta + step)
    end = math.nan
    if flatness:
        there = risk.gradient(risk.theta + step)
        end = rho * float(norm(there if scale is None else there * scale))
    error = rounding.of_loss(risk, before) + rounding.of_loss(risk, after)
    return Rise(after - before, rho * length, end, error)


def measured(
    snapshot: Snapshot,
    rho: float,
    scale: Tensor | None,
    m: int,
    groups: int,
    seed: int,
    *,
    flatness: bool = True,
) -> Measurement:
    """The rise of the loss of the whole probe (m = 0), or its mean over groups of m examples.

    The error is the rounding of the losses and, over groups, one standard error.
    """
    whole = snapshot.risk()
    found = [rise(risk, rho, scale, flatness=flatness) for risk in _risks(whole, m, groups, seed)]
    rises = np.array([one.rise for one in found])
    value = float(rises.mean())
    spread = float(rises.std(ddof=1)) / math.sqrt(len(rises)) if len(rises) > 1 else 0.0
    error = spread + max(one.rounding for one in found)
    beside = {"linear": float(np.mean([one.slope for one in found]))}
    if flatness:
        beside["first_order_flatness"] = float(np.mean([one.flatness for one in found]))
    method = "one gradient step on the whole probe"
    if m:
        method = f"mean over {len(found)} groups of {m} examples"
    return Measurement(
        np.array(value if math.isfinite(value) else math.nan),
        error=np.array(error if math.isfinite(value) else math.nan),
        beside={key: np.array(number) for key, number in beside.items()},
        skipped=_reasons(value, beside),
        method=method,
    )


def _risks(risk: Risk, m: int, groups: int, seed: int) -> Iterator[Risk]:
    """The risk itself, or at most `groups` disjoint ones of m examples drawn at random."""
    examples = risk.probe.examples
    if m == 0 or m >= examples:
        yield risk
        return
    order = np.random.default_rng(seed).permutation(examples)
    for i in range(min(groups, examples // m)):
        yield risk.part(np.sort(order[i * m : (i + 1) * m]))


def _reasons(value: float, beside: Mapping[str, float]) -> dict[str, str]:
    if math.isfinite(value):
        return {}
    if beside["linear"] == 0.0:
        return {"": "the gradient is zero, so it points nowhere"}
    return {"": "the loss or its gradient is not finite here"}
