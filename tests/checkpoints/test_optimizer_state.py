"""States that are not two moments in the parameter's shape, and settings that are not numbers."""

import pytest
import torch
from torch import nn

from dyntools.checkpoints import open_checkpoint
from dyntools.forms import FACTORED, mean_over
from dyntools.moments import Moments, moments_of
from dyntools.optim import SlimAdamW


class Projector:
    """Stands for GaLore's: an object of an unknown class in the state."""

    def __init__(self):
        self.rank = 2


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 3))


def stepped(model, optimizer):
    for p in model.parameters():
        p.grad = torch.randn(p.shape)
    optimizer.step()
    return optimizer.state_dict()


def opened(tmp_path, model, stored):
    torch.save({"model": model.state_dict(), "optimizer": stored, "step": 1}, tmp_path / "a.pt")
    return open_checkpoint(tmp_path / "a.pt").optimizer()


def test_our_own_compressed_states_are_adams_and_say_that_they_are_compressed(tmp_path):
    model = network()
    forms = {"0.weight": mean_over(1), "1.weight": FACTORED}
    state = opened(tmp_path, model, stepped(model, SlimAdamW(model.named_parameters(), forms)))
    assert state.family == "adam"
    assert "param_names" in state.naming
    told = {n: moments_of(state, n, tuple(p.shape)) for n, p in model.named_parameters()}
    assert told["0.weight"] == "its second moment is compressed already: (5, 1) for (5, 6)"
    assert "means over rows and over columns" in told["1.weight"]
    assert isinstance(told["0.bias"], Moments)
    torch.testing.assert_close(told["0.bias"].v(), 0.001 * model[0].bias.grad ** 2)


def test_a_state_factored_throughout_is_still_adams(tmp_path):
    model = nn.Linear(6, 5, bias=False)
    optimizer = SlimAdamW(model.named_parameters(), {"weight": FACTORED})
    assert opened(tmp_path, model, stepped(model, optimizer)).family == "adam"


def test_projected_moments_are_not_those_of_weights(tmp_path):
    """And their shapes do not name an index, nor hinder that others are named."""
    model = network()
    stored = stepped(model, torch.optim.AdamW(model.parameters()))
    for part in ("exp_avg", "exp_avg_sq"):
        stored["state"][0][part] = torch.ones(2, 6)
    stored["state"][0]["projector"] = Projector()
    state = opened(tmp_path, model, stored)
    assert state.family == "projected"
    assert set(state.state) == {"0.weight", "0.bias", "1.weight", "1.bias"}
    assert "not of single weights" in moments_of(state, "1.weight", (3, 5))


def test_one_projected_tensor_alone_stays_without_a_name(tmp_path):
    model = nn.Linear(6, 5, bias=False)
    stored = stepped(model, torch.optim.AdamW(model.parameters()))
    stored["state"][0] |= {"exp_avg": torch.ones(2, 6), "projector": Projector()}
    state = opened(tmp_path, model, stored)
    assert (tuple(state.state), state.family) == (("param[0]",), "projected")


@pytest.mark.parametrize("kept", [float, torch.tensor])
def test_settings_in_tensors_are_read(kept, tmp_path):
    """Of a capturable optimizer; else its β2 would be taken for torch's default."""
    model = network()
    betas = (kept(0.5), kept(0.75))
    made = torch.optim.AdamW(model.parameters(), lr=kept(0.25), betas=betas, foreach=False)
    state = opened(tmp_path, model, stepped(model, made))
    found = moments_of(state, "0.weight", (5, 6))
    assert (found.beta1, found.beta2, found.lr, found.steps) == (0.5, 0.75, 0.25, 1.0)


def test_the_states_of_adam_mini(tmp_path):
    """Some of its tensors have a full v, under a name of its own."""
    model = network()
    stored = torch.optim.AdamW(model.parameters()).state_dict()
    for i, p in enumerate(model.parameters()):
        stored["state"][i] = {"step": 1, "m": torch.ones_like(p), "v": torch.ones_like(p)}
    stored["state"][0] = {"step": 1, "m": torch.ones(5, 6), "vmean": torch.ones(5, 1)}
    state = opened(tmp_path, model, stored)
    assert (state.family, set(state.state)) == (
        "adam-mini",
        {"0.weight", "0.bias", "1.weight", "1.bias"},
    )
    assert "one number a block" in moments_of(state, "0.weight", (5, 6))


def test_both_betas_in_one_tensor_are_read(tmp_path):
    model = network()
    stored = stepped(model, torch.optim.AdamW(model.parameters()))
    stored["param_groups"][0]["betas"] = torch.tensor([0.5, 0.75])
    found = moments_of(opened(tmp_path, model, stored), "0.weight", (5, 6))
    assert (found.beta1, found.beta2) == (0.5, 0.75)


def test_one_tensor_without_momentum_does_not_cost_the_others(tmp_path):
    model = network()
    stored = stepped(model, torch.optim.AdamW(model.parameters()))
    del stored["state"][0]["exp_avg"]
    state = opened(tmp_path, model, stored)
    assert state.family == "adam"
    assert moments_of(state, "0.weight", (5, 6)).first is None
    assert moments_of(state, "1.weight", (3, 5)).first is not None


def test_three_betas_end_nothing(tmp_path):
    """AdEMAMix: a slow average beside, and three shares."""
    model = network()
    stored = stepped(model, torch.optim.AdamW(model.parameters()))
    for own in stored["state"].values():
        own["exp_avg_slow"] = own["exp_avg"].clone()
    stored["param_groups"][0]["betas"] = (0.9, 0.999, 0.9999)
    told = moments_of(opened(tmp_path, model, stored), "0.weight", (5, 6))
    assert "no two shares: (0.9, 0.999, 0.9999)" in told
