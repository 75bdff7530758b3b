"""cka_to_final: how alike the outputs of every layer are to those at the end of the run.

    value = HSIC(K, L) / √(HSIC(K, K) HSIC(L, L))       one number a layer, in [-1, 1], 1 at the end

K, L are the Gram matrices of the layer's outputs for the same examples, now and at the last
checkpoint, HSIC its unbiased estimate (`dyntools.activations.likeness`). Kornblith et al.
2019, Similarity of neural network representations revisited, arXiv:1905.00414; debiased as Nguyen
et al. 2021, arXiv:2010.15327, by the estimate of Song et al. 2012. Diehl Martinez et al. 2024,
Tending towards stability, arXiv:2410.11451, follow the biased form along training, which at n
examples is d/(d + n) for two independent isotropic sets of d features: 0.80 to 0.95 at theirs.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dyntools.measurement import Measurement, skipped
from dyntools.metrics.activations.other_steps import final_representations, representations
from dyntools.metrics.layers import Row, collect, failed, missing
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from dyntools.activations.representations import Representation
    from dyntools.snapshot import Snapshot


def measure(snapshot: Snapshot) -> Measurement:
    """Of every module that has parameters and no others inside, with one standard error."""
    if snapshot.final is None:
        return skipped("there is no last checkpoint to compare with", METRIC.dims)
    end = final_representations(snapshot.final)
    now = representations(snapshot)
    unfit = {name: found.unfit for name, found in now.items() if found.unfit}
    rows = {
        name: _row(found, end.get(name), snapshot.final.step)
        for name, found in now.items()
        if name not in unfit
    }
    none = {"": "no module with parameters put out a tensor for each example"}
    return collect(
        rows,
        beside=("biased", "examples"),
        error=True,
        left_out=unfit if rows else {**unfit, **none},
        method=f"with step {snapshot.final.step}" if rows else "",
    )


def _row(now: Representation, end: Representation | None, step: int) -> Row:
    from dyntools.activations.likeness import likeness

    if end is None:
        return missing(f"there is no such layer at step {step}")
    if now.refused:
        return failed(now.refused)
    if end.unfit or end.refused:
        return failed(f"at step {step}: {end.unfit or end.refused}")
    if now.outputs != end.outputs:
        return failed(f"it put out {end.outputs} numbers an example at step {step}")
    if now.numbers != end.numbers:
        return failed(f"other examples went through it at step {step}")
    found = likeness(now, end)
    beside = {"biased": found.biased, "examples": float(found.examples)}
    if math.isnan(found.value):
        return failed("its outputs have no spread that is theirs", beside)
    return Row(found.value, found.error, beside)


METRIC = Metric(
    name="cka_to_final",
    group="activations",
    version=1,
    measure=measure,
    needs=("params", "problem", "final"),
    dims=("layer",),
    unit="CKA",
    what="likeness of every layer's outputs to those at the end of the run",
    paper="Kornblith et al. 2019, arXiv:1905.00414; Nguyen et al. 2021, arXiv:2010.15327; "
    "Diehl Martinez et al. 2024, arXiv:2410.11451",
    cost="one forward pass, shared by all metrics of activations, and one at the last checkpoint",
)
