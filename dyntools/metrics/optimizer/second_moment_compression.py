"""Second-moment compression: what each way to keep less of v does to Adam's update.

    u = m̂ / (√v̂ + eps)        u': the same with what v̂ would be read back as
    value = |u' - u| / |u|     cosine = u·u' / (|u| |u'|)     v_error = |v' - v| / |v|

Norms are those of the whole tensor (Frobenius). Ways: the mean over each set of axes (SlimAdam,
Kalra et al. 2025, arXiv:2503.01843); rows × columns (Adafactor, Shazeer & Stern 2018,
arXiv:1804.04235); Adam-mini's blocks (Zhang et al. 2024, arXiv:2406.16793); subset norm (Nguyen &
Nguyen 2025, arXiv:2411.07120); 8-bit blocks (Dettmers et al. 2022, arXiv:2110.02861). Errors of the
update by each: ours.

It is the error of one step at this state. All but 8 bits commute with the running mean, so that v'
is what an optimizer of that form would hold had it seen the same gradients.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dyntools.assembly import stack_layers
from dyntools.forms import EIGHT_BIT, FACTORED, FULL, Form, expanded, mean_over, reduced
from dyntools.linalg.blockwise import blocks
from dyntools.measurement import Measurement, skipped
from dyntools.metrics.layers import Row, failed, missing
from dyntools.metrics.metric import Metric
from dyntools.metrics.optimizer.denominator import (
    NO_FIRST,
    UNSEEN,
    first_moment,
    precision,
    second_moment,
)
from dyntools.metrics.optimizer.partitions import adam_mini, subset_norm
from dyntools.metrics.optimizer.tensors import method, moments

if TYPE_CHECKING:
    from torch import Tensor

    from dyntools.moments import Moments
    from dyntools.snapshot import Snapshot

DIMS = ("layer", "form")
BESIDE = ("cosine", "v_error", "bytes", "bytes_full", "kept", "axis")
NOTHING = "fewer than two values: there is nothing to compress"
NO_UPDATE = f"{NO_FIRST}, so that there is no update to compare; the error of v is beside"
NOT_MOVED = "the first moment is zero everywhere: there is no update to compare"


def measure(snapshot: Snapshot) -> Measurement:
    """The error of every tensor's update, for each way to keep its second moment."""
    parts = [_of_tensor(snapshot, name, found) for name, found in moments(snapshot).items()]
    return stack_layers(parts, DIMS)


def alternatives(snapshot: Snapshot, name: str, shape: tuple[int, ...]) -> dict[str, Form | str]:
    """By label the forms that keep less than v itself, or why a form is not known."""
    from dyntools.linalg.axis_moments import subsets

    forms: dict[str, Form | str] = {mean_over(*k).label: mean_over(*k) for k in subsets(shape)}
    if FACTORED.fits(shape):
        forms["factored"] = FACTORED
    kind = snapshot.kinds.of(name, shape)
    forms["adam-mini"] = adam_mini(name, shape, kind, snapshot.config)
    forms["subset-norm"] = subset_norm(shape)
    forms["8-bit"] = EIGHT_BIT
    return {label: form for label, form in forms.items() if _saves(form, shape)}


def _saves(form: Form | str, shape: tuple[int, ...]) -> bool:
    # Factors of an (n, 1) matrix are more numbers than it has.
    return isinstance(form, str) or form.bytes(shape) < FULL.bytes(shape)


def _of_tensor(snapshot: Snapshot, name: str, found: Moments | str) -> Measurement:
    """All forms of one tensor, (1, forms)."""
    shape = snapshot.params.shapes.get(name, ()) if isinstance(found, str) else found.shape
    if math.prod(shape) < 2:
        reason = found if isinstance(found, str) else NOTHING
        return replace(skipped(reason, DIMS), skipped={name: reason})
    forms = alternatives(snapshot, name, shape)
    rows = dict.fromkeys(forms, missing(found)) if isinstance(found, str) else _rows(found, forms)
    names = tuple(rows)
    # One sentence a tensor: a reason that all forms share, else those of single forms.
    reasons = dict.fromkeys(row.reason for row in rows.values() if row.reason)
    return Measurement(
        np.array([[rows[label].value for label in names]]),
        DIMS,
        {"layer": (name,), "form": names},
        status=np.array([[rows[label].status for label in names]], np.int8),
        beside={
            key: np.array([[rows[label].beside.get(key, math.nan) for label in names]])
            for key in BESIDE
        },
        skipped={name: "; ".join(reasons)} if reasons else {},
        method="; ".join(filter(None, (method(snapshot), precision(snapshot)))),
    )


