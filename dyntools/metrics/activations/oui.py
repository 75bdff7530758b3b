"""oui: how differently the examples switch the units of a layer on, 0 (all alike) to about 1.

    value = 2/d Σ_j  2 c_j (B - c_j) / (B (B - 1)),   c_j of B examples with output j above zero
          = mean over all pairs of examples of  Hamming(A(x), A(x')) / (d/2),   A(x) = [h(x) > 0]
    pairs = mean over 28 pairs of  min(Hamming, ⌊d/2⌋) / ⌊d/2⌋              the form of the paper

Fernández-Hernández et al. 2025, OUI, arXiv:2504.17160. The first form takes all pairs without
going through them, in O(B d). It is not clamped, and divides by d/2 where the second has ⌊d/2⌋,
which for odd d is less: a layer of 5 outputs has 5/4 of the first in the second, before the clamp.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from dyntools.metrics.activations.sites import NOT_FINITE, activations, kinds_told
from dyntools.metrics.layers import Row, collect, failed
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from dyntools.activations.probe_pass import Activations
    from dyntools.measurement import Measurement
    from dyntools.snapshot import Snapshot

COMPANIONS = ("pairs", "outputs", "model", "model_pairs")
UNSIGNED = "its outputs do not have the sign of its inputs"


def measure(snapshot: Snapshot) -> Measurement:
    """OUI of every activation function, over all pairs of the probe, with one standard error."""
    found = activations(snapshot)
    left_out = {name: UNSIGNED for name, kind in found.kinds.items() if not kind.signed}
    if not found.kinds:
        left_out[""] = "no activation function that is known ran in the forward pass"
    rows = {name: _row(found, name) for name in found.kinds if name not in left_out}
    values = [row.value for row in rows.values() if math.isfinite(row.value)]
    pairs = [row.beside["pairs"] for row in rows.values() if row.beside]
    model = {
        "model": float(np.mean(values)) if values else math.nan,
        "model_pairs": float(np.mean(pairs)) if pairs else math.nan,
    }
    rows = {
        name: Row(row.value, row.error, {**row.beside, **model}, row.status, row.reason)
        for name, row in rows.items()
    }
    told = kinds_told(found.kinds[name] for name in rows)
    method = f"{told}; {found.examples.count} examples" if rows else ""
    if any(found.patterns[name].step > 1 for name in rows):
        method += "; an even selection of the outputs"
    return collect(rows, beside=COMPANIONS, error=True, left_out=left_out, method=method)


def _row(found: Activations, name: str) -> Row:
    from dyntools.activations.patterns import indicator

    patterns = found.patterns[name]
    if found.examples.count < 2:
        return failed("it compares examples, and there is one only")
    if patterns.refused:
        return failed(patterns.refused)
    if not found.is_finite(name):
        return failed(NOT_FINITE)
    if int(patterns.sizes.sum()) != found.examples.count:
        return failed("it did not run once for every example")
    told = indicator(patterns)
    return Row(told.every, told.error, {"pairs": told.pairs, "outputs": float(told.outputs)})


METRIC = Metric(
    name="oui",
    group="activations",
    version=1,
    measure=measure,
    needs=("params", "problem"),
    dims=("layer",),
    unit="1",
    what="how differently two examples switch the units of a layer on",
    paper="Fernández-Hernández et al. 2025, arXiv:2504.17160",
    cost="one forward pass, shared by all metrics of activations",
)
