"""The largest singular value alone, by Lanczos tridiagonalisation of AᵀA (never formed).

    AᵀA V = V T + β v eᵀ,    s_1² ≈ λ_1(T),    |λ_1(T) - s_1²| ≤ β · |last entry of T's eigenvector|

A is the tall one of W and Wᵀ, so all vectors kept are short; in exact arithmetic this is
Golub–Kahan bidiagonalisation of A (Golub & Van Loan 2013, Matrix Computations, section 10.4). The
products run in the precision the matrix is stored in, everything else in float64; one last product
in float64 then gives the Rayleigh quotient |Av|, a lower bound of s_1, and its residual. A narrow
matrix goes through its Gram matrix instead, which is as fast and gives all digits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal
from torch import Tensor

from dyntools.linalg.spectrum import EPSILON, ROUNDING, singular_values
from dyntools.linalg.tall import BLOCK_BYTES, Tall

Vector = NDArray[np.float64]

NARROW = 256  # columns; measured: the Gram matrix then costs no more than the steps of a flat top
FIRST_LOOK = 4  # steps before the first look at the residual; measured: spiked spectra need 5 or 6
METHOD = "Lanczos on AᵀA, last product in float64"


@dataclass(frozen=True)
class TopSingularValue:
    """The largest singular value.

    error: what `value` may be off by, from the residual and the rounding; it takes the Ritz value
        to belong to the largest eigenvalue, as a random start makes almost certain.
    matvecs: products with A or Aᵀ.
    converged: whether the residual came down to `rtol` within `max_steps`.
    """

    value: float
    error: float
    matvecs: int
    converged: bool
    method: str


def top_singular_value(
    matrix: Tensor, *, rtol: float = 1e-7, seed: int = 0, max_steps: int = 300
) -> TopSingularValue:
    """s_1 of `matrix` (m, n).

    rtol: relative error to stop at; 1e-7 is the rounding of float32 weights.
    max_steps: chosen; random matrices, without a gap below s_1, need 50 to 75.
    """
    tall = Tall.of(matrix)
    if tall.columns <= NARROW:
        whole = singular_values(matrix)
        value, error = float(whole.values[0]), float(whole.error[0])
        return TopSingularValue(value, error, 0, not math.isnan(value), whole.method)
    with np.errstate(invalid="ignore", over="ignore"):
        ritz = _lanczos(_stored(tall), tall.columns, rtol, seed, min(max_steps, tall.columns))
        product = _normal(tall.blocks(), ritz.vector)
    square = float(ritz.vector @ product)
    if not math.isfinite(square):
        reason = "no singular value: the matrix holds NaN or inf"
        return TopSingularValue(math.nan, math.nan, 2 * ritz.steps, False, reason)
    value = math.sqrt(max(square, 0.0))
    # The residual bounds the distance to an eigenvalue; its square over the gap is sharper, but
    # only as far as the recurrence itself had settled (two values closer than that look like one).
    residual = float(np.linalg.norm(product - square * ritz.vector))
    quadratic = ritz.residual + residual * residual / ritz.gap if ritz.gap > 0.0 else math.inf
    shift = min(residual, quadratic) + ROUNDING * math.sqrt(tall.columns) * EPSILON * square
    error = shift / (2.0 * value) if value > 0.0 else 0.0
    return TopSingularValue(value, error, 2 * ritz.steps + 2, ritz.converged, METHOD)


@dataclass(frozen=True, eq=False)
class _Ritz:
    """The top Ritz pair of AᵀA; gap: distance to the second Ritz value."""

    vector: Vector
    residual: float
    gap: float
    steps: int
    converged: bool


def _lanczos(
    blocks: Sequence[Tensor], columns: int, rtol: float, seed: int, max_steps: int
) -> _Ritz:
    """Lanczos with full re-orthogonalisation from a random start."""
    basis = np.empty((max_steps + 1, columns))
    start = np.random.default_rng(seed).standard_normal(columns)
    basis[0] = start / np.linalg.norm(start)
    diagonal, off_diagonal, look = np.zeros(max_steps), np.zeros(max_steps), FIRST_LOOK
    for step in range(max_steps):
        known = basis[: step + 1]
        vector = _normal(blocks, basis[step])
        diagonal[step] = basis[step] @ vector
        vector -= diagonal[step] * basis[step]
        vector -= (known @ vector) @ known
        beta = float(np.linalg.norm(vector))
        off_diagonal[step] = beta
        last = step == max_steps - 1 or not beta > 0.0  # nothing left to explore, or NaN
        if last and not math.isfinite(beta):
            return _Ritz(np.full(columns, np.nan), math.nan, math.nan, step + 1, False)
        if last or step == look:
            look = step + max(2, step // 6)  # a look costs as much as a step of a small matrix
            values, vectors = eigh_tridiagonal(
                diagonal[: step + 1],
                off_diagonal[:step],
                select="i",
                select_range=(max(step - 1, 0), step),
                check_finite=False,
            )
            residual = beta * abs(float(vectors[-1, -1]))
            converged = residual <= 2.0 * rtol * float(values[-1])
            if converged or last:
                gap = float(values[-1] - values[0]) if step else math.inf
                return _Ritz(vectors[:, -1] @ known, residual, gap, step + 1, converged)
        basis[step + 1] = vector / beta
    raise AssertionError("the last step returns")


def _stored(tall: Tall) -> list[Tensor]:
    """Blocks of rows as stored, views; half precision is widened, its products are too coarse."""
    matrix = tall.matrix
    if matrix.dtype not in (torch.float32, torch.float64):
        matrix = matrix.to(torch.float32)
    if tall.on_gpu:
        return [matrix]
    # Blocks that stay in the cache for both products: the matrix is read once, not twice.
    rows = max(1, BLOCK_BYTES // (matrix.element_size() * tall.columns))
    stored = matrix.cpu()
    return [stored[start : start + rows] for start in range(0, tall.rows, rows)]


def _normal(blocks: Iterable[Tensor], vector: Vector) -> Vector:
    """AᵀA times a vector (k,); scaled between the products, else squares could leave float32."""
    total = np.zeros_like(vector)
    for block in blocks:
        if block.is_cuda:
            image = torch.mv(block, torch.from_numpy(vector).to(block))
            largest = float(image.abs().max())
            back = torch.mv(block.mT, image / (largest or 1.0)).cpu().double().numpy()
        else:
            array = block.numpy()  # NumPy's products are a third faster than torch's here
            image = array @ vector.astype(array.dtype)
            largest = float(np.abs(image).max())
            back = ((image / array.dtype.type(largest or 1.0)) @ array).astype(np.float64)
        total += largest * back
    return total
