"""Stable rank of each matrix: squared Frobenius norm over squared spectral norm.

    value = Σ s_i² / s_1²        1 … k = min(m, n)

Insensitive to small singular values. A random matrix of the shape has mn / (√m + √n)² (`null`),
which for a square one is only k/4: compare with it or with `initial`, never with k.

Rudelson & Vershynin 2007, Sampling from large matrices, arXiv:math/0503442.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dyntools.linalg import marchenko_pastur
from dyntools.metrics.metric import Metric
from dyntools.metrics.weights.spectra import by_spectrum

if TYPE_CHECKING:
    from dyntools.linalg.spectrum import Spectrum
    from dyntools.measurement import Measurement
    from dyntools.snapshot import Snapshot


def stable_rank(spectrum: Spectrum) -> tuple[float, float]:
    """Σ s² / s_1² and its error, to first order in the errors of s."""
    relative = spectrum.values / spectrum.values[0]
    off = spectrum.error / spectrum.values[0]
    value = float(relative @ relative)
    return value, float(2.0 * (relative @ off) + 2.0 * value * off[0])


def measure(snapshot: Snapshot) -> Measurement:
    """Stable rank of every matrix."""
    return by_spectrum(snapshot, stable_rank, marchenko_pastur.stable_rank)


METRIC = Metric(
    name="stable_rank",
    group="weights",
    version=1,
    measure=measure,
    needs=("params",),
    uses=("initial",),
    dims=("layer",),
    unit="dimensions",
    what="squared Frobenius norm over squared spectral norm of each matrix",
    paper="Rudelson & Vershynin 2007, arXiv:math/0503442",
    cost="one spectrum a matrix, shared",
    layerwise=True,
)
