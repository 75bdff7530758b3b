"""The conventions of torch.optim.Optimizer, plans, memory and errors."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dyntools.errors import UsageError
from dyntools.forms import EIGHT_BIT, FACTORED, Form, in_blocks, mean_over
from dyntools.live import snapshot_of
from dyntools.moments import moments_of
from dyntools.opening import open_run
from dyntools.optim import SlimAdamW
from dyntools.run import snapshots

FORMS: dict[str, Form | str] = {
    "0.weight": "axes 1",
    "0.bias": "blocks 2",
    "2.weight": FACTORED,
    "2.bias": mean_over(0),
}


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))


def slim(model: nn.Module, forms: Any = FORMS, **settings: Any) -> SlimAdamW:
    return SlimAdamW(model.named_parameters(), forms, **settings)


def backward(model: nn.Module, seed: int = 0) -> Tensor:
    model.zero_grad()
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(seed))
    loss: Tensor = model(x).square().mean()
    loss.backward()  # type: ignore[no-untyped-call]
    return loss


def steps(model: nn.Module, optimizer: torch.optim.Optimizer, count: int, start: int = 0) -> None:
    for seed in range(start, start + count):
        backward(model, seed)
        optimizer.step()


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def test_only_the_compressed_state_is_stored_and_it_is_the_predicted_bytes() -> None:
    model = net()
    optimizer = slim(model)
    steps(model, optimizer, 2)
    shapes = {
        name: {key: tuple(value.shape) for key, value in optimizer.state[param].items()}
        for name, param in model.named_parameters()
    }
    assert shapes == {
        "0.weight": {"step": (), "exp_avg": (8, 6), "exp_avg_sq": (8, 1)},
        "0.bias": {"step": (), "exp_avg": (8,), "exp_avg_sq": (2,)},
        "2.weight": {
            "step": (),
            "exp_avg": (4, 8),
            "exp_avg_sq_row": (4, 1),
            "exp_avg_sq_col": (1, 8),
        },
        "2.bias": {"step": (), "exp_avg": (4,), "exp_avg_sq": (1,)},
    }
    known = [mean_over(1), in_blocks(2), FACTORED, mean_over(0)]
    for form, param in zip(known, model.parameters(), strict=True):
        kept = [v for k, v in optimizer.state[param].items() if k.startswith("exp_avg_sq")]
        # Of storage, not of views: a view of a full second moment would save nothing.
        assert sum(v.untyped_storage().nbytes() for v in kept) == form.bytes(param.shape)


@pytest.mark.parametrize("saved", ["memory", "file"])
def test_a_state_dict_goes_on_to_the_last_bit(saved: str, tmp_path: Path) -> None:
    whole, first = net(), net()
    steps(whole, slim(whole, weight_decay=0.1), 6)
    optimizer = slim(first, weight_decay=0.1)
    steps(first, optimizer, 3)
    state = optimizer.state_dict()
    if saved == "file":
        torch.save(state, tmp_path / "optimizer.pt")
        state = torch.load(tmp_path / "optimizer.pt", weights_only=True)
    second = net()
    second.load_state_dict(first.state_dict())
    resumed = slim(second)
    resumed.load_state_dict(state)
    steps(second, resumed, 3, start=3)
    assert same(whole, second)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_copies_go_on_alike(copied: Callable[[Any], Any]) -> None:
    model = net()
    optimizer = slim(model)
    steps(model, optimizer, 2)
    twin, twin_optimizer = copied((model, optimizer))
    steps(model, optimizer, 2, start=2)
    steps(twin, twin_optimizer, 2, start=2)
    assert same(model, twin)
    twin_optimizer.add_param_group({"params": [("late", nn.Parameter(torch.ones(3)))]})


def test_groups_have_their_own_settings_and_a_schedule_moves_them() -> None:
    model = net()
    named = list(model.named_parameters())
    groups = [
        {"params": named[:2], "lr": 1e-2, "weight_decay": 0.0, "betas": (0.5, 0.9), "eps": 1e-3},
        {"params": named[2:], "maximize": True},
    ]
    twin = copy.deepcopy(model)
    pairs = [dict(twin.named_parameters())[name] for name, _ in named]
    theirs = [{**groups[0], "params": pairs[:2]}, {**groups[1], "params": pairs[2:]}]
    ours, adamw = SlimAdamW(groups, {}), torch.optim.AdamW(theirs)
    schedules = [torch.optim.lr_scheduler.ExponentialLR(each, 0.5) for each in (ours, adamw)]
    for seed in range(5):
        for each, optimizer, schedule in zip((model, twin), (ours, adamw), schedules, strict=True):
            backward(each, seed)
            optimizer.step()
            schedule.step()
    for a, b in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-9)


def test_a_group_added_later_brings_its_forms() -> None:
    model = net()
    named = list(model.named_parameters())
    optimizer = SlimAdamW(named[:2], {"0.weight": "axes 1"})
    optimizer.add_param_group({"params": named[2:], "forms": {"2.weight": "axes 0"}, "lr": 0.5})
    steps(model, optimizer, 1)
    assert optimizer.state[named[2][1]]["exp_avg_sq"].shape == (1, 8)
    with pytest.raises(UsageError, match="does not hold"):
        optimizer.add_param_group(
            {"params": [("x", nn.Parameter(torch.ones(2)))], "forms": {"y": "axes 0"}}
        )
    assert len(optimizer.param_groups) == 2


def test_a_tensor_as_learning_rate() -> None:
    number, tensor = net(), net()
    steps(number, slim(number, lr=0.25), 3)
    steps(tensor, slim(tensor, lr=torch.tensor(0.25)), 3)
    assert same(number, tensor)


def test_the_closure_runs_with_gradients_and_its_loss_returns() -> None:
    model = net()
    optimizer = slim(model)
    expected = backward(net())
    assert optimizer.step(lambda: backward(model)) == expected  # type: ignore[arg-type]
    assert not same(model, net())


def test_parameters_without_a_gradient_or_without_weights_rest() -> None:
    still, empty = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(0, 3))
    empty.grad = torch.ones(0, 3)
    optimizer = SlimAdamW([("still", still), ("empty", empty)], {"empty": "axes 0"})
    optimizer.step()
    assert torch.equal(still, torch.ones(3))
    assert not optimizer.state


def test_the_grad_scaler_skips_a_step_of_infinite_gradients() -> None:
    model = net()
    optimizer, scaler = slim(model), torch.amp.GradScaler("cpu")
    loss = model(torch.ones(2, 6)).sum()
    scaler.scale(loss).backward()
    next(model.parameters()).grad.fill_(torch.inf)  # type: ignore[union-attr]
    scaler.step(optimizer)
    scaler.update()
    assert same(model, net())


def test_state_follows_the_dtype_of_the_parameter() -> None:
    model = net().to(torch.bfloat16)
    optimizer = slim(model)
    model(torch.ones(2, 6, dtype=torch.bfloat16)).sum().backward()
    optimizer.step()
    dtypes = {v.dtype for s in optimizer.state.values() for k, v in s.items() if k != "step"}
    assert dtypes == {torch.bfloat16}


@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_the_path_of_a_plan(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"plan{suffix}"
    lines = ["schema = 1", "[tensors]", '"0.weight" = { form = "axes 1" }']
    rules = '{"0.weight": [1], "2.weight": null}'
    path.write_text(rules if suffix == ".json" else "\n".join(lines))
    model = net()
    for plan in (path, str(path)):
        optimizer = slim(model, plan)
        assert optimizer.param_groups[0]["forms"] == ["axes 1", "full", "full", "full"]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"lr": -1.0}, "lr must be 0 or more"),
        ({"lr": float("nan")}, "lr must be 0 or more"),
        ({"eps": -1e-8}, "eps must be 0 or more"),
        ({"weight_decay": float("inf")}, "weight_decay must be 0 or more"),
        ({"betas": (0.9, 1.0)}, "betas must be two numbers"),
        ({"betas": (0.9,)}, "betas must be two numbers"),
        ({"forms": {"0.weight": "8-bit"}}, "no 8-bit second moment"),
        ({"forms": {"0.weight": EIGHT_BIT}}, "no 8-bit second moment"),
        ({"forms": {"0.weight": "axis 1"}}, "a form that does not exist"),
        ({"forms": {"0.weight": "axes 1,1"}}, "a form that does not exist"),
        ({"forms": {"0.weight": mean_over(-1)}}, "a form that does not exist"),
        ({"forms": {"0.weight": "axes 2"}}, "cannot be kept as 'axes 2'"),
        ({"forms": {"0.weight": "blocks 5"}}, "cannot be kept as 'blocks 5'"),
        ({"forms": {"0.bias": "factored"}}, "cannot be kept as 'factored'"),
        ({"forms": {"0.wieght": "axes 1"}}, "names 1 parameters that the optimizer does not hold"),
        ({"forms": "missing.toml"}, "plan cannot be read"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_said(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        SlimAdamW(net().named_parameters(), **{"forms": {}, **settings})


def test_an_8_bit_plan_names_bitsandbytes_and_a_misspelt_name_its_neighbour() -> None:
    with pytest.raises(UsageError) as told:
        slim(net(), {"0.weight": "8-bit"})
    assert "bitsandbytes" in str(told.value)
    with pytest.raises(UsageError) as told:
        slim(net(), {"0.wieght": "full"})
    assert "0.weight" in str(told.value)


def test_parameters_without_names_are_refused() -> None:
    with pytest.raises(UsageError, match="by its name"):
        SlimAdamW(net().parameters(), {})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="by its name"):
        SlimAdamW([{"params": list(net().parameters())}], {})


def test_sparse_and_complex_gradients_are_refused_by_name() -> None:
    embedding = nn.Embedding(5, 3, sparse=True)
    optimizer = slim(embedding, {})
    embedding(torch.tensor([1])).sum().backward()
    with pytest.raises(UsageError, match="gradient of weight is sparse"):
        optimizer.step()
    with pytest.raises(UsageError, match="w is complex"):
        SlimAdamW([("w", nn.Parameter(torch.ones(2, dtype=torch.complex64)))], {})


def test_dyntools_reads_its_state_live_and_from_a_checkpoint(tmp_path: Path) -> None:
    model = net()
    optimizer = slim(model, {"0.weight": "axes 1", "2.weight": "factored"})
    steps(model, optimizer, 3)
    torch.save(
        {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": 3},
        tmp_path / "step_3.pt",
    )
    live = snapshot_of(model, 3, optimizer=optimizer).optimizer
    (stored,) = (snapshot.optimizer for snapshot in snapshots(open_run(tmp_path)))
    for state in (live, stored):
        assert state is not None
        assert state.family == "adam"
        assert "compressed already" in str(moments_of(state, "0.weight", (8, 6)))
        assert isinstance(moments_of(state, "2.weight", (4, 8)), str)
        full = moments_of(state, "0.bias", (8,))
        assert not isinstance(full, str)
        assert full.steps == 3
        second = optimizer.state[dict(model.named_parameters())["0.bias"]]["exp_avg_sq"]
        assert torch.equal(full.v(), second)


def test_a_plan_for_the_other_layout_is_refused(tmp_path: Path) -> None:
    """`axes 0` fits (6, 8) and (8, 6), and means rows of one and columns of the other."""
    plan = tmp_path / "plan.toml"
    line = '"0.weight" = {{ form = "axes 0", shape = [{}] }}'
    plan.write_text("schema = 1\n[tensors]\n" + line.format("6, 8"))
    with pytest.raises(UsageError, match="was made for another shape") as caught:
        slim(net(), plan)
    assert "(6, 8), here (8, 6)" in str(caught.value)
    for shape in ("8, 6", "8, 6, 1"):
        plan.write_text("schema = 1\n[tensors]\n" + line.format(shape))
        assert slim(net(), plan).param_groups[0]["forms"][0] == "axes 0"
