"""All singular values of a matrix, each with an error bound, without a float64 copy of the matrix.

    G = AᵀA  (k, k), summed over blocks of rows in float64,    s_i = √λ_i(G)    k = min(m, n)

A is the tall one of W and Wᵀ. Rounding moves an eigenvalue of G by about ε·s_1², hence s_i by about
ε·s_1²/s_i: exact for everything but singular values far below s_1. Where s_k/s_1 < 1e-5 the matrix
is measured again by a block-wise QR decomposition, whose error is about ε·s_1 for every s_i.
Golub & Van Loan 2013, Matrix Computations, sections 5.2 and 8.6; block-wise QR: Demmel, Grigori,
Hoemmen & Langou 2012, doi:10.1137/080731992.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from scipy.linalg.blas import dsyrk
from threadpoolctl import ThreadpoolController
from torch import Tensor

from dyntools.linalg.tall import Tall

EPSILON = float(np.finfo(np.float64).eps)
# Below this s_k/s_1 the Gram matrix may leave s_k a relative error above ε/ratio² = 2e-6.
GRAM_LIMIT = 1e-5
# Rounding moves λ_i(G) by less than ROUNDING·√k·ε·λ_1; by the QR route s_i by less than the same
# times s_1. Measured on matrices of exactly known spectrum, k = 4 to 1024: at most 2.0·√k.
ROUNDING = 4.0
# Eigenvalues are found on one thread: the solver alternates short parallel pieces, and threads that
# wait for one another by spinning cost 2 to 80 times the time where anything else runs (measured on
# two shared cores, k = 256 to 2048); on an idle machine a second thread gains a third.
THREADS = ThreadpoolController()


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Singular values in descending order.

    values: float64 (k,).
    error: float64 (k,), what each value may be off by, absolute.
    method: the route that gave the numbers, or why there are none (then all values are NaN).
    """

    values: NDArray[np.float64]
    error: NDArray[np.float64]
    method: str


def singular_values(matrix: Tensor, *, minus: Tensor | None = None) -> Spectrum:
    """All singular values of `matrix` (m, n) of any float type, or of `matrix - minus`.

    The difference is formed block by block in float64. NaN or inf in, NaN out.
    """
    tall = Tall.of(matrix, minus)
    k, scale = tall.columns, 1.0
    gram = _gram(tall, scale)
    if not 1e-200 < float(np.trace(gram)) < 1e200:  # the squares may have left the range of float64
        scale = tall.largest()
        if not math.isfinite(scale):
            nan = np.full(k, np.nan)
            return Spectrum(nan, nan, "no spectrum: the matrix holds NaN or inf")
        if scale == 0.0:
            return Spectrum(np.zeros(k), np.zeros(k), "zero matrix")
        gram = _gram(tall, scale)
    values, error = _from_gram(gram)
    if values[-1] >= GRAM_LIMIT * values[0]:
        return Spectrum(values * scale, error * scale, "eigenvalues of the Gram matrix in float64")
    triangle = _triangle(tall, scale)
    with THREADS.limit(limits=1, user_api="blas"):
        values = scipy.linalg.svdvals(triangle, check_finite=False)
    error = np.full(k, ROUNDING * math.sqrt(k) * EPSILON * values[0])
    return Spectrum(values * scale, error * scale, "block-wise QR and SVD in float64")


def _gram(tall: Tall, scale: float) -> NDArray[np.float64]:
    """Lower triangle of AᵀA / scale² (k, k), in column-major order."""
    k = tall.columns
    if tall.on_gpu:
        total = torch.zeros(k, k, dtype=torch.float64, device=tall.matrix.device)
        for block in tall.blocks(scale=scale):
            total.addmm_(block.mT, block)
        return np.asfortranarray(total.cpu().numpy())
    gram = np.zeros((k, k), order="F")
    for block in tall.blocks(scale=scale):
        array = block.numpy()
        if array.flags.f_contiguous:
            gram = dsyrk(1.0, array, beta=1.0, c=gram, trans=1, lower=1, overwrite_c=1)
        else:
            gram = dsyrk(1.0, array.T, beta=1.0, c=gram, lower=1, overwrite_c=1)
    return gram


def _from_gram(
    gram: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Square roots of the eigenvalues, descending, and how far each may be off; `gram` is lost."""
    with THREADS.limit(limits=1, user_api="blas"):
        squares = scipy.linalg.eigh(
            gram, eigvals_only=True, lower=True, driver="evd", overwrite_a=True, check_finite=False
        )
    squares = squares[::-1].clip(min=0.0)
    values = np.sqrt(squares)
    shift = ROUNDING * math.sqrt(len(squares)) * EPSILON * squares[0]
    downwards = values - np.sqrt((squares - shift).clip(min=0.0))
    upwards = np.sqrt(squares + shift) - values
    return values, np.maximum(downwards, upwards) + EPSILON * values


def _triangle(tall: Tall, scale: float) -> NDArray[np.float64]:
    """R (k, k) of the QR decomposition of A / scale."""
    triangle = np.empty((0, tall.columns))
    for block in tall.blocks(at_least=tall.columns, scale=scale):
        stacked = np.vstack([triangle, block.cpu().numpy()])
        triangle = np.asarray(np.linalg.qr(stacked, mode="r"))
    return triangle
