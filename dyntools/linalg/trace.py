"""Trace of an operator from products with random vectors, each with its standard error.

    Hutchinson   tr A ≈ mean zᵀAz                                Hutchinson 1990, Girard 1989
    Hutch++      tr A ≈ tr QᵀAQ + mean gᵀ(I−QQᵀ)A(I−QQᵀ)g,  Q = orth(A S)
                 Meyer, Musco, Musco & Woodruff 2021, arXiv 2010.09649
    XTrace       the same with every probe used both for Q and, left out of Q, for the rest
                 Epperly, Tropp & Webber 2024, arXiv 2301.07825

Where the spectrum decays the last two need far fewer products; where it is flat they gain nothing
and keep more vectors: 1 (Hutchinson), products/3 (Hutch++), products/2 (XTrace), and three more to
work with. Probes are drawn again from their seeds rather than kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dyntools.linalg.basis import Basis
from dyntools.linalg.operator import Operator
from dyntools.linalg.probes import normals, signs, size
from dyntools.linalg.vectors import dot

DEPENDENT = 10.0  # a vector of which less than DEPENDENT·ε is new lies in the span: rounding


@dataclass(frozen=True)
class Estimate:
    """A random estimate. standard_error: of `value`; NaN from a single sample."""

    value: float
    standard_error: float
    products: int
    method: str


def exact(operator: Operator) -> Estimate:
    """Σ e_iᵀ A e_i, n products: for matrices with few rows no estimate is cheaper."""
    n, total = operator.size, 0.0
    for i in range(n):
        unit = torch.zeros(n, dtype=operator.dtype, device=operator.device)
        unit[i] = 1.0
        total += float(operator(unit)[i])
    return Estimate(total, 0.0, n, "exact, unit vectors")


def hutchinson(operator: Operator, probes: int, seed: int = 0) -> Estimate:
    """Mean of zᵀAz over Rademacher z: one product per probe."""
    samples = [_quadratic(operator, signs(operator, seed, i)) for i in range(probes)]
    return Estimate(float(np.mean(samples)), _standard_error(samples), probes, "Hutchinson")


def hutch_plus_plus(operator: Operator, products: int, seed: int = 0) -> Estimate:
    """A third of the products each for Q, for tr QᵀAQ and for the rest; at least 3."""
    third = max(products // 3, 1)
    basis = Basis(operator, min(third, size(operator)))
    for i in range(basis.rows.shape[0]):
        _extend(basis, operator(signs(operator, seed, i)))
    used = basis.rows.shape[0] + basis.count
    inside = sum(_quadratic(operator, basis[i]) for i in range(basis.count))
    samples = []
    for i in range(third):
        probe = signs(operator, seed, third + i)
        basis.orthogonalise(probe, basis.norm(probe))
        samples.append(_quadratic(operator, probe))
    value = inside + float(np.mean(samples))
    return Estimate(value, _standard_error(samples), used + third, "Hutch++")


def xtrace(operator: Operator, products: int, seed: int = 0) -> Estimate:
    """Half of the products for A Ω = Q R, half for A Q; at least 4, in pairs.

    The estimate that leaves probe i out has Q(I − s sᵀ)Qᵀ in place of QQᵀ, s the normalised column
    i of R⁻ᵀ, and is normalised by the length of what is left of the probe (their section 2.3).
    """
    n = size(operator)
    half = min(max(products // 2, 2), n)
    basis, triangle = Basis(operator, half), np.zeros((half, half))
    for i in range(half):
        coefficients, fresh = _extend(basis, operator(normals(operator, seed, i)))
        if not fresh:
            return _whole_range(operator, basis, i + 1)
        triangle[: i + 1, i] = coefficients
    if half == n:
        return _whole_range(operator, basis, half)
    inside = np.stack([basis.coefficients(operator(basis[i])).cpu().numpy() for i in range(half)])
    inside = (inside + inside.T) / 2  # H = QᵀAQ
    left = np.linalg.inv(triangle).T
    left /= np.linalg.norm(left, axis=0)
    samples = []
    for i in range(half):
        probe = normals(operator, seed, i)
        shadow = basis.coefficients(probe).cpu().numpy()
        s = left[:, i]
        x = shadow - (s @ shadow) * s  # the probe's part in the space without i
        image = triangle[:, i]  # Qᵀ A ω
        within = float(dot(probe, probe, operator.reduce)) - x @ x
        through = shadow @ image - 2 * (x @ image) + x @ inside @ x
        samples.append(np.trace(inside) - s @ inside @ s + through * (n - half + 1) / within)
    return Estimate(float(np.mean(samples)), _standard_error(samples), 2 * half, "XTrace")


def _quadratic(operator: Operator, vector: Tensor) -> float:
    return float(dot(vector, operator(vector), operator.reduce))


def _standard_error(samples: list[float]) -> float:
    if len(samples) < 2:
        return float("nan")
    return float(np.std(samples, ddof=1) / np.sqrt(len(samples)))


def _extend(basis: Basis, vector: Tensor) -> tuple[NDArray[np.float64], bool]:
    """Append what is new in a vector (n,); its coefficients, and whether anything was new.

    NaN and inf count as new, so that they reach the estimate.
    """
    before = basis.norm(vector)
    removed, length = np.zeros(0), before
    if basis.count:
        removed, length = basis.orthogonalise(vector, before)
    if length <= DEPENDENT * basis.epsilon * before:
        return removed, False
    basis.append(vector, length)
    return np.append(removed, length), True


def _whole_range(operator: Operator, basis: Basis, used: int) -> Estimate:
    """The probes span the whole range of A (or the whole space): tr QᵀAQ is the trace.

    A tail of the spectrum that hides below rounding has a trace of at most √n times its length.
    """
    values = [_quadratic(operator, basis[i]) for i in range(basis.count)]
    largest = max(map(abs, values), default=0.0)
    tail = DEPENDENT * basis.epsilon * float(np.sqrt(size(operator))) * largest
    return Estimate(float(sum(values)), tail, used + basis.count, "XTrace, whole range")
