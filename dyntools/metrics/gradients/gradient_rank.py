"""gradient_rank: in how many directions the gradient of each matrix lives.

    value = erank(G) = exp(-Σ p_i ln p_i),  p_i = s_i / Σ s          1 … k = min(m, n)
    top1, top4, quarter = Σ_{i≤r} s_i² / Σ s²  for r = 1, 4, k/4     energy of the best rank r
    rank90 = the smallest r with 90 % of the energy

Singular values s of the gradient, not squared in the value. An optimizer that keeps its moments in
the top r directions sees the share `quarter` at r = k/4, a usual choice: Zhao et al. 2024, GaLore,
arXiv:2403.03507. The effective rank is that of Roy & Vetterli 2007; `null` is that of a random
matrix of the shape.

The error is that of the spectrum of the gradient as it is held. The problem's own gradient is made
here, in the precision of the engine: its rounding grows as examples cancel, and is bounded by
nothing that is known. There is no error of it, but in float64.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dyntools.linalg import marchenko_pastur
from dyntools.linalg.effective_rank import effective_rank
from dyntools.metrics.gradients.source import PROBE, gradient, of_training
from dyntools.metrics.layers import Row, collect, failed, missing
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor

    from dyntools.measurement import Measurement
    from dyntools.snapshot import Snapshot

COMPANIONS = ("relative", "null", "top1", "top4", "quarter", "rank90")
ENERGY = 0.9  # of rank90; chosen


def rank_of(matrix: Tensor) -> Row:
    """Of a gradient (m, n)."""
    from dyntools.linalg.spectrum import singular_values
    from dyntools.metrics.weights.spectra import unusable

    spectrum = singular_values(matrix)
    if reason := unusable(spectrum):
        return failed("its gradient is zero" if spectrum.values[0] == 0.0 else reason)
    rank, error = effective_rank(spectrum.values, spectrum.error)
    energy = np.cumsum(spectrum.values**2)
    energy = energy / energy[-1]
    k = len(energy)
    beside = {
        "relative": rank / k,
        "null": marchenko_pastur.effective_rank(*matrix.shape),
        "top1": float(energy[0]),
        "top4": float(energy[min(4, k) - 1]),
        "quarter": float(energy[max(k // 4, 1) - 1]),
        "rank90": float(np.searchsorted(energy, ENERGY) + 1),
    }
    return Row(rank, error, beside, method=spectrum.method)


def measure(snapshot: Snapshot) -> Measurement:
    """Effective rank of the gradient of every matrix."""
    import torch

    rows = {}
    for matrix in snapshot.matrices():
        g = gradient(snapshot, matrix.parameter)
        if isinstance(g, str):
            rows[matrix.name] = missing(g)
        else:
            row = rank_of(matrix.take(g.to(snapshot.device)))
            known = of_training(snapshot) or g.dtype == torch.float64
            rows[matrix.name] = row if known else replace(row, error=math.nan)
    methods = dict.fromkeys(row.method for row in rows.values() if row.method)
    said = [*methods, *([] if of_training(snapshot) else [PROBE])]
    return collect(
        rows,
        beside=COMPANIONS,
        error=True,
        left_out=snapshot.not_matrices(),
        method="; ".join(said),
    )


METRIC = Metric(
    name="gradient_rank",
    group="gradients",
    version=1,
    measure=measure,
    needs=("params", "gradients"),
    dims=("layer",),
    unit="dimensions",
    what="effective rank and top energy of the gradient of each matrix",
    paper="Zhao et al. 2024, arXiv:2403.03507; Roy & Vetterli 2007",
    cost="one spectrum a matrix",
)
