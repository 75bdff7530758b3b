"""Names of a checkpoint and of a model, whatever wrapped them on the way."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from dyntools.errors import ProblemError
from dyntools.problem.matching import bare, constants, match


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wte = nn.Embedding(5, 3)
        self.norm = nn.BatchNorm1d(3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.wte.weight


def shapes_of(model: nn.Module, before: str = "") -> dict[str, tuple[int, ...]]:
    return {before + name: tuple(p.shape) for name, p in model.named_parameters()}


def wrapped(model: nn.Module, name: str) -> nn.Module:
    outer = nn.Module()
    outer.add_module(name, model)
    return outer


PREFIXES = ("", "module.", "_orig_mod.", "module._orig_mod.", "model.", "net.", "module.model.net.")


@pytest.mark.parametrize("stored", PREFIXES)
@pytest.mark.parametrize("own", ["", "module", "_orig_mod", "model", "net"])
def test_prefixes_on_either_side(stored: str, own: str) -> None:
    inner = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))
    model = wrapped(inner, own) if own else inner
    found = match(model, shapes_of(inner, stored), {})
    before = f"{own}." if own else ""
    assert dict(found.names) == {stored + n: before + n for n in shapes_of(inner)}


@pytest.mark.parametrize("held", [("wte.weight",), ("head.weight",), ("wte.weight", "head.weight")])
def test_a_tied_tensor_goes_by_any_of_its_names(held: tuple[str, ...]) -> None:
    shapes = dict.fromkeys(held, (5, 3)) | {"norm.weight": (3,), "norm.bias": (3,)}
    found = match(Tied(), shapes, {})
    assert dict(found.names) == {held[0]: "wte.weight"} | {
        f"norm.{n}": f"norm.{n}" for n in ("weight", "bias")
    }
    assert found.tied == (() if len(held) == 1 else (held,))


def test_tied_in_the_model_but_not_in_the_checkpoint() -> None:
    stored = {"wte.weight": torch.zeros(5, 3), "head.weight": torch.ones(5, 3)}
    stored |= {"norm.weight": torch.ones(3), "norm.bias": torch.zeros(3)}
    model = Tied()
    found = match(model, {n: tuple(t.shape) for n, t in stored.items()}, {})
    with pytest.raises(ProblemError, match="ties two tensors"):
        constants(model, found, stored.__getitem__)


def test_buffers_come_from_the_checkpoint_where_it_holds_them() -> None:
    model = Tied()
    buffers = {"module.norm.running_mean": (3,)}
    found = match(model, shapes_of(model, "module."), buffers)
    assert dict(found.constants) == {"norm.running_mean": "module.norm.running_mean"}
    values = constants(model, found, lambda name: torch.full((3,), 7.0))
    assert values["norm.running_mean"].tolist() == [7.0] * 3
    assert values["norm.running_var"].tolist() == [1.0] * 3


def test_frozen_parameters_are_constants() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    model[0].requires_grad_(False)
    found = match(model, shapes_of(model, "net."), {})
    assert set(found.names.values()) == {"1.weight", "1.bias"}
    assert dict(found.constants) == {"0.weight": "net.0.weight", "0.bias": "net.0.bias"}


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({"0.weight": (3, 2)}, r"1 missing from the checkpoint \(0.bias\)"),
        ({"0.weight": (4, 2), "0.bias": (3,)}, r"0.weight: \(3, 2\) in the model, \(4, 2\)"),
        ({"0.weight": (3, 2), "0.bias": (3,), "9.w": (1,)}, r"1 only in the checkpoint \(9.w\)"),
        ({}, "2 missing"),
    ],
)
def test_what_does_not_fit_is_listed(shapes: dict[str, tuple[int, ...]], words: str) -> None:
    with pytest.raises(ProblemError) as caught:
        match(nn.Sequential(nn.Linear(2, 3)), shapes, {}, "problem.py")
    assert caught.value.where == "problem.py"
    assert caught.value.remedy
    assert re.search(words, caught.value.found or "")


def test_a_buffer_of_another_shape_is_refused() -> None:
    model = Tied()
    with pytest.raises(ProblemError, match="not the model of the checkpoint"):
        match(model, shapes_of(model), {"norm.running_mean": (4,)})


def test_nothing_to_train() -> None:
    model = nn.Linear(2, 3).requires_grad_(False)
    with pytest.raises(ProblemError, match="No parameter of the model requires a gradient"):
        match(model, shapes_of(model), {})


def test_only_whole_parts_of_a_name_are_a_wrapper() -> None:
    assert bare("module.my_module.weight") == "my_module.weight"
