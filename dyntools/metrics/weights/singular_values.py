"""Singular values of each matrix, on one axis for layers of any size.

    value(f) = s at relative rank f = (i - 1)/(k - 1),    f = 0, 1/32, …, 1

f = 0 is s_1, f = 1 is s_k; between ranks linear. `null` is the spectrum of independent entries of
the same rms (Marchenko–Pastur): what sticks out above it at f = 0 is structure. `initial` is the
same layer before training.

Martin & Mahoney 2021, arXiv:1810.01075; null: Marchenko & Pastur 1967,
doi:10.1070/SM1967v001n04ABEH001994.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dyntools.linalg import marchenko_pastur
from dyntools.measurement import Measurement
from dyntools.metrics.metric import Metric
from dyntools.metrics.weights.spectra import at_start, unusable

if TYPE_CHECKING:
    from dyntools.matrix import Matrix
    from dyntools.snapshot import Snapshot

FRACTIONS = tuple(i / 32 for i in range(33))  # chosen: enough for a smooth curve


def at_fractions(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values by rank (k,) read at the fractions (33,)."""
    return np.interp(FRACTIONS, np.linspace(0.0, 1.0, len(values)), values)


def measure(snapshot: Snapshot) -> Measurement:
    """The spectrum of every matrix at 33 relative ranks."""
    matrices = snapshot.matrices()
    shape = (len(matrices), len(FRACTIONS))
    values, error, null, initial = (np.full(shape, np.nan) for _ in range(4))
    reasons, methods = {}, []
    for i, matrix in enumerate(matrices):
        spectrum = snapshot.spectrum(matrix)
        methods.append(spectrum.method)
        if reason := unusable(spectrum):
            reasons[matrix.name] = reason
            continue
        values[i] = at_fractions(spectrum.values)
        error[i] = at_fractions(spectrum.error)
        null[i] = _null(matrix, math.hypot(*spectrum.values.tolist()))
        if (start := at_start(snapshot, matrix)) is not None:
            initial[i] = at_fractions(start.values)
    return Measurement(
        values,
        ("layer", "fraction"),
        {"layer": tuple(matrix.name for matrix in matrices), "fraction": FRACTIONS},
        error=error,
        beside={"null": null, "initial": initial},
        skipped={**snapshot.not_matrices(), **reasons},
        method="; ".join(dict.fromkeys(methods)),
    )


def _null(matrix: Matrix, frobenius: float) -> NDArray[np.float64]:
    rms = frobenius / math.sqrt(math.prod(matrix.shape))
    with np.errstate(over="ignore", invalid="ignore"):  # beyond float64's range inf and NaN say so
        return rms * marchenko_pastur.quantiles(*matrix.shape, FRACTIONS)


METRIC = Metric(
    name="singular_values",
    group="weights",
    version=1,
    measure=measure,
    needs=("params",),
    uses=("initial",),
    dims=("layer", "fraction"),
    unit="weight",
    what="singular values of each matrix by relative rank",
    paper="Martin & Mahoney 2021, arXiv:1810.01075",
    cost="one spectrum a matrix, shared",
    layerwise=True,
)
