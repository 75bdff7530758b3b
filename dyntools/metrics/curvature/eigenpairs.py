"""Eigenpairs of a snapshot, shared by the metrics that look at them, warm from the step before."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dyntools.measurement import Measurement, Status

if TYPE_CHECKING:
    from torch import Tensor

    from dyntools.linalg.lanczos import Eigenpairs
    from dyntools.linalg.operator import Operator
    from dyntools.problem import Engine
    from dyntools.problem.layout import Layout
    from dyntools.snapshot import Snapshot

RTOL = 1e-3  # relative accuracy of an eigenvalue; far below the sampling error of any probe
K = 10  # eigenvalues: the classes of most benchmarks, and so the outliers (Sagun et al. 2018)


def of_hessian(
    snapshot: Snapshot,
    k: int,
    smallest: int = 0,
    *,
    rtol: float,
    seed: int,
    part: Layout | None = None,
) -> Eigenpairs:
    """Both ends of the Hessian, or of its diagonal block `part`; equal settings share the work."""
    from dyntools.operators.hessian import hessian  # brings torch along

    def build() -> Operator:
        return hessian(snapshot.risk(), part)

    key = ("hessian", () if part is None else part.names, k, smallest, rtol, seed)
    return outermost(snapshot, build, key, k, smallest, rtol=rtol, seed=seed)


def outermost(
    snapshot: Snapshot,
    build: Callable[[], Operator],
    key: Hashable,
    largest: int,
    smallest: int = 0,
    *,
    rtol: float,
    seed: int,
) -> Eigenpairs:
    """Lanczos on the operator that `build` makes, from the vectors found at the step before.

    Remembered under ("vectors", key), which the series forgets two steps later.
    """
    from dyntools.linalg.lanczos import Eigenpairs, lanczos
    from dyntools.linalg.warm_start import warm_start

    def compute() -> Eigenpairs:
        operator = build()
        earlier = None if snapshot.earlier is None else snapshot.earlier.known(("vectors", key))
        start: Tensor | None = None
        if isinstance(earlier, Eigenpairs):
            start = warm_start(operator, vectors_of(earlier), seed)
        assert snapshot.problem is not None
        width = basis_width(snapshot.problem.engine, operator, largest + smallest)
        pairs = lanczos(operator, largest, smallest, rtol=rtol, start=start, width=width, seed=seed)
        if snapshot.problem.engine.hvp == "differences":
            return replace(pairs, method=pairs.method + ", products by differences of gradients")
        return pairs

    return snapshot.once(("vectors", key), compute)


def basis_width(engine: Engine, operator: Operator, k: int) -> int | None:
    """The vectors that `--basis-memory` allows a basis; None leaves it to the algorithm."""
    from dyntools.linalg.basis import width_for

    if engine.basis_memory is None:
        return None
    return width_for(engine.basis_memory, operator.size, operator.dtype.itemsize, k)


def vectors_of(pairs: Eigenpairs) -> Tensor:
    """The eigenvectors of both ends, (pairs, n)."""
    import torch

    return torch.cat([pairs.largest.vectors, pairs.smallest.vectors])


def ranked(pairs: Eigenpairs, k: int, smallest: int = 0, *, block: str = "") -> Measurement:
    """Eigenvalues along `rank`: 1 … k from the top, -1, -2, … from the bottom.

    One that has not converged is NaN beside its bound, and its last value is told; one beyond the
    size of the matrix is absent.
    """
    ranks = (*range(1, k + 1), *range(-1, -smallest - 1, -1))
    top, bottom = pairs.largest, pairs.smallest
    last = along_ranks(top.values, bottom.values, k, smallest)
    error = along_ranks(top.errors, bottom.errors, k, smallest)
    met = along_ranks(top.converged, bottom.converged, k, smallest)  # NaN: no such pair
    status = np.full(len(ranks), int(Status.ok), dtype=np.int8)
    status[met == 0.0] = Status.unconverged
    status[~np.isfinite(last)] = Status.failed
    status[np.isnan(met)] = Status.absent
    reasons = {
        f"{block} rank {rank}".lstrip(): _reason(pairs, last[i], error[i])
        for i, rank in enumerate(ranks)
        if status[i] in (Status.failed, Status.unconverged)
    }
    return Measurement(
        np.where(status == Status.ok, last, np.nan),
        ("rank",),
        {"rank": ranks},
        error=error,
        status=status,
        skipped=reasons,
        method=pairs.method,
        matvecs=pairs.products,
    )


def along_ranks(
    top: NDArray[Any], bottom: NDArray[Any], k: int, smallest: int
) -> NDArray[np.float64]:
    """One number for each eigenpair along the ranks 1 … k, -1, …; NaN where there is no pair."""
    found = np.full(k + smallest, np.nan)
    found[: len(top)] = top
    found[k : k + len(bottom)] = bottom
    return found


def _reason(pairs: Eigenpairs, last: float, error: float) -> str:
    if not np.isfinite(last):
        return pairs.method
    return f"{pairs.method}; it stood at {last:.4g}, within {error:.2g} of an eigenvalue"
