"""alignment: whether a linear layer makes its inputs grow like a random matrix or as far as it can.

    value = log_{fan_in}( rms(W z) / (rms(W) rms(z)) )      0.5 for a random W, at most 1
    of_change, of_start = the same of W - W_initial and of W_initial, on the rows z of this step

Everett et al. 2024, Scaling exponents across parameterizations and optimizers, arXiv:2407.05872:
how a learning rate must fall with the width depends on these exponents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dyntools.metrics.activations.sites import NOT_FINITE, NOTHING_KEPT, activations
from dyntools.metrics.layers import Row, collect, failed, unlike
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor

    from dyntools.activations.features import Features
    from dyntools.activations.places import Place
    from dyntools.measurement import Measurement
    from dyntools.snapshot import Snapshot

COMPANIONS = ("null", "null_sd", "of_change", "of_change_error", "of_start", "fan_in")


def measure(snapshot: Snapshot) -> Measurement:
    """The alignment of every linear layer, W z without the bias, with a standard error."""
    found = activations(snapshot)
    none = {"": "no linear layer ran in the forward pass"}
    rows = {name: _row(snapshot, features) for name, features in found.features.items()}
    counts = [sum(map(len, features.rows)) for features in found.features.values()]
    method = f"{max(counts)} rows of {found.examples.count} examples" if counts else ""
    if counts and (snapshot.initial is None or snapshot.initial.step == snapshot.step):
        method += "; no earlier initial weights, so no change"
    return collect(
        rows, beside=COMPANIONS, error=True, left_out={} if rows else none, method=method
    )


def _row(snapshot: Snapshot, features: Features) -> Row:
    import torch

    from dyntools.activations.alignment import aligned, null_of

    if reason := _refused(features):
        return failed(reason)
    z, groups = torch.cat(features.rows), torch.cat(features.groups)
    weight, start = _weights(snapshot, features)
    value = aligned(weight, z, groups)
    if value is None:
        return failed(f"{NOT_FINITE}, or its matrix, inputs or outputs are all zero")
    null = null_of(z, len(weight))
    beside = {"fan_in": float(z.shape[1]), "null": null.value, "null_sd": null.spread}
    if start is not None:
        start = start.to(weight.device)
        change, before = aligned(weight, z, groups, start), aligned(start, z, groups)
        beside |= {} if before is None else {"of_start": before.value}
        if change is not None:
            beside |= {"of_change": change.value, "of_change_error": change.error}
    return Row(value.value, value.error, beside)


def _refused(features: Features) -> str:
    if features.refused:
        return features.refused
    if not features.steady:
        return "its matrix changes from batch to batch"
    if not features.rows:
        return NOTHING_KEPT
    if features.rows[0].shape[1] < 2:
        return "its fan-in is 1, and there is no logarithm to this base"
    return ""


def _weights(snapshot: Snapshot, features: Features) -> tuple[Tensor, Tensor | None]:
    """The matrix of the product (k, n) and its initial value, None where that is not known."""
    from torch import Tensor

    place = features.weight
    if isinstance(place, Tensor) or place is None:
        assert place is not None
        return place.reshape(-1, place.shape[-1]), None
    risk = snapshot.risk()
    weight = place.of(risk.theta)
    return weight.reshape(-1, weight.shape[-1]), _initial(snapshot, place)


def _initial(snapshot: Snapshot, place: Place) -> Tensor | None:
    before, layout = snapshot.initial, snapshot.risk().layout
    name = place.parameter(layout)
    if before is None or before.step == snapshot.step or name not in snapshot.params:
        return None  # one that the problem trains and the run does not has no start
    if unlike(snapshot, before, name):
        return None
    weight = place.within(layout, before.tensor(name))
    return weight.reshape(-1, weight.shape[-1])


METRIC = Metric(
    name="alignment",
    group="activations",
    version=1,
    measure=measure,
    needs=("params", "problem"),
    uses=("initial",),
    dims=("layer",),
    unit="1",
    what="by which power of its fan-in a linear layer makes its inputs grow",
    paper="Everett et al. 2024, arXiv:2407.05872",
    cost="one forward pass, shared by all metrics of activations, and a product a layer",
)
