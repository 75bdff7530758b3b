"""Steps and their units, in dictionaries and in names."""

import shutil
from pathlib import Path

import pytest
import torch

from dyntools.checkpoints import open_checkpoint
from dyntools.checkpoints.step_numbers import step_in, step_in_name


@pytest.mark.parametrize(
    ("name", "number", "unit"),
    [
        ("step-00200.pt", 200, "step"),
        ("step_7.safetensors", 7, "step"),
        ("step7.pt", 7, "step"),
        ("model-step-10.safetensors", 10, "step"),
        ("global_step3", 3, "step"),
        ("iter_0001000.pth", 1000, "step"),
        ("epoch=0-step=8.ckpt", 8, "step"),
        ("epoch_12.pth.tar", 12, "epoch"),
        ("ep3.pt", 3, "epoch"),
        ("checkpoint-300", 300, "unknown"),
        ("ckpt_5000.pt", 5000, "unknown"),
        ("model_000500.pt", 500, "unknown"),
        ("weights.40.pt", 40, "unknown"),
        ("40.pt", 40, "unknown"),
        ("2024-05-01-step-100.pt", 100, "step"),
        ("model-step-5", 5, "step"),
        ("epoch=3-val_loss=0.25.ckpt", 3, "epoch"),
    ],
)
def test_names(name, number, unit):
    found = step_in_name(Path("run") / name)
    assert (found.number, found.unit) == (number, unit)
    assert name in found.source


def test_a_folder_gives_its_number_to_a_file_without():
    found = step_in_name(Path("run/step-30/weights.pt"))
    assert (found.number, found.unit) == (30, "step")


def test_numbers_of_models_are_no_steps():
    assert step_in_name(Path("run/gpt2.pt")) is None
    assert step_in_name(Path("resnet50/best.pt")) is None


def test_the_step_comes_before_the_epoch():
    assert step_in({"epoch": 2, "iter_num": 40}).number == 40
    assert step_in({"epoch": 2}).unit == "epoch"
    assert step_in({"step": 3.0}).number == 3
    assert step_in({"step": "last", "epoch": "last"}) is None
    assert step_in({"global_step": -1, "step": 7}).number == 7


UNUSABLE = [-5, -5.0, 1.5, True, float("nan"), float("inf"), 2**63, 10**5000, -(10**5000)]


@pytest.mark.parametrize("value", UNUSABLE, ids=lambda value: repr(type(value)))
def test_a_stored_step_that_can_be_none_has_no_number(value):
    found = step_in({"step": value, "epoch": 3})
    assert found.number is None
    assert found.source.startswith("`step` in the file is ")


def test_the_name_does_not_stand_in_for_an_unusable_step(tmp_path):
    torch.save({"model": {"a": torch.ones(2)}, "step": -5}, tmp_path / "step-9.pt")
    checkpoint = open_checkpoint(tmp_path / "step-9.pt")
    assert checkpoint.step is None
    assert checkpoint.step_source == "`step` in the file is -5, not a whole number from 0 on"


def test_a_trainer_s_unusable_step_has_no_number(fixtures, tmp_path):
    folder = tmp_path / "checkpoint-10"
    shutil.copytree(fixtures / "runs/tiny-gpt/checkpoint-10", folder)
    (folder / "trainer_state.json").write_text('{"global_step": -1}')
    checkpoint = open_checkpoint(folder)
    assert checkpoint.step is None
    assert "trainer_state.json: global_step is -1" in checkpoint.step_source


@pytest.mark.parametrize(
    "name",
    [
        "step--5.pt",
        "step=-5.pt",
        "step+5.pt",
        "s1.5.pt",
        "s-1.5.pt",
        "step1.5.pt",
        "-5.pt",
        "x--5",
        "val_loss=0.25.ckpt",
        "step-9223372036854775808.pt",
    ],
)
def test_signs_and_fractions_in_names_are_no_steps(name):
    assert step_in_name(Path("run") / name) is None
