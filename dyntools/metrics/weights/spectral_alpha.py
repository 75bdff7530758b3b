"""Spectral alpha: the exponent of a power law fitted to the tail of the eigenvalues of WᵀW.

    p(λ) ∝ λ^-α  for  λ = s² ≥ xmin

α by maximum likelihood, xmin where the Kolmogorov–Smirnov distance is smallest; the error is the
standard error (α - 1)/√n, n values in the tail. Only eigenvalues above their own rounding error
enter: unlike WeightWatcher 0.7.7, which drops λ ≤ 1e-5, the number does not change with the scale
of W. Martin & Mahoney read α < 2 as over-trained and α > 6 as under-trained; those bounds are
theirs, for large vision and language models. A Gaussian matrix is no power law: look at
`ks_distance` first.

Martin & Mahoney 2021, Implicit self-regularization in deep neural networks, arXiv:1810.01075;
Clauset, Shalizi & Newman 2009, arXiv:0706.1062.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dyntools.linalg.power_law import PowerLaw, fit_power_law
from dyntools.metrics.layers import Row, collect, failed
from dyntools.metrics.metric import Metric
from dyntools.metrics.weights.spectra import unusable

if TYPE_CHECKING:
    from dyntools.linalg.spectrum import Spectrum
    from dyntools.matrix import Matrix
    from dyntools.measurement import Measurement
    from dyntools.snapshot import Snapshot


def tail(spectrum: Spectrum) -> PowerLaw | str:
    """The power law of the eigenvalues that are above their rounding error.

    In units of a power of 4 near the largest, for squares leave float64's range before the values.
    """
    return fit_power_law(_scaled(spectrum)[spectrum.values > spectrum.error] ** 2)


def _scaled(spectrum: Spectrum) -> NDArray[np.float64]:
    """The singular values with the largest in [1/2, 1), by a power of 2: without rounding."""
    exponent = math.frexp(spectrum.values[0])[1]
    return np.asarray(np.ldexp(spectrum.values, -exponent))


def measure(snapshot: Snapshot) -> Measurement:
    """Exponent of the eigenvalue tail of every matrix."""

    def row(matrix: Matrix) -> Row:
        spectrum = snapshot.spectrum(matrix)
        if reason := unusable(spectrum):
            return failed(reason)
        law = tail(spectrum)
        if isinstance(law, str):
            return failed(law)
        beside = {
            "ks_distance": law.ks_distance,
            "tail_size": law.tail_size,
            "xmin_relative": law.xmin / float(_scaled(spectrum)[0]) ** 2,
        }
        return Row(law.alpha, law.error, beside, method=spectrum.method)

    rows = {matrix.name: row(matrix) for matrix in snapshot.matrices()}
    keys = ("ks_distance", "tail_size", "xmin_relative")
    return collect(rows, beside=keys, error=True, left_out=snapshot.not_matrices())


METRIC = Metric(
    name="spectral_alpha",
    group="weights",
    version=1,
    measure=measure,
    needs=("params",),
    dims=("layer",),
    unit="1",
    what="power-law exponent of the eigenvalue tail of each matrix",
    paper="Martin & Mahoney 2021, arXiv:1810.01075; Clauset et al. 2009, arXiv:0706.1062",
    cost="one spectrum a matrix, shared; k² for the fit",
    layerwise=True,
)
