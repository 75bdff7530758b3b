"""Every real checkpoint in the fixtures, bit for bit as the library that wrote it gives it back."""

from pathlib import Path

import pytest
import torch

from dyntools.checkpoints import find, open_checkpoint

FORMATS = {
    "accelerate": "accelerate",
    "adafactor": "torch",
    "adam8bit": "torch",
    "dcp": "dcp",
    "deepspeed-zero2": "deepspeed",
    "deepspeed-zero3": "deepspeed",
    "digits-cnn": "lightning",
    "digits-mlp": "torch",
    "legacy": "torch",
    "nanogpt": "nanogpt",
    "safetensors": "safetensors",
    "sharded": "sharded",
    "timm": "timm",
    "tiny-gpt": "hf-trainer",
    "torchtitan": "dcp",
}
UNNAMED = "accelerate"  # safetensors sort names, and a Sequential is in no table


@pytest.mark.parametrize("run", FORMATS)
def test_weights_step_and_format(run, fixtures, expected, digest, mmap):
    good, damaged = find(fixtures / "runs" / run, mmap=mmap)
    assert not damaged
    by_path = {c.path.relative_to(fixtures / "runs" / run).as_posix(): c for c in good}
    assert set(by_path) == set(expected(run))
    for path, truth in expected(run).items():
        checkpoint = by_path[path]
        assert checkpoint.format == FORMATS[run]
        weights = {name: digest(entry.read()) for name, entry in checkpoint.tensors.items()}
        assert weights == truth["weights"]
        assert all(e.shape == tuple(e.read().shape) for e in checkpoint.tensors.values())
        if truth["step"] is not None:
            assert checkpoint.step == truth["step"]


@pytest.mark.parametrize("run", FORMATS)
def test_optimizer_state_by_true_name(run, fixtures, expected, digest, mmap):
    for path, truth in expected(run).items():
        checkpoint = open_checkpoint(fixtures / "runs" / run / path, mmap=mmap)
        state = checkpoint.optimizer()
        assert checkpoint.has_optimizer == (state is not None)
        for name, parts in truth["optimizer"].items():
            if run == UNNAMED and name not in state.state:
                assert "names from shapes" in state.naming
                continue
            for part, value in parts.items():
                assert digest(state.state[name][part].read()) == value, (path, name, part)
        for group in state.groups if state else ():
            assert isinstance(group["lr"], float | None)  # None: relative steps of Adafactor
            assert len(group["params"]) > 0


@pytest.mark.parametrize("step", [5, 10])
def test_pickled_module_equals_its_state_dict(step, fixtures):
    folder = fixtures / "runs" / "whole-module"
    module = open_checkpoint(folder / f"model-{step}.pt")
    plain = open_checkpoint(folder / f"state-dict-{step}.pt")
    assert module.format == "pickled module"
    assert list(module.tensors) == list(plain.tensors)
    for name, entry in module.tensors.items():
        assert torch.equal(entry.read(), plain.tensors[name].read())


def test_safetensors_of_accelerate_name_only_what_shapes_prove(fixtures, expected, digest):
    path = "checkpoints/checkpoint_0"
    state = open_checkpoint(fixtures / "runs/accelerate" / path).optimizer()
    named = {name for name in state.state if not name.startswith("param[")}
    assert named == {"0.weight", "3.weight", "3.bias"}
    assert "param[1] (16,)" in state.state
    truth = expected("accelerate")[path]["optimizer"]
    assert all(digest(state.state[n]["exp_avg"].read()) == truth[n]["exp_avg"] for n in named)


def test_accelerate_counts_saves_and_adam_counts_steps(fixtures):
    checkpoint = open_checkpoint(fixtures / "runs/accelerate/checkpoints/checkpoint_2")
    assert (checkpoint.step, checkpoint.step_unit) == (30, "step")
    assert checkpoint.extra["save"] == 2


def test_timm_counts_epochs(fixtures):
    checkpoint = open_checkpoint(fixtures / "runs/timm/checkpoint-2.pth.tar")
    assert (checkpoint.step, checkpoint.step_unit) == (2, "epoch")
    assert any("state_dict_ema" in note for note in checkpoint.notes)


def test_lightning_says_under_which_step_the_log_knows_it(fixtures):
    [checkpoint] = [
        c for c in find(fixtures / "runs/digits-cnn")[0] if c.path.name == "epoch=1-step=40.ckpt"
    ]
    assert (checkpoint.step, checkpoint.extra["log_step"]) == (40, 39)
    assert checkpoint.config["lr"] == 0.003


def test_groups_carry_plain_settings_and_names(fixtures):
    state = open_checkpoint(fixtures / "runs/tiny-gpt/checkpoint-100").optimizer()
    decayed, rest = state.groups
    assert (decayed["weight_decay"], rest["weight_decay"]) == (0.1, 0.0)
    assert decayed["betas"] == (0.9, 0.999)
    assert "transformer.wte.weight" in decayed["params"]
    assert "transformer.ln_f.weight" in rest["params"]
    assert "gpt2" in state.naming


@pytest.mark.parametrize("run", ["dcp", "torchtitan"])
def test_groups_of_distributed_checkpoints(run, fixtures):
    folder = fixtures / "runs" / run / ("checkpoint/step-10" if run == "torchtitan" else "step-10")
    [group] = open_checkpoint(folder).optimizer().groups
    assert set(group["params"]) == set(open_checkpoint(folder).tensors)
    assert group["weight_decay"] == 0.01


def test_eight_bit_states_are_the_numbers_they_stand_for(fixtures):
    """Against block-wise dequantisation written out from the stored bytes by torch itself."""
    path = fixtures / "runs/adam8bit/step-10.pt"
    stored = torch.load(path, weights_only=True)["optimizer"]["state"]
    state = open_checkpoint(path).optimizer()
    assert state.family == "adam8bit"
    compared = 0
    for raw, (name, parts) in zip(stored.values(), state.state.items(), strict=True):
        raw = raw | raw.get("__bnb_optimizer_quant_state__", {})
        for number, part in ((1, "exp_avg"), (2, "exp_avg_sq")):
            codes = raw[f"state{number}"]
            value = parts[part].read()
            if codes.dtype != torch.uint8:
                assert torch.equal(value, codes)
                continue
            want = torch.empty(codes.numel())
            for i, code in enumerate(codes.flatten().tolist()):
                want[i] = raw[f"qmap{number}"][code] * raw[f"absmax{number}"][i // 256]
            assert torch.equal(value, want.reshape(codes.shape)), name
            compared += 1
    assert compared == 2


def test_every_run_is_found_at_once(fixtures):
    good, damaged = find(fixtures / "runs")
    assert not damaged
    assert len({c.path for c in good}) == len(good) > 50


def test_the_folder_of_one_checkpoint_opens_as_it(fixtures):
    checkpoint = open_checkpoint(fixtures / "runs/nanogpt")
    assert checkpoint.path == Path(fixtures / "runs/nanogpt/ckpt.pt")
    assert checkpoint.config["n_layer"] > 0
