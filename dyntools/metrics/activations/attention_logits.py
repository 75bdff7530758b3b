"""attention_logits: how large the numbers are that an attention puts into its softmax.

    value = max |z_ij|,   z = q·k / √d_h, with what is added to it      over the places of the mask
    rms = √(mean z²),     entropy = mean over queries of -Σ_j p_ij ln p_ij,   p = softmax z
    relative_entropy = mean of entropy / ln n over queries with n > 1 keys,   lowest_head its least

Wortsman et al. 2023, Small-scale proxies for large-scale Transformer training instabilities,
arXiv:2309.14322: logits that grow make the softmax one-hot and training diverge.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dyntools.metrics.activations.sites import NOT_FINITE, activations
from dyntools.metrics.layers import Row, collect, failed
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from dyntools.activations.attention import Attention
    from dyntools.measurement import Measurement
    from dyntools.snapshot import Snapshot

COMPANIONS = ("rms", "entropy", "relative_entropy", "lowest_head", "heads", "keys")
NONE = "no attention that is known ran in the forward pass"


def measure(snapshot: Snapshot) -> Measurement:
    """The largest attention logit of every attention."""
    found = activations(snapshot)
    rows = {name: _row(attention) for name, attention in found.attentions.items()}
    method = f"{found.examples.count} examples" if rows else ""
    return collect(rows, beside=COMPANIONS, left_out={} if rows else {"": NONE}, method=method)


def _row(attention: Attention) -> Row:
    if attention.refused:
        return failed(attention.refused)
    if not math.isfinite(attention.largest):
        return failed(NOT_FINITE)
    if not attention.entries:
        return failed("its masks leave no place")
    beside = {
        "rms": attention.rms,
        "entropy": attention.mean_entropy,
        "relative_entropy": attention.relative_entropy,
        "lowest_head": float(attention.relative_by_head.min()),
        "heads": float(attention.heads),
        "keys": float(attention.keys),
    }
    return Row(attention.largest, beside=beside)


METRIC = Metric(
    name="attention_logits",
    group="activations",
    version=1,
    measure=measure,
    needs=("params", "problem"),
    dims=("layer",),
    unit="1",
    what="largest attention logit before the softmax, and the entropy behind it",
    paper="Wortsman et al. 2023, arXiv:2309.14322",
    cost="one forward pass, shared by all metrics of activations",
)
