"""Diagonal and block traces of a curvature matrix from the same random products.

    v_i = ±1 at random,   E[v ∘ A v] = diag A,   E[v_b · (A v)_b] = Tr A_bb     for every part b

One product with a vector over all parameters serves all parts at once: what the other parts add has
mean zero and only widens the standard error. Hutchinson 1990, doi:10.1080/03610919008812866; Bekas,
Kokiopoulou & Saad 2007, doi:10.1016/j.apnum.2007.01.003 (the diagonal).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    from dyntools.linalg.operator import Operator
    from dyntools.snapshot import Snapshot

MATRICES = ("hessian", "gauss_newton")
PROBES = 16  # chosen: a standard error known to a fifth, for about the products of five eigenvalues
GROUPS = 8  # of probes, whose means are compared entry by entry; chosen: 9 vectors of memory
CLEAR = 0.975  # one-sided level at which the sign of an entry is taken to be known; chosen


@dataclass(frozen=True, eq=False)
class Part:
    """Some entries of the diagonal.

    sums: v_b · (A v)_b of every probe (p,), whose expectation is the trace of the part.
    upper, lower: of the mean |A_ii|, in expectation; `lower_error` its standard error.
    square: the mean A_ii², without bias; it may come out negative where it is lost in noise.
    positive, negative: shares of the entries whose sign is known.
    """

    size: int
    sums: NDArray[np.float64]
    upper: float
    lower: float
    lower_error: float
    square: float
    positive: float
    negative: float


def parts(snapshot: Snapshot, matrix: str, probes: int, seed: int) -> Mapping[str, Part]:
    """Every tensor in model order, a fused query-key-value weight as three parts."""
    return snapshot.once(
        ("diagonal", matrix, probes, seed), lambda: _measured(snapshot, matrix, probes, seed)
    )


def standard_error(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the mean over the first axis, (p, …) → (…)."""
    count = len(samples)
    if count < 2:
        return np.full(samples.shape[1:], np.nan)
    return np.asarray(samples.std(axis=0, ddof=1) / np.sqrt(count))


def _measured(snapshot: Snapshot, matrix: str, probes: int, seed: int) -> dict[str, Part]:
    from dyntools.operators import hessian

    operator = getattr(hessian, matrix)(snapshot.risk())
    totals: dict[str, list[float]] = {}
    means = _group_means(snapshot, operator, probes, seed, totals)
    cut = [_cut(snapshot, mean) for mean in means]
    return {
        name: _part(np.array(sums), [one[name] for one in cut]) for name, sums in totals.items()
    }


def _group_means(
    snapshot: Snapshot, operator: Operator, probes: int, seed: int, totals: dict[str, list[float]]
) -> list[Tensor]:
    """Means of v ∘ A v over groups of the probes, each (n,); the sums over parts in `totals`."""
    from dyntools.linalg.probes import signs
    from dyntools.linalg.vectors import dot

    means = []
    for group in np.array_split(np.arange(probes), min(GROUPS, probes)):
        total: Tensor | None = None
        for probe in group:
            vector = signs(operator, seed, int(probe))
            product = operator(vector)
            images = _cut(snapshot, product)
            for name, part in _cut(snapshot, vector).items():
                totals.setdefault(name, []).append(float(dot(part, images[name])))
            entries = product.mul_(vector)
            total = entries if total is None else total.add_(entries)
        assert total is not None
        means.append(total.div_(len(group)))
    return means


def _cut(snapshot: Snapshot, vector: Tensor) -> dict[str, Tensor]:
    """The entries of every part, flat."""
    layout = snapshot.risk().layout
    fused: dict[str, list[tuple[str, Tensor]]] = {}
    tensors = dict(zip(layout.names, layout.split(vector), strict=True))
    for matrix in snapshot.matrices():
        if matrix.name != matrix.parameter and matrix.parameter in tensors:
            values = matrix.take(tensors[matrix.parameter]).reshape(-1)
            fused.setdefault(matrix.parameter, []).append((matrix.name, values))
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        found |= dict(fused.get(name, [(name, tensor.reshape(-1))]))
    return found


def _part(sums: NDArray[np.float64], means: Sequence[Tensor]) -> Part:
    """From the sums of all probes (p,) and the means of all groups, each (size,)."""
    import torch
    from scipy.special import stdtrit

    groups = torch.stack([mean.double() for mean in means])  # (G, size)
    count, size = groups.shape
    diagonal = groups.mean(0)
    upper = float(diagonal.abs().mean())
    if count < 2:
        return Part(size, sums, upper, 0.0, upper, np.nan, np.nan, np.nan)
    # The sign is read from the other groups, so that its errors are independent of the values.
    others = (diagonal * count - groups) / (count - 1)
    lower = (others.sign() * groups).mean(1).cpu().numpy()
    square = float(((diagonal * count).square() - groups.square().sum(0)).mean())
    away = float(stdtrit(count - 1, CLEAR)) * groups.std(0) / count**0.5
    return Part(
        size,
        sums,
        upper,
        float(lower.mean()),
        float(standard_error(lower)),
        square / (count * (count - 1)),
        float((diagonal > away).double().mean()),
        float((diagonal < -away).double().mean()),
    )
