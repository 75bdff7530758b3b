"""Numerator and denominator of Adam: m̂ and √v̂ of one tensor in float64, or why there is none.

float64 because v near 1e-24 is the square of a gradient of 1e-12: in float32 its quotients would be
rounded to zero long before √v̂ is (Kingma & Ba 2015, Adam, arXiv:1412.6980).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dyntools.metrics.layers import Row, failed, missing

if TYPE_CHECKING:
    from torch import Tensor

    from dyntools.moments import Moments
    from dyntools.snapshot import Snapshot

NO_FIRST = "the optimizer keeps no first moment"
UNSEEN = "the second moment is zero everywhere: no gradient has reached the tensor"


def second_moment(found: Moments) -> Tensor | str:
    """v̂ in float64, of the shape of the tensor, a copy; a sentence where it is no second moment."""
    v = found.v_hat()
    if not v.numel():
        return "the tensor has no values"
    # NaN is the least and the largest of whatever holds one.
    least, largest = (float(end) for end in v.aminmax())
    if not (math.isfinite(least) and math.isfinite(largest)):
        return "the second moment holds NaN or inf"
    return "the second moment holds negative values" if least < 0.0 else v


def root(found: Moments) -> Tensor | str:
    """√v̂, likewise."""
    v = second_moment(found)
    return v if isinstance(v, str) else v.sqrt_()


def first_moment(found: Moments) -> Tensor | Row:
    """m̂ in float64, of the shape of the tensor, a copy; a row that says why there is none."""
    mean = found.m_hat()
    if mean is None:
        return missing(NO_FIRST)
    if tuple(mean.shape) != found.shape:
        return failed(f"the first moment has another shape: {tuple(mean.shape)}")
    return mean


def precision(snapshot: Snapshot) -> str:
    """What to say of moments that were rounded when they were stored, "" of others."""
    state = snapshot.moments
    quantised = state is not None and state.family == "adam8bit"
    return "moments rounded to 8 bits by the optimizer" if quantised else ""
