"""Trust ratio: the update is the one that torch's AdamW makes, over its learning rate."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from dyntools.live import snapshot_of
from dyntools.measurement import Status
from dyntools.measuring import measure
from dyntools.snapshot import Tensors
from tests.matrices import gaussian
from tests.metrics.optimizer.adam_states import adam_snapshot, without


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize("amsgrad", [False, True])
def test_the_update_is_that_of_adamw(decay: float, steps: int, amsgrad: bool) -> None:
    """θ before the last step minus θ after it, over lr, in float64."""
    torch.manual_seed(0)
    model = nn.Linear(7, 5).double()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=1e-2, weight_decay=decay, eps=1e-3, amsgrad=amsgrad
    )
    for step in range(steps):
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        for p in model.parameters():
            p.grad = gaussian(tuple(p.shape), step).double() / (1 + step)
        optimizer.step()
    after = {name: p.detach() for name, p in model.named_parameters()}
    snapshot = replace(snapshot_of(model, steps, optimizer=optimizer), params=Tensors.of(before))
    found = measure(snapshot, "trust_ratio")
    for i, name in enumerate(found.coords["layer"]):
        update = float((before[name] - after[name]).norm()) / 1e-2
        size = float(before[name].norm())
        assert found.beside["update_norm"][i] == pytest.approx(update, rel=1e-9)
        assert found.values[i] == pytest.approx(size / update, rel=1e-9)
        assert found.beside["relative_step"][i] == pytest.approx(1e-2 * update / size, rel=1e-9)
        assert found.beside["weight_norm"][i] == pytest.approx(size)


def test_decay_that_is_in_the_gradient_is_not_added_again() -> None:
    """torch's Adam adds λ w to the gradient; its step is m̂/(√v̂ + eps) alone."""
    weights, m = {"w": torch.full((4,), 10.0)}, {"w": torch.ones(4)}
    v = {"w": torch.ones(4)}
    plain = adam_snapshot(v, m, weights=weights, weight_decay=0.5, decoupled_weight_decay=False)
    assert measure(plain, "trust_ratio").values[0] == pytest.approx(10.0, rel=1e-6)
    for settings in ({}, {"decoupled_weight_decay": True}):
        decayed = adam_snapshot(v, m, weights=weights, weight_decay=0.5, **settings)
        found = measure(decayed, "trust_ratio")
        assert found.values[0] == pytest.approx(10.0 / 6.0, rel=1e-6)
        assert found.beside["weight_decay"][0] == 0.5


def test_inverse_to_a_larger_update_and_proportional_to_the_weights() -> None:
    v, m = {"w": gaussian((6, 5), 0) ** 2}, {"w": gaussian((6, 5), 1)}
    values = [
        float(
            measure(
                adam_snapshot(v, {"w": a * m["w"]}, weights={"w": b * m["w"]}), "trust_ratio"
            ).values[0]
        )
        for a, b in ((1, 1), (4, 1), (1, 4))
    ]
    assert values[1] == pytest.approx(values[0] / 4, rel=1e-6)
    assert values[2] == pytest.approx(values[0] * 4, rel=1e-6)


def test_without_a_rate_the_ratio_stands_and_the_step_is_unknown() -> None:
    found = measure(
        adam_snapshot({"w": torch.ones(2)}, {"w": torch.ones(2)}, lr=None), "trust_ratio"
    )
    assert found.status[0] == Status.ok
    assert math.isnan(found.beside["relative_step"][0])


def test_what_has_no_ratio_says_why() -> None:
    one, zero = torch.ones(2), torch.zeros(2)
    names = ("still", "zero", "nan", "broken", "negative")
    second = dict.fromkeys(names, one) | {"negative": -one}
    first = {"still": zero, "zero": one, "nan": one, "broken": one * math.nan, "negative": one}
    weights = {"zero": zero, "nan": one * math.nan}
    found = measure(adam_snapshot(second, first, weights=weights), "trust_ratio")
    assert (found.status == Status.failed).all()
    assert found.skipped["still"] == "the update is zero"
    assert "LAMB and LARS take 1" in found.skipped["zero"]
    assert found.skipped["nan"] == "the tensor holds NaN or inf"
    assert "update is not finite" in found.skipped["broken"]
    assert "negative" in found.skipped["negative"]
    assert found.beside["update_norm"][1] == pytest.approx(math.sqrt(2))


def test_zero_over_zero_without_eps_fails() -> None:
    found = measure(adam_snapshot({"w": torch.zeros(2)}, eps=0.0), "trust_ratio")
    assert found.status[0] == Status.failed
    assert "v and eps are zero" in found.skipped["w"]


def test_without_a_first_moment_or_a_name_it_is_skipped() -> None:
    found = measure(without(adam_snapshot({"w": torch.ones(2)}), "exp_avg"), "trust_ratio")
    assert found.status[0] == Status.skipped
    snapshot = adam_snapshot({"w": torch.ones(2), "param[1] (2,)": torch.ones(2)})
    nameless = replace(snapshot, params=snapshot.params.only("w"))
    found = measure(nameless, "trust_ratio")
    assert "no name" in found.skipped["param[1] (2,)"]
