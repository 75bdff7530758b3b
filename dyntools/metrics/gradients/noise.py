"""Noise: the variance of gradients against their mean, without the bias of few examples.

    S = tr Σ,     Q = |Ĝ|² - S/M      Ĝ the mean gradient of M examples, E|Ĝ|² = |G|² + tr Σ / M

Both are unbiased, their ratio is not but for many examples; a mean of ratios would be biased for
any number. McCandlish et al. 2018, An empirical model of large-batch training, arXiv:1812.06162,
appendix A. Errors by the jackknife that leaves out one group of m_j examples at a time (Busing,
Meijer & van der Leeden 1999, Delete-m jackknife for unequal m, doi:10.1023/A:1008800423698).
Bounds of the ratio by both errors and their covariance: Fieller 1954, Some problems in interval
estimation, doi:10.1111/j.2517-6161.1954.tb00159.x, with Student's t of J - 1.
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
LEVEL = 0.9545  # of the bounds, that of two standard errors of a normal estimate; chosen
FEWEST = 2  # units that must be left when a group is left out, for a spread between them


@dataclass(frozen=True, eq=False)
class Noise:
    """trace: S, squared: Q, each of some shape; covariance: of both, (2, 2) more axes.

    groups: J, that the covariance comes from, which is NaN where they are too few to tell one.
    """

    trace: Array
    squared: Array
    covariance: Array
    groups: int

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
    def bounds(self) -> tuple[Array, Array]:
        """Between which the ratio lies: Fieller's, where S - ρQ is within t standard errors of 0.

        0 below where S is not resolved, infinity above where Q is not. NaN below where Q is below
        zero by more than its error, and NaN both where something is not known or not finite.
        """
        from scipy.special import stdtrit

        t2 = float(stdtrit(max(self.groups - 1, 1), 0.5 + LEVEL / 2.0)) ** 2
        s, q, v = self.trace, self.squared, self.covariance
        a, c = q**2 - t2 * v[..., 1, 1], s**2 - t2 * v[..., 0, 0]
        b = s * q - t2 * v[..., 0, 1]
        root = np.sqrt(np.maximum(b**2 - a * c, 0.0))
        known = np.isfinite(a) & np.isfinite(b) & np.isfinite(c)
        impossible = (a > 0.0) & (q < 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            low = np.where(c > 0.0, c / (b + root), 0.0)
            high = np.where(a > 0.0, (b + root) / a, np.inf)
        low, high = np.where(impossible, np.nan, low), np.where(impossible, np.inf, high)
        return np.where(known, low, np.nan), np.where(known, high, np.nan)

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
    """tr(P⁻¹Σ) and GᵀP⁻¹G."""
    one = found.scaled
    return None if one is None else _noise(found, one.gram, np.array(one.trace), one.energy)


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
    squared = np.array(mean - trace / sizes.sum())
    return Noise(trace, squared, np.full((2, 2), np.nan), len(sizes))


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


def _noise(found: PerExample, gram: Array, trace: Array, energy: Array) -> Noise:
    """gram (…, J, J), trace (…), energy (…, J): Σ c|h|² of each group."""
    sizes, w = _sizes(found), by_group(found, found.units.terms)
    c, count = by_group(found, found.units.squares), by_group(found, np.ones(len(found.norms)))

    def at(kept: NDArray[np.bool_]) -> tuple[Array, Array]:
        share = np.where(kept, w, 0.0) / w[kept].sum()
        mean = np.einsum("i,...ij,j->...", share, gram, share)
        # Σ c h of a group as its Σ w h by the ratio of their sums; exact for equal terms.
        crossed = np.einsum("i,...ij,j->...", np.where(kept, c, 0.0), gram, share)
        sums = energy[..., kept].sum(-1) - 2.0 * crossed + c[kept].sum() * mean
        # c holds the w̄ of all units: here it is that of those kept.
        rescaled = (w.sum() / sizes.sum() / (w[kept].sum() / sizes[kept].sum())) ** 2
        spread = rescaled * sums / (count[kept].sum() - 1.0)
        return spread, mean - spread / sizes[kept].sum()

    groups = len(sizes)
    everything = np.ones(groups, dtype=bool)
    squared = np.einsum("i,...ij,j->...", w / w.sum(), gram, w / w.sum()) - trace / sizes.sum()
    if groups < 2 or count.sum() - count.max() < FEWEST:
        return Noise(trace, squared, np.full((*trace.shape, 2, 2), np.nan), groups)
    without = np.stack([np.stack(at(np.arange(groups) != j), -1) for j in range(groups)])
    whole = np.stack(at(everything), -1)
    return Noise(trace, squared, delete_group(whole, without, sizes), groups)


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
