"""An AdamW state in compressed form: as if SlimAdamW had watched the same gradients."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from dyntools.errors import UsageError
from dyntools.optim import SlimAdamW

FORMS = ["full", "axes 0", "axes 1", "axes 0,1", "blocks 4", "factored"]
SHAPE = (8, 12)


def watched(form: str) -> tuple[nn.Parameter, torch.optim.AdamW, nn.Parameter, SlimAdamW]:
    """Both optimizers after the same five gradients."""
    generator = torch.Generator().manual_seed(0)
    theirs = nn.Parameter(torch.randn(SHAPE, generator=generator, dtype=torch.float64))
    ours = copy.deepcopy(theirs)
    adamw = torch.optim.AdamW([theirs], lr=0.02, betas=(0.8, 0.95), weight_decay=0.1)
    slim = SlimAdamW([("w", ours)], {"w": form}, lr=0.02, betas=(0.8, 0.95), weight_decay=0.1)
    for _ in range(5):
        theirs.grad = torch.randn(SHAPE, generator=generator, dtype=torch.float64)
        ours.grad = theirs.grad.clone()
        adamw.step()
        slim.step()
    return theirs, adamw, ours, slim


@pytest.mark.parametrize("form", FORMS)
def test_the_converted_state_is_the_watched_one(form: str) -> None:
    theirs, adamw, ours, slim = watched(form)
    fresh = SlimAdamW([("w", theirs)], {"w": form})
    fresh.load_state_dict(adamw.state_dict())
    converted, expected = fresh.state[theirs], slim.state[ours]
    assert set(converted) == set(expected)
    for key, value in expected.items():
        assert converted[key].shape == value.shape
        torch.testing.assert_close(converted[key], value, rtol=1e-13, atol=1e-16)
    group = fresh.param_groups[0]
    assert (group["lr"], group["betas"], group["weight_decay"]) == (0.02, (0.8, 0.95), 0.1)
    assert group["forms"] == [form]
    assert not {"amsgrad", "fused", "capturable"} & set(group)


def test_in_full_training_goes_on_as_adamw_to_the_last_bit() -> None:
    theirs, adamw, ours, _ = watched("full")
    ours = copy.deepcopy(theirs)
    slim = SlimAdamW([("w", ours)], {})
    slim.load_state_dict(adamw.state_dict())
    theirs.grad = torch.ones(SHAPE, dtype=torch.float64)
    ours.grad = theirs.grad.clone()
    adamw.step()
    slim.step()
    assert torch.equal(theirs, ours)


def test_the_state_given_is_left_as_it_is() -> None:
    theirs, adamw, _, _ = watched("full")
    state = adamw.state_dict()
    before = copy.deepcopy(state)
    slim = SlimAdamW([("w", theirs)], {"w": "axes 0"})
    slim.load_state_dict(state)
    theirs.grad = torch.ones(SHAPE, dtype=torch.float64)
    slim.step()
    assert state["param_groups"] == before["param_groups"]
    for key, value in before["state"][0].items():
        assert torch.equal(state["state"][0][key], value)


def loaded(state: dict[str, Any], form: str = "axes 0", **settings: Any) -> None:
    param = nn.Parameter(torch.ones(SHAPE))
    SlimAdamW([("w", param)], {"w": form}, **settings).load_state_dict(state)


def state_of(optimizer: type[torch.optim.Optimizer], **settings: Any) -> dict[str, Any]:
    param = nn.Parameter(torch.ones(SHAPE))
    param.grad = torch.ones(SHAPE)
    made = optimizer([param], **settings)
    made.step()  # type: ignore[call-arg]
    return made.state_dict()


@pytest.mark.parametrize("saved", FORMS[1:])
@pytest.mark.parametrize("wanted", FORMS)
def test_another_form_is_refused(saved: str, wanted: str) -> None:
    _, _, _, slim = watched(saved)
    if saved == wanted:
        loaded(slim.state_dict(), wanted)
        return
    with pytest.raises(UsageError, match="stored in another form"):
        loaded(slim.state_dict(), wanted)


def test_states_of_other_optimizers_are_refused() -> None:
    with pytest.raises(UsageError, match="is not AdamW's"):
        loaded(state_of(torch.optim.SGD, lr=0.1, momentum=0.9))
    with pytest.raises(UsageError, match="is not AdamW's"):
        loaded(state_of(torch.optim.Adafactor))
    with pytest.raises(UsageError, match="AMSGrad"):
        loaded(state_of(torch.optim.AdamW, amsgrad=True))
    with pytest.raises(UsageError, match="weight decay is in the gradient"):
        loaded(state_of(torch.optim.Adam, weight_decay=0.1))
    loaded(state_of(torch.optim.Adam))


def test_a_state_of_other_parameters_is_refused() -> None:
    state = state_of(torch.optim.AdamW)
    state["state"][0]["exp_avg"] = torch.ones(3, 3)
    with pytest.raises(UsageError, match="stored in another form"):
        loaded(state)
    state["param_groups"].append(dict(state["param_groups"][0]))
    with pytest.raises(UsageError, match="other groups"):
        loaded(state)


def test_parameters_in_another_order_are_refused() -> None:
    """torch would give each square matrix the state of the other."""
    pair = [(name, nn.Parameter(torch.ones(3, 3))) for name in ("a", "b")]
    saved = SlimAdamW(pair, {}).state_dict()
    with pytest.raises(UsageError, match="another order"):
        SlimAdamW(pair[::-1], {}).load_state_dict(saved)
    renamed = [(f"module.{name}", param) for name, param in pair]
    wrapped = SlimAdamW(renamed, {})
    wrapped.load_state_dict(saved)
    assert wrapped.param_groups[0]["param_names"] == ["module.a", "module.b"]


def test_the_step_of_a_fused_or_old_state_is_read() -> None:
    state = state_of(torch.optim.AdamW)
    state["state"][0]["step"] = 7
    param = nn.Parameter(torch.ones(SHAPE))
    slim = SlimAdamW([("w", param)], {"w": "axes 0"})
    slim.load_state_dict(state)
    assert slim.state[param]["step"] == 7.0
