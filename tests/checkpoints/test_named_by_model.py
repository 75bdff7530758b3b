"""States that the files leave without names, named by the model of a person's problem."""

import pytest
import torch
from torch import nn

from dyntools import hdf5
from dyntools.analysis import analyze
from dyntools.checkpoint import Entry, OptimizerState
from dyntools.checkpoints.named_by_model import named_by_model
from dyntools.checkpoints.optimizer_names import Parameters
from dyntools.opening import open_run
from dyntools.plan import make_plan
from dyntools.problem import Problem
from dyntools.run import lacks_names, snapshots

ACCELERATE = "runs/accelerate/checkpoints"


def problem(model):
    batch = torch.zeros(4, 8), torch.zeros(4, dtype=torch.long)
    return Problem(model, [batch], lambda z, b: nn.functional.cross_entropy(z, b[1]))


def like_the_run():
    return nn.Sequential(nn.Linear(8, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 3))


def states(run, of=None):
    return [snapshot.optimizer for snapshot in snapshots(run, problem=of)]


def test_accelerate_with_safetensors_is_named_in_full(fixtures, expected, digest):
    """Its file sorts the names, so three of six states stayed without: the vectors of 16."""
    run = open_run(fixtures / ACCELERATE)
    alone = states(run)[0]
    assert lacks_names(run)
    assert sorted(n for n in alone.state if n.startswith("param[")) == [
        "param[1] (16,)", "param[2] (16,)", "param[3] (16,)",
    ]  # fmt: skip
    truth = [expected("accelerate")[f"checkpoints/checkpoint_{i}"]["optimizer"] for i in range(3)]
    for state, want in zip(states(run, problem(like_the_run())), truth, strict=True):
        found = {
            name: {part: digest(entry.read()) for part, entry in parts.items() if part != "step"}
            for name, parts in state.state.items()
        }
        assert found == {
            name: {part: value for part, value in parts.items() if part != "step"}
            for name, parts in want.items()
        }
        assert set(state.groups[0]["params"]) == set(want)
    assert (
        "names from the model of the problem, taken as it is"
        in states(run, problem(like_the_run()))[0].naming
    )


def test_a_prefix_of_the_model_and_frozen_parameters_are_no_hindrance(fixtures):
    inner = like_the_run()
    inner[3].bias.requires_grad_(False)
    wrapped = nn.ModuleDict({"net": inner})
    state = states(open_run(fixtures / ACCELERATE), problem(wrapped))[0]
    assert set(state.state) == {f"{i}.{part}" for i in (0, 1, 3) for part in ("weight", "bias")}


def test_another_model_names_nothing(fixtures):
    other = nn.Sequential(nn.Linear(8, 15), nn.Linear(15, 3))
    state = states(open_run(fixtures / ACCELERATE), problem(other))[0]
    assert any(name.startswith("param[") for name in state.state)
    assert "does not tell either" in state.naming


def test_the_loss_given_for_its_order_is_kept_by_the_plan(fixtures, tmp_path):
    run = open_run(fixtures / ACCELERATE)
    plan = make_plan(run, ["effective_lr"], problem=problem(like_the_run()))
    analyze(run, plan, tmp_path / "r.h5")
    layers = hdf5.read(tmp_path / "r.h5").series["effective_lr"].coords["layer"]
    assert not any(str(layer).startswith("param[") for layer in layers)
    named = open_run(fixtures / "runs/tiny-gpt")
    assert not lacks_names(named)


def entry(shape):
    return Entry(shape, "float32", lambda: torch.zeros(shape))


def state(shapes):
    names = tuple(shapes)
    parts = {name: {"exp_avg": entry(shape)} for name, shape in shapes.items()}
    return OptimizerState("adam", ({"params": names},), parts, "not told")


UNNAMED = {f"param[{i}] (2, 2)": (2, 2) for i in range(2)}


@pytest.mark.parametrize("order", [("b", "a"), ("a", "b")])
def test_equal_shapes_are_told_apart_by_the_order_alone(order):
    model = Parameters(dict.fromkeys(order, (2, 2)), "the model")
    found = named_by_model(state(UNNAMED), lambda: [model])
    assert tuple(found.state) == order
    assert found.groups[0]["params"] == order


def test_an_order_that_contradicts_a_proved_name_is_refused():
    shapes = {"b": (2, 2), "param[1] (2, 2)": (2, 2)}
    model = Parameters({"a": (2, 2), "b": (2, 2)}, "the model")
    found = named_by_model(state(shapes), lambda: [model])
    assert tuple(found.state) == tuple(shapes)
    assert "no order fits" in found.naming


def test_two_orders_that_fit_name_nothing():
    orders = [Parameters(dict.fromkeys(names, (2, 2)), "the model") for names in ("ab", "ba")]
    found = named_by_model(state(UNNAMED), lambda: orders)
    assert tuple(found.state) == tuple(UNNAMED)
    assert "several orders fit" in found.naming


def test_the_order_is_not_asked_for_where_all_names_are_known():
    def ask():
        raise AssertionError

    assert named_by_model(state({"a": (2, 2)}), ask).naming == "not told"
