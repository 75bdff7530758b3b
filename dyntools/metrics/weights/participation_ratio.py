"""Participation ratio of each matrix: how many directions share its squared norm.

    value = (Σ s_i²)² / Σ s_i⁴        1 … k = min(m, n)

k for equal singular values, 1 for rank one. A random matrix of the shape has mn / (m + n + 1)
(`null`), half of k for a square one.

Gao et al. 2017, A theory of multineuronal dimensionality, dynamics and measurement,
doi:10.1101/214262.
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


def participation_ratio(spectrum: Spectrum) -> tuple[float, float]:
    """(Σ s²)² / Σ s⁴ and its error, to first order in the errors of s."""
    relative = spectrum.values / spectrum.values[0]
    off = spectrum.error / spectrum.values[0]
    squares, fourths = float(relative @ relative), float((relative**4).sum())
    value = squares**2 / fourths
    return value, 4.0 * value * float(relative @ off / squares + relative**3 @ off / fourths)


def measure(snapshot: Snapshot) -> Measurement:
    """Participation ratio of every matrix."""
    return by_spectrum(snapshot, participation_ratio, marchenko_pastur.participation_ratio)


METRIC = Metric(
    name="participation_ratio",
    group="weights",
    version=1,
    measure=measure,
    needs=("params",),
    uses=("initial",),
    dims=("layer",),
    unit="dimensions",
    what="number of directions that share the squared norm of each matrix",
    paper="Gao et al. 2017, doi:10.1101/214262",
    cost="one spectrum a matrix, shared",
    layerwise=True,
)
