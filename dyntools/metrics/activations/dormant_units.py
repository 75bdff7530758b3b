"""dormant_units: the share of units of a layer that hardly ever speak, and of those that never do.

    s_i = mean |h_i| / (mean_j mean |h_j| + 1e-9),     value = share of units with s_i ≤ 0.025

over examples and positions. Sokar et al. 2023, The dormant neuron phenomenon in deep reinforcement
learning, arXiv:2302.12902, with the thresholds 0.025 and 0.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dyntools.metrics.activations.sites import NOT_FINITE, activations, kinds_told
from dyntools.metrics.layers import Row, collect, failed
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from dyntools.activations.probe_pass import Activations
    from dyntools.measurement import Measurement
    from dyntools.snapshot import Snapshot

COMPANIONS = ("at_0.1", "dead", "active", "saturated", "units")


def measure(snapshot: Snapshot, *, tau: float = 0.025) -> Measurement:
    """The share of dormant units of every activation function.

    tau: 0.025, the smaller of both thresholds of Sokar et al.
    """
    found = activations(snapshot)
    none = {"": "no activation function that is known ran in the forward pass"}
    rows = {name: _row(found, name, tau) for name in found.kinds}
    method = f"{kinds_told(found.kinds.values())}; {found.examples.count} examples"
    return collect(
        rows, beside=COMPANIONS, left_out={} if rows else none, method=method if rows else ""
    )


def _row(found: Activations, name: str, tau: float) -> Row:
    units = found.units[name]
    if units.refused:
        return failed(units.refused)
    if not found.is_finite(name):
        return failed(NOT_FINITE)
    scores = units.scores()
    beside = {
        "at_0.1": float((scores <= 0.1).double().mean()),
        **units.shares,
        "units": float(len(scores)),
    }
    return Row(float((scores <= tau).double().mean()), beside=beside)


METRIC = Metric(
    name="dormant_units",
    group="activations",
    version=1,
    measure=measure,
    needs=("params", "problem"),
    dims=("layer",),
    unit="1",
    what="share of units whose mean output is far below the layer's mean",
    paper="Sokar et al. 2023, arXiv:2302.12902",
    cost="one forward pass, shared by all metrics of activations",
    least={"tau": 0.0},
)
