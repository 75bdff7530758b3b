"""Lanczos: the outermost eigenpairs of a symmetric operator, thickly restarted.

    A V_j = V_j T_j + β v_{j+1} e_jᵀ,   T_j s = θ s,   |A V_j s − θ V_j s| = β |s_j|

Single vectors, full reorthogonalisation, the small problem in float64. When the basis is full, its
outermost Ritz vectors replace it and the iteration goes on from there: Wu & Simon 2000,
Thick-restart Lanczos method, doi:10.1137/S0895479898334605. The iteration: `krylov`. The bounds:
`ritz` and `witness`. When it ends: `stopping`. Inner products: `vectors`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dyntools.linalg.krylov import Krylov
from dyntools.linalg.operator import Operator
from dyntools.linalg.probes import size
from dyntools.linalg.ritz import Ritz
from dyntools.linalg.stopping import Rule, Stop, Told

SMALL = 128  # parameters up to which the whole space is spanned: nothing can be missed; chosen
SPARE = 10  # basis vectors beyond the wanted: as good as an unbounded basis (measured, k = 1, 10)
LEAST, LEAST_WARM = 8, 4  # products before a stop (at 2 warm starts were 2e-2 off, measured)
MOST = 1000  # products before giving up (chosen)


@dataclass(frozen=True, eq=False)
class Eigenpairs:
    """Both ends of the spectrum and what they cost.

    products: products with the operator. restarts: of the basis.
    exhausted: the basis reached the whole space, so nothing can be missing.
    method: the algorithm, or why it gave up.
    """

    largest: Ritz
    smallest: Ritz
    products: int
    restarts: int
    exhausted: bool
    method: str


def lanczos(
    operator: Operator,
    largest: int = 1,
    smallest: int = 0,
    *,
    rtol: float = 1e-3,
    rule: Rule = "value",
    start: Tensor | None = None,
    width: int | None = None,
    offload: bool = False,
    seed: int = 0,
    max_products: int = MOST,
    least: int | None = None,
    told: Told | None = None,
) -> Eigenpairs:
    """The `largest` eigenvalues from the top and the `smallest` from the bottom, with vectors.

    rtol: relative accuracy of each value, where |θ| counts as at least 1 % of the largest |θ|, or
        10 % at an end with nothing above that (see `ritz`). 1e-3 is far below the sampling error of
        any probe (measured).
    rule: "value" stops when the error estimate min(r, r²/gap) of every wanted pair is below the
        tolerance; "vector" when the residual r itself is: the angle of the vector is then below
        r/gap, and the `errors` below the tolerance. Costs 10 % (k = 10) to 50 % (k = 1) more.
    start: first vector (n,), see `warm_start`; default a normal one from `seed`.
    width: most basis vectors, at least k + 3; default k + max(10, k) for k wanted pairs, and the
        whole space for n up to 128, where copies of an eigenvalue are then found for certain.
    offload: keep the basis, and the vectors returned, in CPU memory.
    max_products: a limit; pairs not converged by then are marked so.
    least: products before any stop; default 8, or 4 with a start.
    told: called with the products so far and the worst error estimate over its tolerance (done
        at 1; inf while too few pairs are known).
    """
    k = largest + smallest
    whole = size(operator)
    small = width is None and whole <= SMALL
    width = whole if small else max(width or k + max(SPARE, k), k + 3)
    run = Krylov(operator, min(width, whole), whole, seed, offload)
    run.begin(start)
    if least is None:
        least = LEAST if start is None else LEAST_WARM
    stop = Stop(largest, smallest, rtol, rule, least, told)
    while run.step():
        done = stop(run.projection, run.witness, run.products, run.since, run.exhausted)
        if run.exhausted or (done and not small):
            break
        if run.products >= max_products:
            break
        run.restart_if_full(largest, smallest)
    else:
        return _failed(operator, largest, smallest, run)
    return _finished(run, largest, smallest, stop)


def _finished(run: Krylov, largest: int, smallest: int, stop: Stop) -> Eigenpairs:
    found = run.projection
    count = found.values.size
    enough = run.exhausted or count > largest + smallest
    met = (stop.met(found) | run.exhausted) & enough
    down = np.arange(count)[::-1][:largest]
    up = np.arange(count)[:smallest]
    if run.exhausted:
        method = "Lanczos, the whole space"
    elif met[down].all() and met[up].all():
        method = "thick-restart Lanczos"
    else:
        method = f"thick-restart Lanczos, not converged after {run.products} products"
    return Eigenpairs(
        _pairs(run, met, down),
        _pairs(run, met, up),
        run.products,
        run.restarts,
        run.exhausted,
        method,
    )


def _pairs(run: Krylov, met: NDArray[np.bool_], chosen: NDArray[np.int64]) -> Ritz:
    found = run.projection
    values, residuals, errors = (x[chosen] for x in (found.values, found.residuals, found.errors))
    if run.witness is not None and not run.exhausted:
        errors = run.witness.resolved(values, errors, residuals)
    weights = np.zeros((chosen.size, run.basis.count))
    weights[:, : found.values.size] = found.weights[chosen]
    vectors = run.basis.combine(weights)
    return Ritz(values, errors + found.rounding, residuals, met[chosen], vectors)


def _failed(operator: Operator, largest: int, smallest: int, run: Krylov) -> Eigenpairs:
    """All NaN: nothing found before a product with NaN or inf can be trusted."""
    ends = []
    for k in (largest, smallest):
        nan = np.full(k, np.nan)
        vectors = torch.full((1, 1), torch.nan, dtype=operator.dtype).expand(k, operator.size)
        ends.append(Ritz(nan, nan, nan, np.zeros(k, dtype=bool), vectors))
    method = f"Lanczos stopped: product {run.products} was not finite"
    return Eigenpairs(ends[0], ends[1], run.products, run.restarts, False, method)
