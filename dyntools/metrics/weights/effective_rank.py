"""Effective rank of each matrix: the exponential of the entropy of its singular values.

    p_i = s_i / Σ s,    value = exp(-Σ p_i ln p_i)        1 … k = min(m, n)

Singular values are not squared. `relative` = value / k is the proportional effective rank (PER).
A fresh square layer has PER 0.805 and a 4:1 layer 0.966 by construction, so compare with `null`
(a random matrix of the shape) or `initial`, never across shapes.

Roy & Vetterli 2007, The effective rank: a measure of effective dimensionality, EUSIPCO; over
training: Diehl Martinez et al. 2024, Tending towards stability, arXiv:2410.11451. That a low
effective rank harms is disputed: arXiv:2602.20433.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dyntools.linalg import marchenko_pastur
from dyntools.linalg.effective_rank import effective_rank
from dyntools.metrics.metric import Metric
from dyntools.metrics.weights.spectra import by_spectrum

if TYPE_CHECKING:
    from dyntools.linalg.spectrum import Spectrum
    from dyntools.measurement import Measurement
    from dyntools.snapshot import Snapshot


def rank(spectrum: Spectrum) -> tuple[float, float]:
    """exp(entropy) and its error."""
    return effective_rank(spectrum.values, spectrum.error)


def measure(snapshot: Snapshot) -> Measurement:
    """Effective rank of every matrix."""
    return by_spectrum(snapshot, rank, marchenko_pastur.effective_rank)


METRIC = Metric(
    name="effective_rank",
    group="weights",
    version=1,
    measure=measure,
    needs=("params",),
    uses=("initial",),
    dims=("layer",),
    unit="dimensions",
    what="exponential of the entropy of the singular values of each matrix",
    paper="Roy & Vetterli 2007; Diehl Martinez et al. 2024, arXiv:2410.11451",
    cost="one spectrum a matrix, shared",
    layerwise=True,
)
