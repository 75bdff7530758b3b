"""gradient_subspace: how much of the gradient lies in the top eigenspace of the Hessian.

    f_j = Σ_{i ≤ j} (u_i·g)² / |g|²,  j = 1 … k           null: j/n, a random direction, unit: share
    overlap_j = Tr(P_j(t) P_j(t')) / j = Σ_{i,l ≤ j} (u_i·u'_l)² / j      with the checkpoint before

u_i are the eigenvectors of the k largest eigenvalues and P_j the projector on the first j. After a
short while of training f_k is close to 1 for k = number of classes, and the space hardly moves:
Gur-Ari, Roberts & Dyer 2018, Gradient descent happens in a tiny subspace, arXiv:1812.04754.
A Ritz vector with residual r_i leans out of the true space of the first j by the sine
s_i ≤ r_i / (θ_i - λ_{j+1}) at most (Davis & Kahan 1970, doi:10.1137/0707001), so that f_j is off by
at most 2 sqrt(1-f) Σ s_i |a_i| + max((Σ s_i |a_i|)², (1-f) Σ s_i²), with a_i = u_i·g / |g|. Where
two eigenvalues nearly agree at j, the space of j has no meaning, and the error says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dyntools.measurement import Measurement, Status
from dyntools.metrics.curvature import eigenpairs
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor

    from dyntools.linalg.lanczos import Eigenpairs
    from dyntools.linalg.ritz import Ritz
    from dyntools.snapshot import Snapshot

Vector = NDArray[np.float64]


def along(vectors: Tensor, gradient: Tensor) -> Vector:
    """u_i·g / |g| for rows u_i (k, n); NaN for a gradient of zero."""
    from dyntools.linalg.vectors import inner, norm

    length = float(norm(gradient))
    if not 0.0 < length < math.inf:
        return np.full(len(vectors), np.nan)
    return np.asarray(inner(vectors, gradient).cpu().numpy() / length)


def overlaps(now: Tensor, before: Tensor) -> Vector:
    """Tr(P_j P'_j) / j for j = 1 … k, from orthonormal rows (k, n)."""
    from dyntools.linalg.vectors import inner

    squares = np.stack([inner(before, u).cpu().numpy() ** 2 for u in now])  # (k, k)
    blocks = np.diagonal(squares.cumsum(axis=0).cumsum(axis=1))
    return np.asarray(blocks / np.arange(1, len(blocks) + 1))


def sines(ritz: Ritz) -> NDArray[np.float64]:
    """Row j: how far the first j Ritz vectors may lean out of the true space of j, (k, k)."""
    values, residuals, rounding = ritz.values, ritz.residuals, _rounding(ritz)
    # What lies below the last is not handed over, but its gap is in its error, r²/gap. Where the
    # iteration ended exactly, as for tiny models, it is not known and taken as large.
    excess = max(ritz.errors[-1] - rounding, 0.0)
    last = values[-1] - (residuals[-1] ** 2 / excess if excess > 0.0 else math.inf)
    below = np.append(values[1:] + residuals[1:], last)
    gaps = values[None, :] - below[:, None]
    lengths = np.broadcast_to(residuals + rounding, gaps.shape)
    found = np.divide(lengths, gaps, out=np.ones(gaps.shape), where=gaps > lengths)
    return np.asarray(np.tril(found))


def doubt(share: Vector, cosines: Vector, leaning: NDArray[np.float64]) -> Vector:
    """How far f_j may be off, from a (k,) and what `sines` gives (k, k)."""
    mixed = leaning @ np.abs(cosines)
    outside = 1.0 - share
    bound = 2.0 * np.sqrt(outside) * mixed
    bound += np.maximum(mixed**2, outside * (leaning**2).sum(axis=1))
    return np.asarray(np.minimum(bound, np.maximum(share, outside)))


def measure(
    snapshot: Snapshot,
    *,
    k: int = eigenpairs.K,
    overlap: bool = True,
    rtol: float = eigenpairs.RTOL,
    seed: int = 0,
) -> Measurement:
    """The share of the gradient in the top 1 … k eigenvectors.

    k: 10, the classes of most benchmarks (the paper takes their number).
    overlap: with the eigenspace of the checkpoint before. Along a series that one is known; for a
        step measured alone it is computed, at the cost of the metric itself.
    rtol: 1e-3, as hessian_top, which shares its eigenvectors when k, rtol and seed agree.
    """
    risk = snapshot.risk()
    pairs = eigenpairs.of_hessian(snapshot, k, rtol=rtol, seed=seed)
    gradient = risk.gradient()
    cosines = along(pairs.largest.vectors, gradient)
    share = np.minimum(np.cumsum(cosines**2), 1.0)
    error = doubt(share, cosines, sines(pairs.largest)) + 16 * _epsilon(gradient) * share
    null = np.arange(1, len(share) + 1) / risk.size
    moved = np.full(len(share), np.nan)
    before = snapshot.previous
    if overlap and before is not None and before.problem is not None:
        other = eigenpairs.of_hessian(before, k, rtol=rtol, seed=seed)
        before.release()
        moved = overlaps(pairs.largest.vectors, other.largest.vectors)
    return _measurement(pairs, share, error, {"null": null, "overlap": moved}, k)


def _measurement(
    pairs: Eigenpairs, share: Vector, error: Vector, beside: Mapping[str, Vector], k: int
) -> Measurement:
    """Along the ranks: absent beyond the size of the matrix, unconverged from the first such on."""
    status = np.full(k, int(Status.absent), dtype=np.int8)
    met = np.logical_and.accumulate(pairs.largest.converged)
    status[: len(share)] = np.where(met, Status.ok, Status.unconverged)
    status[: len(share)][~np.isfinite(share)] = Status.failed
    reason = {}
    if Status.failed in status:
        why = "the gradient is zero or not finite" if met.all() else pairs.method
        reason = {"": why}
    elif Status.unconverged in status:
        reason = {f"rank {1 + int(np.argmin(met))} and beyond": pairs.method}

    def padded(array: Vector) -> Vector:
        return eigenpairs.along_ranks(array, np.empty(0), k, 0)

    return Measurement(
        np.where(status == Status.ok, padded(share), np.nan),
        ("rank",),
        {"rank": tuple(range(1, k + 1))},
        error=padded(error),
        status=status,
        beside={name: padded(array) for name, array in beside.items()},
        skipped=reason,
        method=pairs.method,
        matvecs=pairs.products,
    )


def _rounding(ritz: Ritz) -> float:
    """What the error of each value holds of rounding."""
    from dyntools.linalg.ritz import ROUNDING

    return ROUNDING * _epsilon(ritz.vectors) * float(np.abs(ritz.values).max(initial=0.0))


def _epsilon(tensor: Tensor) -> float:
    import torch

    return torch.finfo(tensor.dtype).eps


METRIC = Metric(
    name="gradient_subspace",
    group="curvature",
    version=1,
    measure=measure,
    needs=("params", "problem"),
    uses=("previous",),
    dims=("rank",),
    unit="share",
    what="share of the gradient in the top eigenvectors of the Hessian, and how far they moved",
    paper="Gur-Ari, Roberts & Dyer 2018, arXiv:1812.04754",
    cost="one gradient beside hessian_top, whose eigenvectors it shares",
    products=True,
    least={"k": 1, "rtol": 1e-12, "seed": 0},
)
