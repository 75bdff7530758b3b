"""Steps and their units, in dictionaries and in names."""

from pathlib import Path

import pytest

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
    assert step_in({"step": True, "epoch": "last"}) is None
    assert step_in({"step": -1}) is None
