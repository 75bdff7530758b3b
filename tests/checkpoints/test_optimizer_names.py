"""Index → name: accepted only when it is proved, for each order people use."""

import pytest
import torch

from dyntools.checkpoint import Entry
from dyntools.checkpoints import open_checkpoint
from dyntools.checkpoints.optimizer_names import Parameters, name_indices, parameters_of


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = torch.nn.Linear(6, 6)
        self.norm = torch.nn.LayerNorm(6)
        self.out = torch.nn.Linear(6, 4)
        self.register_buffer("running_mean", torch.zeros(6))


def trained(groups):
    """A model, an optimizer of the groups made from its named parameters, and the true names."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(Block(), torch.nn.Linear(6, 4))
    named = list(model.named_parameters())
    made = groups(named)
    optimizer = torch.optim.AdamW([{"params": [p for _, p in group]} for group in made])
    for _, parameter in named:
        parameter.grad = torch.randn(parameter.shape)
    optimizer.step()
    truth = {n: optimizer.state[p]["exp_avg"] for group in made for n, p in group}
    return model, optimizer, truth


def decay_first(named):
    decayed = [n for n, _ in named if "bias" not in n and "norm" not in n]
    return [[x for x in named if x[0] in decayed], [x for x in named if x[0] not in decayed]]


ORDERS = {
    "plain": lambda named: [named],
    "two in order": lambda named: [named[:3], named[3:]],
    "decay first": decay_first,
    "matrices first": lambda named: [
        [x for x in named if x[1].ndim > 1],
        [x for x in named if x[1].ndim < 2],
    ],
    "no decay first": lambda named: decay_first(named)[::-1],
}


@pytest.mark.parametrize("order", ORDERS)
def test_orders_people_use_are_found(order, tmp_path):
    model, optimizer, truth = trained(ORDERS[order])
    stored = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(stored, tmp_path / "a.pt")
    state = open_checkpoint(tmp_path / "a.pt").optimizer()
    assert set(state.state) == set(truth)
    for name, want in truth.items():
        assert torch.equal(state.state[name]["exp_avg"].read(), want)
        assert state.state[name]["step"].read() == 1


def test_an_unknown_order_gives_only_what_shapes_prove(tmp_path):
    model, optimizer, _ = trained(lambda named: [named[::-1]])
    stored = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(stored, tmp_path / "a.pt")
    state = open_checkpoint(tmp_path / "a.pt").optimizer()
    assert "no known order fits" in state.naming
    assert "0.attention.weight" in state.state  # the only 6 by 6
    assert "param[0] (4,)" in state.state
    assert "1.bias" not in state.state


def test_param_names_in_the_groups_come_first(tmp_path):
    model, _, _ = trained(ORDERS["plain"])
    optimizer = torch.optim.AdamW(list(model.named_parameters())[::-1])
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape)
    optimizer.step()
    stored = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(stored, tmp_path / "a.pt")
    state = open_checkpoint(tmp_path / "a.pt").optimizer()
    assert "param_names" in state.naming
    for name, parameter in model.named_parameters():
        want = optimizer.state[parameter]["exp_avg"]
        assert torch.equal(state.state[name]["exp_avg"].read(), want)


def test_without_state_nothing_can_be_compared():
    square = Parameters({"a": (2, 2), "b": (2,), "c": (2,), "d": (2, 2)}, "the file")
    naming = name_indices([[0, 1], [2, 3]], {1: None}, square)
    assert set(naming.names.values()) == {"param[0]", "param[1]", "param[2]", "param[3]"}
    assert "no state" in naming.sentence


def test_alphabetical_order_is_the_last_resort():
    shapes = {"b": (2,), "a": (3,)}
    naming = name_indices([[0, 1]], {0: (3,), 1: (2,)}, Parameters(shapes, "the file"))
    assert naming.names == {0: "a", 1: "b"}
    assert "alphabetically" in naming.sentence
    equal = Parameters({"b": (2,), "a": (2,)}, "the file")
    assert name_indices([[0, 1]], {0: (2,), 1: (2,)}, equal).names == {0: "b", 1: "a"}


def test_ambiguity_between_fitting_orders_is_refused():
    shapes = {"x.bias": (2, 2), "y.weight": (2, 2)}
    naming = name_indices([[0], [1]], {0: (2, 2), 1: (2, 2)}, Parameters(shapes, "the file"))
    assert "several orders fit" in naming.sentence
    assert naming.names == {0: "param[0] (2, 2)", 1: "param[1] (2, 2)"}


def test_tied_parameters_count_once_and_buffers_not():
    def entry(shape, dtype="float32", storage=None):
        return Entry(shape, dtype, lambda: None, storage)

    tensors = {
        "embed.weight": entry((5, 2), storage=("file", 1)),
        "norm.running_mean": entry((2,)),
        "count": entry((), "int64"),
        "head.weight": entry((5, 2), storage=("file", 1)),
        "head.bias": entry((5,)),
    }
    assert list(parameters_of(tensors, None).shapes) == ["embed.weight", "head.bias"]


def test_two_optimizers_are_read_as_one(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 5))
    optimizers = [torch.optim.Adam(part.parameters()) for part in model]
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape)
    for optimizer in optimizers:
        optimizer.step()
    states = [optimizer.state_dict() for optimizer in optimizers]
    torch.save({"model": model.state_dict(), "optimizers": states}, tmp_path / "a.pt")
    state = open_checkpoint(tmp_path / "a.pt").optimizer()
    assert [group["params"] for group in state.groups] == [
        ("0.weight", "0.bias"),
        ("1.weight", "1.bias"),
    ]
    want = optimizers[1].state[model[1].bias]["exp_avg_sq"]
    assert torch.equal(state.state["1.bias"]["exp_avg_sq"].read(), want)


@pytest.mark.parametrize(
    ("make", "family", "part"),
    [
        (lambda p: torch.optim.SGD(p, 0.1, momentum=0.9), "sgd", "momentum_buffer"),
        (lambda p: torch.optim.Adafactor(p), "adafactor", "variance"),
        (lambda p: torch.optim.Adam(p, amsgrad=True), "adam", "max_exp_avg_sq"),
        (lambda p: torch.optim.RMSprop(p), "unknown", "square_avg"),
    ],
)
def test_families(make, family, part, tmp_path):
    model = torch.nn.Linear(3, 2)
    optimizer = make(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    stored = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(stored, tmp_path / "a.pt")
    state = open_checkpoint(tmp_path / "a.pt").optimizer()
    assert state.family == family
    assert torch.equal(state.state["bias"][part].read(), optimizer.state[model.bias][part])
