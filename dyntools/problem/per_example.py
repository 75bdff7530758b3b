"""Per-example gradients: their mean, their variance, and the norms of all, in one streaming pass.

    G = Σ_k w_k h_k / W,     Σ = 1/(K-1) Σ_k c_k (h_k - G)(h_k - G)ᵀ,     c_k = (w_k/w̄)² / m_k

h_k is the gradient of the mean loss of unit k: of one example (m_k = 1), or of a batch of m_k
examples where batch statistics leave no example a gradient of its own. w_k are its terms (tokens,
say), W = Σ w_k, and w̄ = W/Σ m_k. Σ is always that of one example: a batch of B examples drawn at
random has a gradient of covariance Σ/B, exactly where examples have equally many terms, else to
first order, as its loss is a ratio of sums (Cochran 1977, Sampling Techniques, chapter 6). Of Σ
only the diagonal and sums are kept, in vectors as long as the parameters: never a vector per
example.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dyntools.linalg.vectors import CHUNK, gram_matrix
from dyntools.problem.batches import Batch, take
from dyntools.problem.chunks import chunk_size, enough
from dyntools.problem.conditions import is_whole
from dyntools.problem.example_gradients import ROUTES, TOGETHER, route_of, trial
from dyntools.problem.layout import Layout
from dyntools.problem.obstacles import told_plainly
from dyntools.problem.risk import Risk
from dyntools.problem.units import GROUPS, Part, Units, units_of
from dyntools.problem.uses import Totals, Weights

STATISTICS = "per example"  # under which a snapshot keeps them
# Below this, in units of the last place of the mean square, a variance is rounding; chosen.
ROUNDING = 8.0


@dataclass(frozen=True, eq=False)
class Scaled:
    """trace: tr(P⁻¹Σ). gram: inner products with P⁻¹ of the means of groups (J, J).

    energy: Σ c hᵀP⁻¹h of each group (J,).
    """

    trace: float
    gram: NDArray[np.float64]
    energy: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PerExample:
    """What one pass over the examples leaves.

    mean: G (n,), variance: the diagonal of Σ (n,), both float64.
    norms: |h_k|² of every unit by every tensor (K, L). units: w_k, m_k and groups.
    gram: of each tensor, the inner products of the mean gradients of the groups (L, J, J).
    scaled: where a P was given, of P⁻¹ᐟ² h in place of h, all tensors together.
    method: how the gradients were come by.
    """

    layout: Layout
    mean: Tensor
    variance: Tensor
    norms: NDArray[np.float64]
    units: Units
    gram: NDArray[np.float64]
    scaled: Scaled | None
    method: str

    @property
    def examples(self) -> float:
        """Σ m_k."""
        return float(self.units.sizes.sum())

    @property
    def traces(self) -> NDArray[np.float64]:
        """tr Σ by tensors (L,)."""
        return np.array([float(part.sum()) for part in self.layout.split(self.variance)])


def per_example(risk: Risk, scale: Tensor | None = None) -> PerExample:
    """The statistics of a risk's gradients.

    scale: P (n,), positive, for the products with P⁻¹.
    Raises ProblemError when there are fewer than two units.
    """
    risk.believe_gradient()
    problem, probe = risk.problem, risk.probe
    whole = is_whole(problem)
    memory = problem.engine.basis_memory
    vectors = GROUPS if memory is None else memory // (risk.size * risk.theta.itemsize)
    units = units_of(probe, min(max(vectors, 2), GROUPS), whole=whole)
    with problem.ranks.agreeing("gradients of examples"), told_plainly(problem), enough(risk):
        route = route_of(risk, whole)
        inverse = None if scale is None else scale.reciprocal()
        sums = _Sums.empty(risk, units)
        for part, batch in _read(risk, units):
            _add(risk, route, sums, units, part, batch, inverse)
    for tensor in sums.all:
        problem.ranks.sum(tensor)
    return _statistics(risk, units, sums, inverse, route)


@dataclass(frozen=True, eq=False)
class _Sums:
    """groups: Σ w h (J, n). second: Σ c h², cross: Σ c h where c is not proportional to w.

    norms: (K, L), of the units of this rank, else zero. energy: Σ c hᵀP⁻¹h (J,), zero without P.
    """

    groups: Tensor
    second: Tensor
    cross: Tensor | None
    norms: Tensor
    energy: Tensor

    @classmethod
    def empty(cls, risk: Risk, units: Units) -> _Sums:
        device = risk.device
        long = torch.zeros(risk.size, dtype=torch.float64, device=device)
        return cls(
            torch.zeros(units.groups, risk.size, dtype=risk.dtype, device=device),
            long,
            None if units.even else torch.zeros_like(long),
            torch.zeros(
                len(units.terms), len(risk.layout.names), dtype=torch.float64, device=device
            ),
            torch.zeros(units.groups, dtype=torch.float64, device=device),
        )

    @property
    def all(self) -> list[Tensor]:
        every = (self.groups, self.second, self.cross, self.norms, self.energy)
        return [t for t in every if t is not None]


def _read(risk: Risk, units: Units) -> Iterator[tuple[Part, Batch]]:
    """What this rank has of every batch, and the whole batch."""
    ranks = risk.problem.ranks
    for part, batch in zip(units.parts, risk.probe.batches(), strict=True):
        if units.whole:
            mine = part if part.batch % ranks.count == ranks.rank else part.share(1, 1)
            yield from [(mine, batch)] if len(mine.rows) else []
            continue
        mine = part.share(ranks.rank, ranks.count)
        if len(mine.rows):
            yield mine, batch


def _add(
    risk: Risk,
    route: str,
    sums: _Sums,
    units: Units,
    part: Part,
    batch: Batch,
    inverse: Tensor | None,
) -> None:
    """The gradients of one part: by chunks in the working precision, of these in float64."""
    split = risk.layout.split
    groups = [split(row) for row in sums.groups]
    scale = None if inverse is None else split(inverse)

    def one(some: Batch, rows_of: slice) -> None:
        second = torch.zeros_like(risk.theta)
        cross = None if sums.cross is None else torch.zeros_like(risk.theta)
        squares, mixed = split(second), None if cross is None else split(cross)
        into = [
            Totals(
                [group[i] for group in groups],
                square,
                None if mixed is None else mixed[i],
                None if scale is None else scale[i],
                None if scale is None else sums.energy,
            )
            for i, square in enumerate(squares)
        ]
        numbers = part.numbers[rows_of]
        w, c = (
            torch.from_numpy(table[numbers]).to(risk.device, risk.dtype)
            for table in (units.terms, units.squares)
        )
        norms = ROUTES[route](risk, some, Weights.of(w, c, part.groups[rows_of]), into)
        sums.norms[torch.from_numpy(numbers).to(risk.device)] = norms.double()
        sums.second.add_(second)
        if sums.cross is not None and cross is not None:
            sums.cross.add_(cross)

    if units.whole:
        one(batch, slice(None))
        return
    count = len(part.rows)
    step = chunk_size(risk, partial(trial, risk)) if route == TOGETHER else count
    for start in range(0, count, step):
        chunk = slice(start, start + step)
        one(take(batch, torch.from_numpy(part.rows[chunk])), chunk)


def _statistics(
    risk: Risk, units: Units, sums: _Sums, inverse: Tensor | None, route: str
) -> PerExample:
    layout, w, c = risk.layout, units.terms, units.squares
    by_group = np.bincount(units.group, weights=w).astype(np.float64)
    mean = torch.empty_like(sums.second)
    share = mean.new_full((len(sums.groups),), 1.0 / float(w.sum()))
    for start in range(0, len(mean), CHUNK):
        part = slice(start, start + CHUNK)
        mean[part] = share @ sums.groups[:, part].double()
    floor = sums.second * (ROUNDING * torch.finfo(risk.dtype).eps)
    variance, whole = sums.second, float(c.sum())
    if sums.cross is None:  # c is proportional to w, and Σ c h is G Σ c
        variance.addcmul_(mean, mean, value=-whole)
    else:
        variance.addcmul_(mean, sums.cross, value=-2.0).addcmul_(mean, mean, value=whole)
    torch.maximum(variance, floor, out=variance).div_(len(w) - 1)
    scaled = None
    if inverse is not None:
        trace = float((variance * inverse).sum())
        gram = _of_means(sums.groups * inverse.sqrt(), by_group)
        scaled = Scaled(trace, gram, sums.energy.cpu().numpy())
    slices = [layout.slices[name] for name in layout.names]
    gram = np.stack([_of_means(sums.groups[:, part], by_group) for part in slices])
    norms = sums.norms.cpu().numpy()
    return PerExample(layout, mean, variance, norms, units, gram, scaled, route)


def _of_means(groups: Tensor, terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inner products (J, J) of the mean gradients of groups: sums (J, n) over their terms (J,)."""
    return np.asarray(gram_matrix(groups).cpu().numpy() / np.outer(terms, terms))
