"""The model in whatever a training script stores."""

import pytest
import torch

from dyntools.checkpoints import open_checkpoint
from dyntools.checkpoints.state_dict import MODEL_KEYS, OPTIMIZER_KEYS
from dyntools.errors import CheckpointError


def opened(tmp_path, stored):
    torch.save(stored, tmp_path / "a.pt")
    return open_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize("key", MODEL_KEYS)
def test_under_every_key(key, tmp_path):
    checkpoint = opened(tmp_path, {key: {"w": torch.ones(2)}, "loss": 0.5, "args": {"lr": 0.1}})
    assert list(checkpoint.tensors) == ["w"]
    assert checkpoint.config == {"lr": 0.1}


@pytest.mark.parametrize("key", OPTIMIZER_KEYS)
def test_optimizers_under_every_key(key, tmp_path):
    state = torch.optim.SGD([torch.ones(2)], 0.1).state_dict()
    checkpoint = opened(tmp_path, {"model": {"w": torch.ones(2)}, key: state})
    assert checkpoint.has_optimizer
    assert checkpoint.optimizer().family == "sgd"


def test_bare_state_dict(tmp_path):
    checkpoint = opened(tmp_path, torch.nn.Linear(2, 3).state_dict())
    assert list(checkpoint.tensors) == ["weight", "bias"]
    assert checkpoint.optimizer() is None
    assert checkpoint.step is None


def test_several_models_are_told_apart(tmp_path):
    stored = {"G": {"w": torch.ones(2)}, "D": {"w": torch.zeros(2)}, "step": 4}
    checkpoint = opened(tmp_path, stored)
    assert list(checkpoint.tensors) == ["G.w", "D.w"]
    assert "G, D" in checkpoint.notes[0]


def test_averages_are_mentioned_and_not_used(tmp_path):
    stored = {"model": {"w": torch.ones(2)}, "ema": {"w": torch.zeros(2)}}
    checkpoint = opened(tmp_path, stored)
    assert checkpoint.tensors["w"].read().tolist() == [1, 1]
    assert "`ema`" in checkpoint.notes[0]


def test_a_module_under_a_key(tmp_path):
    module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    checkpoint = opened(tmp_path, {"model": module, "epoch": 3})
    assert list(checkpoint.tensors) == list(module.state_dict())
    assert (checkpoint.step, checkpoint.step_unit) == (3, "epoch")


@pytest.mark.parametrize("stored", [{}, {"loss": 1.0}, [1, 2], {"optimizer": {"state": {}}}, None])
def test_no_model(stored, tmp_path):
    with pytest.raises(CheckpointError, match="no model weights"):
        opened(tmp_path, stored)


def test_a_step_that_is_a_tensor(tmp_path):
    stored = {"model": {"w": torch.ones(2)}, "step": torch.tensor(40), "epoch": 2}
    checkpoint = opened(tmp_path, stored)
    assert (checkpoint.step, checkpoint.step_unit, checkpoint.extra["epoch"]) == (40, "step", 2)
