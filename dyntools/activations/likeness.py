"""Likeness: how far two layers agree on which examples are alike, by centred kernel alignment.

    HSIC(K, L) = Σ_{i≠j} K̃_ij L̃_ij / (n (n - 3))
    CKA = HSIC(K, L) / √(HSIC(K, K) HSIC(L, L))

K̃ is K without its diagonal, centred so that rows and columns sum to zero: the unbiased HSIC of
Song et al. 2012, Feature selection via dependence maximization, in the form of Székely & Rizzo
2014, arXiv:1310.2926. In CKA (Kornblith et al. 2019, arXiv:1905.00414) by Nguyen et al. 2021,
arXiv:2010.15327. The biased form, |Xᵀ Y|² over |Xᵀ X| |Yᵀ Y| of centred features, is d/(d + n) for
two independent isotropic sets of d features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dyntools.activations.patterns import GROUPS, drawn_groups, jackknife_error
from dyntools.activations.representations import FEWEST, Matrix, Representation


@dataclass(frozen=True)
class Likeness:
    """CKA of two layers with one standard error, its biased form, and over how many examples."""

    value: float
    error: float
    biased: float
    examples: int


def likeness(one: Representation, other: Representation) -> Likeness:
    """Of two representations of the same examples that were not refused."""
    assert one.gram is not None
    assert other.gram is not None
    n = len(one.gram)
    groups = drawn_groups(one.examples)[one.numbers].numpy()
    without = [cka(*_part(groups != g, one.gram, other.gram)) for g in np.unique(groups)]
    error = math.nan
    if len(without) == GROUPS and n - n // GROUPS >= FEWEST:
        error = jackknife_error(without)
    return Likeness(cka(one.gram, other.gram), error, biased_cka(one.gram, other.gram), n)


def cka(k: Matrix, l: Matrix) -> float:  # noqa: E741  # the letters of the papers
    """Debiased, of two Gram matrices (n, n), n ≥ 4; NaN where one has no spread."""
    return _cosine(_off_diagonal_centred(k), _off_diagonal_centred(l))


def biased_cka(k: Matrix, l: Matrix) -> float:  # noqa: E741
    """As Kornblith et al. 2019 and Diehl Martinez et al. 2024 take it."""
    return _cosine(_centred(k), _centred(l))


def _part(kept: NDArray[np.bool_], *matrices: Matrix) -> tuple[Matrix, ...]:
    return tuple(matrix[np.ix_(kept, kept)] for matrix in matrices)


def _off_diagonal_centred(k: Matrix) -> Matrix:
    """Zero diagonal, rows and columns that sum to zero; K_ij + a_i + a_j gives the same."""
    n = len(k)
    hollow = k - np.diag(np.diag(k))
    rows = hollow.sum(0) / (n - 2)
    centred = hollow - rows[:, None] - rows + rows.sum() / (n - 1)
    np.fill_diagonal(centred, 0.0)
    return np.asarray(centred)


def _centred(k: Matrix) -> Matrix:
    rows = k.mean(0)
    return np.asarray(k - rows[:, None] - rows + rows.mean())


def _cosine(a: Matrix, b: Matrix) -> float:
    size = math.sqrt(float(np.vdot(a, a))) * math.sqrt(float(np.vdot(b, b)))
    return float(np.vdot(a, b)) / size if size > 0.0 else math.nan
