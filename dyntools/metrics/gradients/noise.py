"""Noise: the variance of gradients against their mean, without the bias of few examples.

    S = tr Σ,     Q = |Ĝ|² - S/M      Ĝ the mean gradient of M examples, E|Ĝ|² = |G|² + tr Σ / M

Both are unbiased, their ratio is not but for many examples; a mean of ratios would be biased for
any number. McCandlish et al. 2018, An empirical model of large-batch training, arXiv:1812.06162,
appendix A. Errors by the jackknife that leaves out one group of m_j examples at a time (Busing,
Meijer & van der Leeden 1999, Delete-m jackknife for unequal m, doi:10.1023/A:1008800423698).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from dyntools.problem.per_example import PerExample

Array = NDArray[np.float64]
UNRESOLVED = (
    "|G|² is not above zero: the mean gradient of these examples is all noise; more of them"
)
RESOLVED = 2.0  # standard errors by which |G|² must be above zero; chosen


@dataclass(frozen=True, eq=False)
class Noise:
    """trace: S, squared: Q, each of some shape; covariance: of both, (2, 2) more axes."""

    trace: Array
    squared: Array
    covariance: Array

    @property
    def ratio(self) -> Array:
        """S/Q, NaN where Q is not positive."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.squared > 0.0, self.trace / self.squared, np.nan)

    @property
    def ratio_error(self) -> Array:
        """One standard error of S/Q, to first order."""
        slopes = np.stack([1.0 / self._positive, -self.trace / self._positive**2], -1)
        variance = np.einsum("...i,...ij,...j->...", slopes, self.covariance, slopes)
        return np.asarray(np.sqrt(np.maximum(variance, 0.0)))

    @property
    def squared_error(self) -> Array:
        return np.sqrt(self.covariance[..., 1, 1])

    @property
    def trace_error(self) -> Array:
        return np.sqrt(self.covariance[..., 0, 0])

    @property
    def lowest(self) -> Array:
        """S/Q at a Q that is two standard errors higher: what it is at least."""
        above = self.squared + RESOLVED * self.squared_error
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(above > 0.0, self.trace / above, np.nan)

    @property
    def highest(self) -> Array:
        """S/Q at a Q that is two standard errors lower; infinite where that is not positive."""
        below = self.squared - RESOLVED * self.squared_error
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(below > 0.0, self.trace / below, np.inf)

    @property
    def _positive(self) -> Array:
        return np.where(self.squared > 0.0, self.squared, np.nan)


def why(one: Noise) -> str:
    """Why there is no ratio."""
    return UNRESOLVED if np.isfinite(one.trace) else "a gradient is NaN or infinite"


def by_tensor(found: PerExample) -> Noise:
    """Of each tensor (L,)."""
    return _noise(found, found.gram, found.traces, _energies(found))


def of_all(found: PerExample) -> Noise:
    """Of all parameters together, ()."""
    gram, energy = found.gram.sum(axis=0), _energies(found).sum(axis=0)
    return _noise(found, gram, np.array(found.traces.sum()), energy)


def length(found: PerExample) -> float:
    """|Ĝ|², the squared norm of the mean gradient of these examples."""
    return float(sum(float(part.square().sum()) for part in found.layout.split(found.mean)))


def preconditioned(found: PerExample) -> Noise | None:
    """tr(P⁻¹Σ) and GᵀP⁻¹G; the error is that of the latter alone, the larger one."""
    if found.scaled is None:
        return None
    trace, gram = found.scaled
    return _noise(found, gram, np.array(trace), None)


def two_sizes(found: PerExample) -> Noise:
    """S and Q from the norms of gradients of two batch sizes, the groups and all examples.

    (|h_b|² - |h_B|²) / (1/b - 1/B) and (B|h_B|² - b|h_b|²) / (B - b) where groups are equal. The
    spread between few groups tells far less than that between examples: a check of the other.
    """
    sizes, gram = _sizes(found), found.gram.sum(axis=0)
    share = by_group(found, found.units.terms) / found.units.terms.sum()
    mean = float(share @ gram @ share)
    apart = np.diag(gram) - 2.0 * gram @ share + mean
    trace = np.array(float(sizes @ apart) / (len(sizes) - 1))
    return Noise(trace, np.array(mean - trace / sizes.sum()), np.full((2, 2), np.nan))


