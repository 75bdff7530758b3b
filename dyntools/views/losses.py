"""Losses: which losses of a log are drawn, how they are smoothed, and where their axis ends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from dyntools.log import Curve, Log, Role

LOSSES = (Role.train_loss, Role.validation_loss)
SMOOTH_FROM, SMOOTH_SHARE = 200, 40  # points from which a median is drawn; of 1/40 of them; chosen
FIRST_DESCENT = 0.98  # quantile of the losses that the axis ends at, so that the end is readable


def drawable(log: Log | None) -> bool:
    """Whether there is a loss to draw."""
    return log is not None and any(curve_of(log, role) is not None for role in LOSSES)


def curve_of(log: Log, role: Role) -> Curve | None:
    """The curve in this role if it can be drawn: in the unit of the log, with a finite point."""
    curve = log.curve(role)
    if curve is None or curve.unit != log.unit or not np.isfinite(curve.values).any():
        return None
    return curve


def limits(curves: Sequence[Curve]) -> tuple[float, float] | None:
    """Ends of an axis below the first descent, where that would flatten all the rest; else None."""
    values = np.concatenate([c.values[np.isfinite(c.values)] for c in curves])
    low, most = float(values.min()), float(np.quantile(values, FIRST_DESCENT))
    if len(values) > 50 and values.max() - low > 1.5 * (most - low) > 0:
        return low - 0.05 * (most - low), most
    return None


def lowest(curve: Curve) -> int:
    """Where the smallest finite value of a curve stands."""
    known = np.flatnonzero(np.isfinite(curve.values))
    return int(known[np.argmin(curve.values[known])])


def smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The running median that is drawn over a curve of SMOOTH_FROM points or more, (n,)."""
    return _running_median(values, len(values) // SMOOTH_SHARE)


def _running_median(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Median of the `window` values around each, (n,); at the ends of those there are."""
    half = window // 2
    padded = np.pad(values, half, constant_values=np.nan)
    windows = sliding_window_view(padded, 2 * half + 1)
    known = np.isfinite(windows).any(axis=1)
    out = np.full(len(values), np.nan)
    out[known] = np.nanmedian(windows[known], axis=1)
    return out
