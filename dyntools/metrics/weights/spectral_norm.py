"""Spectral norm: the largest singular value s_1 of each matrix, not squared.

    value            = s_1(W)
    initial          = s_1 at initialisation;  ratio_to_initial = s_1 / initial
    null             = rms(W) (√m + √n), the s_1 of independent entries of the same size

s_1 / null is 1 for noise, and grows as structure forms. Pure-noise AdamW settles at
√(η/2λ)(√m + √n); matching layers of well-scaled models agree in s_1 across widths.

Fan et al. 2025, Robust layerwise scaling rules by proper weight decay tuning, arXiv:2510.15262;
Yoshida & Miyato 2017, Spectral norm regularization, arXiv:1705.10941. Null: Bai & Yin 1993,
doi:10.1214/aop/1176989118.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dyntools.linalg import marchenko_pastur
from dyntools.linalg.blockwise import norm
from dyntools.measurement import Measurement, Status
from dyntools.metrics.layers import Row, collect, failed
from dyntools.metrics.metric import Metric
from dyntools.metrics.weights.spectra import at_start, unusable

if TYPE_CHECKING:
    from dyntools.linalg.top_singular_value import TopSingularValue
    from dyntools.matrix import Matrix
    from dyntools.snapshot import Snapshot


def companions(value: float, frobenius: float, initial: float, shape: tuple[int, int]) -> Row:
    """s_1 beside its null and its initial value; without error and method yet."""
    rms = frobenius / math.sqrt(math.prod(shape))
    beside = {
        "null": rms * marchenko_pastur.top_singular_value(*shape),
        "initial": initial,
        "ratio_to_initial": value / initial,
    }
    return Row(value, beside=beside)


def measure(snapshot: Snapshot, *, route: str = "spectrum") -> Measurement:
    """The largest singular value of every matrix.

    route: `spectrum` takes it from the whole spectrum, which other metrics share; `lanczos`
        computes it alone, several times faster.
    """
    measured = _by_lanczos if route == "lanczos" else _by_spectrum
    rows = {matrix.name: measured(snapshot, matrix) for matrix in snapshot.matrices()}
    keys = ("null", "initial", "ratio_to_initial")
    return collect(rows, beside=keys, error=True, left_out=snapshot.not_matrices())


def _by_spectrum(snapshot: Snapshot, matrix: Matrix) -> Row:
    spectrum = snapshot.spectrum(matrix)
    if reason := unusable(spectrum):
        return failed(reason)
    start = at_start(snapshot, matrix)
    initial = math.nan if start is None else float(start.values[0])
    frobenius = math.hypot(*spectrum.values.tolist())
    row = companions(float(spectrum.values[0]), frobenius, initial, matrix.shape)
    return Row(row.value, float(spectrum.error[0]), row.beside, method=spectrum.method)


def _by_lanczos(snapshot: Snapshot, matrix: Matrix) -> Row:
    top = _top(snapshot, matrix)
    if not top.value > 0.0:
        return failed("the matrix is zero" if top.value == 0.0 else "the matrix holds NaN or inf")
    start, initial = snapshot.initial, math.nan
    if start is not None and start.has(matrix):
        initial = _top(start, matrix).value or math.nan
    row = companions(top.value, norm(snapshot.matrix(matrix)), initial, matrix.shape)
    status = Status.ok if top.converged else Status.unconverged
    reason = "" if top.converged else f"not converged after {top.matvecs} products"
    return Row(row.value, top.error, row.beside, status, reason, top.method)


def _top(snapshot: Snapshot, matrix: Matrix) -> TopSingularValue:
    from dyntools.linalg.top_singular_value import top_singular_value  # brings torch along

    key = ("top singular value", matrix.name)
    return snapshot.once(key, lambda: top_singular_value(snapshot.matrix(matrix)))


METRIC = Metric(
    name="spectral_norm",
    group="weights",
    version=1,
    measure=measure,
    needs=("params",),
    uses=("initial",),
    dims=("layer",),
    unit="weight",
    what="largest singular value of each matrix",
    paper="Fan et al. 2025, arXiv:2510.15262; Yoshida & Miyato 2017, arXiv:1705.10941",
    cost="one spectrum a matrix, shared; a tenth of that with route=lanczos",
    layerwise=True,
    choices={"route": ("spectrum", "lanczos")},
)
