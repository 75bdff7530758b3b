"""Condition number of each matrix: largest over smallest singular value.

    value = s_1 / s_k        k = min(m, n)

Where s_k cannot be told from 0 in float64 there is no value: the status is failed, and `at_least`
= (s_1 - error) / (s_k + error) says what is certain. The `null` of a random matrix of the shape is
good for oblong shapes and an order of magnitude for square ones, whose s_k scatters widely.

Saratchandran et al. 2024, Weight conditioning for smooth optimization of neural networks,
arXiv:2409.03424; null: Rudelson & Vershynin 2009, arXiv:0802.3956.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dyntools.linalg import marchenko_pastur
from dyntools.metrics.layers import Row, collect, failed
from dyntools.metrics.metric import Metric
from dyntools.metrics.weights.spectra import at_start, unusable

if TYPE_CHECKING:
    from dyntools.linalg.spectrum import Spectrum
    from dyntools.matrix import Matrix
    from dyntools.measurement import Measurement
    from dyntools.snapshot import Snapshot


def condition_number(spectrum: Spectrum) -> tuple[float, float, float]:
    """Value and error, NaN where s_k may be 0; and the least it can be."""
    large, small = float(spectrum.values[0]), float(spectrum.values[-1])
    off_large, off_small = float(spectrum.error[0]), float(spectrum.error[-1])
    least = (large - off_large) / (small + off_small)
    if small <= off_small:
        return math.nan, math.nan, least
    value = large / small
    return value, (large + off_large) / (small - off_small) - value, least


def measure(snapshot: Snapshot) -> Measurement:
    """Condition number of every matrix."""

    def row(matrix: Matrix) -> Row:
        spectrum = snapshot.spectrum(matrix)
        if reason := unusable(spectrum):
            return failed(reason)
        value, error, least = condition_number(spectrum)
        start = at_start(snapshot, matrix)
        beside = {
            "at_least": least,
            "null": marchenko_pastur.condition_number(*matrix.shape),
            "initial": math.nan if start is None else condition_number(start)[0],
        }
        if math.isnan(value):
            return failed(f"the smallest singular value may be 0: at least {least:.2g}", beside)
        return Row(value, error, beside, method=spectrum.method)

    rows = {matrix.name: row(matrix) for matrix in snapshot.matrices()}
    keys = ("at_least", "null", "initial")
    return collect(rows, beside=keys, error=True, left_out=snapshot.not_matrices())


METRIC = Metric(
    name="condition_number",
    group="weights",
    version=1,
    measure=measure,
    needs=("params",),
    uses=("initial",),
    dims=("layer",),
    unit="1",
    what="largest over smallest singular value of each matrix",
    paper="Saratchandran et al. 2024, arXiv:2409.03424",
    cost="one spectrum a matrix, shared",
    layerwise=True,
)
