"""block_sharpness: the average sharpness of every block of the parameters.

    S(b) = Tr(A_bb) / size of b,      A the Hessian or the Gauss–Newton matrix,      one per block

Unit: loss per weight squared. In trained transformers S(embedding) ≪ S(QK) < S(FFN) < S(VO) ≪
S(norm), early and lastingly, which is why one learning rate for all blocks is too small for most of
them: Wang et al. 2025, The sharpness disparity principle in transformers, arXiv:2502.19002. All
blocks are measured with the same products (`hutchinson`), so their number costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dyntools.layer_kinds import Kinds, block_of
from dyntools.measurement import Measurement
from dyntools.metrics.curvature import hutchinson
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from dyntools.snapshot import Snapshot


def measure(
    snapshot: Snapshot,
    *,
    block: str = "layer",
    matrix: str = "hessian",
    probes: int = hutchinson.PROBES,
    seed: int = 0,
) -> Measurement:
    """S of every block with its standard error over the probes.

    block: `layer`, every tensor, or `kind`, all tensors of one part of the network together, as in
        the paper: `layer_kinds.block_of` joins query with key, value with output.
    matrix: `hessian`, the definition, or `gauss_newton`, which the paper measures.
    probes: random products; 16, chosen: the standard error itself is then known to a fifth.
    """
    parts = hutchinson.parts(snapshot, matrix, probes, seed)
    shapes = snapshot.risk().layout
    of_tensor = dict(zip(shapes.names, shapes.shapes, strict=True))
    members: dict[str, list[str]] = {}
    for name in parts:
        label = name if block == "layer" else _block(name, of_tensor, snapshot.kinds)
        members.setdefault(label, []).append(name)
    sizes = np.array([sum(parts[name].size for name in names) for names in members.values()])
    sums = np.stack(
        [np.sum([parts[name].sums for name in names], axis=0) for names in members.values()], 1
    )  # (probes, blocks)
    values = sums.mean(0) / sizes
    values[~np.isfinite(values)] = np.nan
    mean = sums.sum(1).mean() / sizes.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = values / mean
    reasons = {
        name: "the product with the curvature matrix is not finite"
        for name, value in zip(members, values, strict=True)
        if np.isnan(value)
    }
    return Measurement(
        values,
        ("block",),
        {"block": tuple(members)},
        error=np.where(np.isnan(values), np.nan, hutchinson.standard_error(sums) / sizes),
        beside={"ratio_to_mean": ratio, "parameters": sizes.astype(np.float64)},
        skipped=reasons,
        method=f"Hutchinson, {probes} Rademacher probes over all blocks at once",
        matvecs=probes,
    )


def _block(part: str, shapes: dict[str, tuple[int, ...]], kinds: Kinds) -> str:
    """The block of a part, whose name may end in [query], [key] or [value]."""
    tensor, _, third = part.partition("[")
    return block_of(third.rstrip("]")) if third else kinds.block(tensor, shapes[tensor])


METRIC = Metric(
    name="block_sharpness",
    group="curvature",
    version=1,
    measure=measure,
    needs=("params", "problem"),
    dims=("block",),
    unit="loss / weight²",
    what="trace of the Hessian per parameter, block by block",
    paper="Wang et al. 2025, arXiv:2502.19002",
    cost="one product a probe, 16, whatever the number of blocks; shared with hessian_diagonal",
    products=True,
    choices={"block": ("layer", "kind"), "matrix": hutchinson.MATRICES},
    least={"probes": 2},
)
