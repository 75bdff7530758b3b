"""Update rank: the effective rank of what training added to each matrix.

    value = erank(W - W')        W' at the previous checkpoint, or at the start (since=initial)

erank = exp(entropy of the singular values), 1 … k = min(m, n). Beside it `relative` = erank / k and
`null`, the effective rank of a random matrix of the shape. Far below the null, the update lives in
a few directions, and optimizers that keep only these lose little.

Zhao et al. 2024, GaLore, arXiv:2403.03507; Zmushko et al. 2024, FRUGAL, arXiv:2411.07837;
effective rank: Roy & Vetterli 2007.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dyntools.linalg import marchenko_pastur
from dyntools.linalg.effective_rank import effective_rank
from dyntools.measurement import Measurement, skipped
from dyntools.metrics.layers import Row, collect, failed, missing, unlike
from dyntools.metrics.metric import Metric
from dyntools.metrics.weights.spectra import unusable

if TYPE_CHECKING:
    from torch import Tensor

    from dyntools.matrix import Matrix
    from dyntools.snapshot import Snapshot


def rank_of_change(now: Tensor, then: Tensor) -> Row:
    """Effective rank of `now - then` (m, n), with its null."""
    from dyntools.linalg.spectrum import singular_values  # brings torch along

    spectrum = singular_values(now, minus=then)
    if reason := unusable(spectrum):
        return failed("the matrix did not change" if spectrum.values[0] == 0.0 else reason)
    rank, error = effective_rank(spectrum.values, spectrum.error)
    null = marchenko_pastur.effective_rank(*now.shape)
    beside = {"relative": rank / min(now.shape), "null": null}
    return Row(rank, error, beside, method=spectrum.method)


def measure(snapshot: Snapshot, *, since: str = "previous") -> Measurement:
    """Effective rank of the change of every matrix.

    since: `previous` checkpoint, as low-rank optimizers project single updates; or `initial`.
    """
    other = snapshot.previous if since == "previous" else snapshot.initial
    if other is None:
        return skipped(f"there is no {since} checkpoint to compare with", ("layer",))

    def row(matrix: Matrix) -> Row:
        if reason := unlike(snapshot, other, matrix.parameter):
            return missing(reason)
        return rank_of_change(snapshot.matrix(matrix), other.matrix(matrix))

    rows = {matrix.name: row(matrix) for matrix in snapshot.matrices()}
    keys = ("relative", "null")
    return collect(rows, beside=keys, error=True, left_out=snapshot.not_matrices())


METRIC = Metric(
    name="update_rank",
    group="weights",
    version=1,
    measure=measure,
    needs=("params", "initial"),
    uses=("previous",),
    dims=("layer",),
    unit="dimensions",
    what="effective rank of the change of each matrix since an earlier checkpoint",
    paper="Roy & Vetterli 2007; Zhao et al. 2024, arXiv:2403.03507",
    cost="one spectrum a matrix, not shared",
    layerwise=True,
    choices={"since": ("previous", "initial")},
)
