"""activation_scale: the size of what every module puts out, and what few bits would lose of it.

    value = √(mean x²)     largest = max |x|     kurtosis = E(x - μ)⁴/σ⁴
    fp16, bf16, fp8_e4m3, fp8_e5m2 = share of the entries other than zero that the format rounds to
                                     zero, or that lie beyond its largest number; without scaling

RMS 1 in every tensor is the aim of Blake et al. 2024, u-μP, arXiv:2407.17465; kurtosis and largest
value tell how far outliers spoil quantisation: Bondarenko et al. 2023, Quantizable transformers,
arXiv:2306.12929. The formats: Micikevicius et al. 2022, FP8 formats for deep learning,
arXiv:2209.05433.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dyntools.metrics.activations.sites import NOT_FINITE, activations
from dyntools.metrics.layers import Row, collect, failed
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from dyntools.activations.probe_pass import Activations
    from dyntools.measurement import Measurement
    from dyntools.snapshot import Snapshot

FORMATS = ("fp16", "bf16", "fp8_e4m3", "fp8_e5m2")
COMPANIONS = ("largest", "kurtosis", "zero", *FORMATS)


def measure(snapshot: Snapshot) -> Measurement:
    """Of activation functions, and of every module that has no others inside."""
    found = activations(snapshot)
    none = {"": "no module put out a tensor in the forward pass"}
    rows = {name: _row(found, name) for name in found.scales}
    method = f"{found.examples.count} examples" if rows else ""
    return collect(rows, beside=COMPANIONS, left_out={} if rows else none, method=method)


def _row(found: Activations, name: str) -> Row:
    scale = found.scales[name]
    if not found.is_finite(name):
        return failed(NOT_FINITE)
    beside = {
        "largest": scale.largest,
        "kurtosis": scale.kurtosis,
        "zero": scale.zeros / scale.count,
        **{form: scale.share(form) for form in FORMATS},
    }
    return Row(scale.rms, beside=beside)


METRIC = Metric(
    name="activation_scale",
    group="activations",
    version=1,
    measure=measure,
    needs=("params", "problem"),
    dims=("layer",),
    unit="activation",
    what="root mean square of what every module puts out, and what low precision would lose",
    paper="Blake et al. 2024, arXiv:2407.17465; Bondarenko et al. 2023, arXiv:2306.12929; "
    "Micikevicius et al. 2022, arXiv:2209.05433",
    cost="one forward pass, shared by all metrics of activations",
)
