"""What the metrics of the weights share: a number of each spectrum as a row."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from dyntools.metrics.layers import Row, collect, failed

if TYPE_CHECKING:
    from dyntools.linalg.spectrum import Spectrum
    from dyntools.matrix import Matrix
    from dyntools.measurement import Measurement
    from dyntools.snapshot import Snapshot


def unusable(spectrum: Spectrum) -> str:
    """Why nothing can be said from a spectrum; empty where something can."""
    if math.isnan(spectrum.values[0]):
        return "the matrix holds NaN or inf"
    return "the matrix is zero" if spectrum.values[0] == 0.0 else ""


def at_start(snapshot: Snapshot, matrix: Matrix) -> Spectrum | None:
    """The spectrum of the same matrix at initialisation, where that is known and usable."""
    initial = snapshot.initial
    if initial is None or not initial.has(matrix):
        return None
    spectrum = initial.spectrum(matrix)
    return None if unusable(spectrum) else spectrum


def by_spectrum(
    snapshot: Snapshot,
    number: Callable[[Spectrum], tuple[float, float]],
    null: Callable[[int, int], float],
) -> Measurement:
    """A kind of rank, `number(spectrum)` → (value, error), beside its null and initial value."""

    def row(matrix: Matrix) -> Row:
        spectrum = snapshot.spectrum(matrix)
        if reason := unusable(spectrum):
            return failed(reason)
        value, error = number(spectrum)
        start = at_start(snapshot, matrix)
        beside = {
            "relative": value / len(spectrum.values),
            "null": null(*matrix.shape),
            "initial": number(start)[0] if start is not None else math.nan,
        }
        return Row(value, error, beside, method=spectrum.method)

    rows = {matrix.name: row(matrix) for matrix in snapshot.matrices()}
    keys = ("relative", "null", "initial")
    return collect(rows, beside=keys, error=True, left_out=snapshot.not_matrices())