def _rows(found: Moments, forms: dict[str, Form | str]) -> dict[str, Row]:
    v = second_moment(found)
    reason = v if isinstance(v, str) else UNSEEN if not v.any() else ""
    if reason or isinstance(v, str):
        return dict.fromkeys(forms, failed(reason))
    update = _update(found, v)
    # Several names for one form are measured once.
    known = [form for form in dict.fromkeys(forms.values()) if isinstance(form, Form)]
    rows = {form: _row(found, v, update, form) for form in known}
    return {
        label: missing(form) if isinstance(form, str) else rows[form]
        for label, form in forms.items()
    }


def _update(found: Moments, v: Tensor) -> Tensor | Row:
    """u in float64, or why there is none."""
    if found.first is None:
        return missing(NO_UPDATE)
    u = first_moment(found)
    if isinstance(u, Row):
        return u
    for part, of_v in zip(blocks(u), blocks(v), strict=True):  # views, as both are float64
        part.div_(of_v.sqrt().add_(found.eps))
    length = float(u.square().sum())
    if not math.isfinite(length):
        return failed("the update is not finite: a moment is NaN or inf, or √v̂ + eps is zero")
    return u if length else failed(NOT_MOVED)


def _row(found: Moments, v: Tensor, update: Tensor | Row, form: Form) -> Row:
    """One form of one tensor."""
    beside = {
        "bytes": form.bytes(found.shape),
        "bytes_full": FULL.bytes(found.shape),
        "kept": form.values(found.shape),
        "axis": form.axes[0] if len(form.axes) == 1 else math.nan,
    }
    again = _again(form, v)
    beside["v_error"] = _error_of_v(again, v)
    if isinstance(update, Row):
        return replace(update, beside=beside)
    error, cosine = _error_of_update(again, v, update, found.eps)
    if not math.isfinite(error):
        return failed("√v' + eps is zero where the update is not", beside)
    return Row(error, beside={**beside, "cosine": cosine})


def _again(form: Form, v: Tensor) -> Tensor:
    """v as it is read back from this form, written out in the shape of v."""
    from dyntools.linalg.eight_bit import dequantised, quantised

    if form.kind == "8-bit":
        return dequantised(*quantised(v), tuple(v.shape))
    return expanded(form, reduced(form, v), v.shape).expand(v.shape).contiguous()


def _error_of_v(again: Tensor, v: Tensor) -> float:
    """|v' - v| / |v|; in units of the largest v, as squares of small ones are below float64."""
    unit = float(v.max())
    off = length = 0.0
    for after, before in zip(blocks(again), blocks(v), strict=True):
        off += float((after - before).div_(unit).square_().sum())
        length += float((before / unit).square_().sum())
    return math.sqrt(off / length)


def _error_of_update(again: Tensor, v: Tensor, u: Tensor, eps: float) -> tuple[float, float]:
    """|u' - u| / |u|, and the cosine.

    u' - u = u (√v - √v') / (√v' + eps), which is 0 where v' = v whatever the rounding.
    """
    off = along = length = 0.0
    for after, before, move in zip(blocks(again), blocks(v), blocks(u), strict=True):
        root = after.sqrt()
        change = (before.sqrt() - root).div_(root.add_(eps)).mul_(move)
        off += float(change.square().sum())
        along += float((change * move).sum())
        length += float(move.square().sum())
    moved = length + 2 * along + off  # |u'|²
    cosine = (length + along) / (math.sqrt(length) * math.sqrt(moved)) if moved > 0 else math.nan
    return math.sqrt(off / length), min(cosine, 1.0)


METRIC = Metric(
    name="second_moment_compression",
    group="optimizer",
    version=1,
    measure=measure,
    needs=("params", "moments"),
    dims=DIMS,
    unit="1",
    what="relative error of Adam's update when its second moment is kept in less memory",
    paper="Kalra et al. 2025, arXiv:2503.01843; Zhang et al. 2024, arXiv:2406.16793",
    cost="one reading of both moments, one pass over them for each form",
    layerwise=True,
)