def along_mean(found: PerExample) -> tuple[float, float]:
    """GᵀΣG and tr Σ², roughly: from the spread of the groups along the mean and one another."""
    sizes, gram = _sizes(found), found.gram.sum(axis=0)
    w = by_group(found, found.units.terms)
    share = w / w.sum()
    centring = np.eye(len(sizes)) - share[None, :]
    apart = centring @ gram @ centring.T  # (h_j - G)·(h_k - G), on average -S/M for j ≠ k
    pairs = np.triu_indices(len(sizes), 1)
    scale = np.outer(sizes, sizes)[pairs]
    level = float(found.traces.sum() / sizes.sum())
    squares = float((scale * (apart[pairs] + level) ** 2).mean())
    along = (sizes * (centring @ gram @ share) ** 2).sum() / (len(sizes) - 1)
    return max(float(along) - squares / float(sizes.sum()), 0.0), squares


def _noise(found: PerExample, gram: Array, trace: Array, energy: Array | None) -> Noise:
    """gram (…, J, J), trace (…), energy (…, J): Σ c|h|² of each group, None for a known trace."""
    sizes, w = _sizes(found), by_group(found, found.units.terms)
    c, count = by_group(found, found.units.squares), by_group(found, np.ones(len(found.norms)))

    def at(kept: NDArray[np.bool_]) -> tuple[Array, Array]:
        share = np.where(kept, w, 0.0) / w[kept].sum()
        mean = np.einsum("i,...ij,j->...", share, gram, share)
        spread = trace
        if energy is not None:
            # Σ c h of a group as its Σ w h by the ratio of their sums; exact for equal terms.
            crossed = np.einsum("i,...ij,j->...", np.where(kept, c, 0.0), gram, share)
            sums = energy[..., kept].sum(-1) - 2.0 * crossed + c[kept].sum() * mean
            spread = sums / max(float(count[kept].sum()) - 1.0, 1.0)
        return spread, mean - spread / sizes[kept].sum()

    everything = np.ones(len(sizes), dtype=bool)
    without = np.stack([np.stack(at(np.arange(len(sizes)) != j), -1) for j in range(len(sizes))])
    whole = np.stack(at(everything), -1)
    squared = np.einsum("i,...ij,j->...", w / w.sum(), gram, w / w.sum()) - trace / sizes.sum()
    return Noise(trace, squared, delete_group(whole, without, sizes))


def delete_group(whole: Array, without: Array, sizes: Array) -> Array:
    """Covariance (…, q, q) of estimates (…, q) from those without each group, (J, …, q)."""
    times = sizes.sum() / sizes
    shape = (-1,) + (1,) * whole.ndim
    h = times.reshape(shape)
    pseudo = h * whole - (h - 1.0) * without
    estimate = len(sizes) * whole - ((1.0 - 1.0 / h) * without).sum(0)
    off = (pseudo - estimate) / np.sqrt(h - 1.0)
    return np.asarray(np.einsum("g...i,g...j->...ij", off, off) / len(sizes))


def _sizes(found: PerExample) -> Array:
    return by_group(found, found.units.sizes)


def by_group(found: PerExample, table: Array) -> Array:
    """Sums (J,) of a number of every unit (K,)."""
    return np.asarray(
        np.bincount(found.units.group, weights=table, minlength=found.units.groups),
        dtype=np.float64,
    )


def _energies(found: PerExample) -> Array:
    """Σ c|h|² by tensors and groups (L, J)."""
    weighted = found.units.squares[:, None] * found.norms
    return np.stack([by_group(found, column) for column in weighted.T])
