"""feature_rank: how many directions the features that enter a linear layer fill.

    Φ (n, d) the features of n rows, s its singular values, p_i = s_i / Σ s
    value = exp(-Σ p ln p)          above = how many s_i / √n exceed 0.01
    variance_90 = how few directions of the centred Φ hold 90 % of its variance

Effective rank: Roy & Vetterli 2007. The count: Lyle, Rowland & Dabney 2022, Understanding and
preventing capacity loss in reinforcement learning, arXiv:2204.09560. Explained variance as a guide
to the ranks of adapters: Paischer et al. 2024, arXiv:2410.07170.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dyntools.metrics.activations.sites import NOT_FINITE, NOTHING_KEPT, activations
from dyntools.metrics.layers import Row, collect, failed
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from dyntools.activations.features import Features
    from dyntools.measurement import Measurement
    from dyntools.snapshot import Snapshot

SHARES = ("variance_50", "variance_90", "variance_99")
COMPANIONS = ("centred", "above", *SHARES, "most")


def measure(snapshot: Snapshot) -> Measurement:
    """The effective rank of what enters every linear layer."""
    found = activations(snapshot)
    none = {"": "no linear layer ran in the forward pass"}
    rows = {name: _row(features) for name, features in found.features.items()}
    counts = [sum(map(len, features.rows)) for features in found.features.values()]
    method = f"{max(counts)} rows of {found.examples.count} examples" if counts else ""
    return collect(rows, beside=COMPANIONS, left_out={} if rows else none, method=method)


def _row(features: Features) -> Row:
    from dyntools.activations.features import spectrum

    if features.refused:
        return failed(features.refused)
    if not features.rows:
        return failed(NOTHING_KEPT)
    found = spectrum(features)
    if found is None:
        return failed(f"{NOT_FINITE}, or they are all zero")
    beside = {
        "centred": found.centred,
        "above": float(found.above),
        **{f"variance_{share}": float(count) for share, count in found.variance.items()},
        "most": float(min(found.rows, found.width)),
    }
    return Row(found.effective_rank, beside=beside)


METRIC = Metric(
    name="feature_rank",
    group="activations",
    version=1,
    measure=measure,
    needs=("params", "problem"),
    dims=("layer",),
    unit="directions",
    what="effective rank of the features that enter each linear layer",
    paper="Roy & Vetterli 2007; Lyle et al. 2022, arXiv:2204.09560; "
    "Paischer et al. 2024, arXiv:2410.07170",
    cost="one forward pass, shared by all metrics of activations, and a spectrum a layer",
)
