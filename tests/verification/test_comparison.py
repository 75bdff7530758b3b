"""A plan against AdamW: the same training where it changes nothing, a worse one where it must be.

References are loops written out here with torch's own AdamW, on the batches that were recorded.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dyntools.errors import CheckpointError, ProblemError, UsageError
from dyntools.problem import Engine, Problem
from dyntools.ranks import Ranks
from dyntools.snapshot import Snapshot, Tensors
from dyntools.verification import verify
from tests import problems
from tests.processes import FIXTURES

DOUBLE = Engine(dtype=torch.float64)


def started(
    problem: Problem, steps: int = 5, lr: float = 1e-2, **settings: Any
) -> tuple[Snapshot, torch.optim.Optimizer]:
    """A snapshot after some steps of AdamW with the problem's own model, and the optimizer."""
    optimizer = torch.optim.AdamW(problem.model.parameters(), lr=lr, **settings)
    problems.trained(problem, optimizer, steps)
    buffers = {name: buffer.clone() for name, buffer in problem.model.named_buffers()}
    found = problems.snapshot_of(problem, optimizer=optimizer)
    return replace(found, buffers=Tensors.of(buffers)), optimizer


def recording(problem: Problem) -> tuple[Problem, list[Tensor]]:
    """The problem, and the inputs of its model in training mode as they come."""
    seen: list[Tensor] = []

    def forward(model: nn.Module, batch: Any) -> Any:
        inputs = batch[0] if isinstance(batch, tuple) else batch
        if model.training:
            seen.append(inputs.clone())
        return model(inputs)

    return replace(problem, forward=forward), seen


def test_a_plan_that_keeps_all_is_adamw_to_the_last_bit() -> None:
    problem = problems.classifier()
    snapshot, _ = started(problem)
    found = verify(problem, snapshot, dict.fromkeys(snapshot.params, "full"), 20)
    assert found.differences == (0.0, 0.0, 0.0)
    assert found.difference.holds_zero
    assert found.plan.state_bytes == found.adamw.state_bytes


def test_tensors_in_no_group_stay_as_they_are() -> None:
    """A frozen first layer, which a plan lists as kept in full."""
    problem = problems.classifier()
    optimizer = torch.optim.AdamW(problem.model[2].parameters(), lr=1e-2)
    problems.trained(problem, optimizer, 3)
    snapshot = problems.snapshot_of(problem, optimizer=optimizer)
    found = verify(problem, snapshot, {"0.weight": "full", "2.weight": "axes 0"}, 3)
    assert found.adamw.state_bytes == 8 * 2 * 24
    assert "2 tensors are in no group and stay as they are, as 0.weight." in found.limits
    with pytest.raises(UsageError, match="does not hold"):
        verify(problem, snapshot, {"0.weight": "axes 0"}, 3)


def test_adamw_goes_on_as_if_it_had_never_stopped() -> None:
    """Against the live optimizer on the recorded mini-batches; settings by group included."""
    problem, seen = recording(problems.classifier())
    model = problem.model
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": vectors, "weight_decay": 0.0, "lr": 3e-2},
        {"params": matrices, "weight_decay": 0.3, "eps": 1e-3},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-2, betas=(0.8, 0.97))
    problems.trained(problem, optimizer, 7)
    snapshot = problems.snapshot_of(problem, optimizer=optimizer)
    seen.clear()
    found = verify(problem, snapshot, {}, 12, clip=0.05)
    inputs, targets = (torch.cat(parts) for parts in zip(*problem.batches, strict=True))
    model.train()
    for x in seen[:12]:
        y = targets[[int((inputs == row).all(1).nonzero()) for row in x]]
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.05)
        optimizer.step()
    trained_on = {tuple(row.tolist()) for x in seen for row in x}
    judged = [i for i, row in enumerate(inputs) if tuple(row.tolist()) not in trained_on]
    assert len(judged) == found.examples[1] == 9
    expected = cross_entropy(model(inputs[judged]), targets[judged]).item()
    assert found.adamw.losses[0] == pytest.approx(expected, rel=1e-12)


def test_both_see_the_same_examples_in_the_same_order() -> None:
    problem, seen = recording(problems.classifier())
    snapshot, _ = started(problem)
    seen.clear()
    verify(problem, snapshot, {"0.weight": "axes 0,1"}, 15)
    runs = [torch.cat(seen[i : i + 15]) for i in range(0, len(seen), 15)]
    assert len(runs) == 6  # AdamW and plan, three orders
    assert all(torch.equal(a, b) for a, b in zip(runs[::2], runs[1::2], strict=True))
    assert not torch.equal(runs[0], runs[2])


def test_a_seed_gives_the_same_bits_again_and_dropout_too() -> None:
    problem = problems.classifier(engine=Engine(dtype=torch.float32))
    problem = replace(problem, model=nn.Sequential(*problem.model, nn.Dropout(0.3)))
    snapshot, _ = started(problem)
    found = [verify(problem, snapshot, {"0.weight": "axes 1"}, 10) for _ in range(2)]
    assert found[0].plan.losses == found[1].plan.losses
    assert found[0].adamw.losses == found[1].adamw.losses
    same = verify(problem, snapshot, {}, 10)
    assert same.differences == (0.0, 0.0, 0.0)


def zipf(rows: int = 64, width: int = 8, examples: int = 2000) -> Problem:
    """Which class a token is of; tokens as rare as the square of their number."""
    rng = np.random.default_rng(0)
    p = 1.0 / np.arange(1, rows + 1) ** 2
    tokens = torch.from_numpy(rng.choice(rows, examples, p=p / p.sum()))
    kinds = torch.from_numpy(rng.integers(0, 16, rows))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(rows, width), nn.Linear(width, 16))
    batches = list(zip(tokens.split(32), kinds[tokens].split(32), strict=True))
    return Problem(model, batches, lambda z, b: cross_entropy(z, b[1]))


def test_one_value_for_an_embedding_of_rare_tokens_is_worse() -> None:
    """Rare tokens are then moved by steps that the frequent ones made small."""
    with torch.random.fork_rng(devices=[]):
        problem = zipf()
    optimizer = torch.optim.AdamW(problem.model.parameters(), lr=1e-2)
    for x, y in problem.batches:
        optimizer.zero_grad()
        cross_entropy(problem.model(x), y).backward()
        optimizer.step()
    snapshot = problems.snapshot_of(problem, optimizer=optimizer)
    found = verify(problem, snapshot, {"0.weight": "axes 0,1"}, 150)
    assert found.difference.low > 0.0
    assert found.training_difference.low > 0.0
    assert "higher" in found.verdict
    assert found.plan.losses[0] < found.start  # it trains, only worse


def test_bytes_of_both_states_by_hand() -> None:
    """Float64: 5·6 + 5 + 4·5 + 4 = 59 weights; one of its second moments in rows, one in blocks."""
    problem = problems.classifier(engine=DOUBLE)
    snapshot, _ = started(problem)
    forms = {"0.weight": "axes 1", "2.weight": "factored"}
    found = verify(problem, snapshot, forms, 2)
    assert found.adamw.state_bytes == 8 * 2 * 59
    assert found.plan.state_bytes == 8 * (59 + 5 + 5 + (4 + 5) + 4)
    assert found.saved_bytes == 8 * (30 - 5 + 20 - 9)


def test_the_model_and_the_random_numbers_are_as_before() -> None:
    problem = problems.classifier(engine=Engine(dtype=torch.float32))
    problem = replace(problem, model=nn.Sequential(*problem.model, nn.BatchNorm1d(4)))
    snapshot, _ = started(problem)
    problem.model[0].eval()
    before = copy.deepcopy(problem.model.state_dict())
    modes = [module.training for module in problem.model.modules()]
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with torch.no_grad():
        verify(problem, snapshot, {"0.weight": "axes 0"}, 5)
        assert not torch.is_grad_enabled()
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(before[k], v) for k, v in problem.model.state_dict().items())
    assert [module.training for module in problem.model.modules()] == modes
    assert all(p.grad is None for p in problem.model.parameters())
    assert all(torch.equal(before[name], snapshot.params[name]) for name in snapshot.params)


def test_batch_statistics_are_trained_and_judged_with_the_running_ones() -> None:
    """At running statistics the loss of the examples does not depend on their batch."""
    problem = problems.classifier(engine=Engine(dtype=torch.float32))
    problem = replace(problem, model=nn.Sequential(*problem.model, nn.BatchNorm1d(4)))
    snapshot, _ = started(problem)
    sizes = [verify(problem, snapshot, {}, 1, batch_size=n).start for n in (3, 9)]
    assert sizes[0] == pytest.approx(sizes[1], rel=1e-6)


def test_a_penalty_sees_the_weights_that_are_trained() -> None:
    """A loss that looks at the problem's own model: with a huge penalty they must shrink."""
    plain = problems.classifier(engine=DOUBLE)

    def loss(outputs: Tensor, batch: Any) -> Tensor:
        size = sum(p.square().sum() for p in plain.model.parameters())
        return cross_entropy(outputs, batch[1]) + 100.0 * size

    problem = replace(plain, loss=loss)
    snapshot, _ = started(problem, lr=1e-2)
    found = verify(problem, snapshot, {}, 30)
    assert max(found.adamw.losses) < 0.5 * found.start


def test_a_second_problem_judges() -> None:
    problem, other = problems.classifier(seed=0), problems.classifier(examples=17, seed=3)
    snapshot, _ = started(problem)
    found = verify(problem, snapshot, {}, 3, held_out=replace(other, source="other.py"))
    assert found.examples == (48, 17)
    assert found.evaluated == (
        "mean loss on the 17 examples of other.py, after 3 steps from step 100"
    )
    x, y = (torch.cat(parts) for parts in zip(*other.batches, strict=True))
    assert found.start == pytest.approx(cross_entropy(problem.model(x), y).item(), rel=1e-12)


def test_divergence_is_a_result_and_no_crash() -> None:
    """A quadratic of infinite depth: the loss overflows after a step or two."""
    problem = problems.classifier(engine=DOUBLE)
    exploding = replace(
        problem, loss=lambda z, b: cross_entropy(z, b[1]) * torch.exp(z.square().sum() * 1e3)
    )
    snapshot, _ = started(problem)
    found = verify(exploding, snapshot, {}, 5, lr=10.0)
    assert found.adamw.diverged == (0, 1, 2)
    assert math.isnan(found.difference.mean)
    assert "diverged with the plan in 3 of 3 orders" in found.verdict


def test_rates_by_group_keep_their_ratio() -> None:
    problem = problems.classifier()
    groups = [
        {"params": list(problem.model[0].parameters()), "lr": 1e-2},
        {"params": list(problem.model[2].parameters()), "lr": 1e-3},
    ]
    optimizer = torch.optim.AdamW(groups)
    problems.trained(problem, optimizer, 3)
    snapshot = problems.snapshot_of(problem, optimizer=optimizer)
    kept = verify(problem, snapshot, {}, 8)
    assert kept.learning_rate == 1e-2
    assert verify(problem, snapshot, {}, 8, lr=1e-2).adamw.losses == kept.adamw.losses
    assert verify(problem, snapshot, {}, 8, lr=2e-2).adamw.losses != kept.adamw.losses


def test_progress_is_told() -> None:
    problem = problems.classifier()
    snapshot, _ = started(problem)
    told: list[tuple[int, int]] = []
    verify(problem, snapshot, {}, 4, told=lambda done, total: told.append((done, total)))
    assert told == [(4 * i, 24) for i in range(1, 7)]


def _zero_rate(problem: Problem) -> Snapshot:
    _, optimizer = started(problem)
    optimizer.param_groups[0]["lr"] = 0.0
    return problems.snapshot_of(problem, optimizer=optimizer)


def _sgd(problem: Problem) -> Snapshot:
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=1e-2, momentum=0.9)
    problems.trained(problem, optimizer, 2)
    return problems.snapshot_of(problem, optimizer=optimizer)


def _unnamed(problem: Problem) -> Snapshot:
    snapshot, _ = started(problem)
    state = snapshot.optimizer
    assert state is not None
    numbered = {f"param[{i}] {e['exp_avg'].shape}": e for i, e in enumerate(state.state.values())}
    return problems.snapshot_of(problem, optimizer=replace(state, state=numbered))


def _unstepped(problem: Problem) -> Snapshot:
    return started(problem, steps=0)[0]


def _stateless(problem: Problem) -> Snapshot:
    return problems.snapshot_of(problem)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (_zero_rate, UsageError, "learning rate is zero"),
        (_sgd, CheckpointError, "verified from a state of Adam"),
        (_unnamed, CheckpointError, "cannot be told apart by parameter"),
        (_unstepped, CheckpointError, "not taken a step yet"),
        (_stateless, CheckpointError, "holds no optimizer state"),
    ],
)
def test_states_that_cannot_be_gone_on_from_are_refused(
    make: Callable[[Problem], Snapshot], error: type[Exception], words: str
) -> None:
    problem = problems.classifier()
    with pytest.raises(error, match=words):
        verify(problem, make(problem), {}, 2)


def test_a_rate_may_be_given_where_the_schedule_has_ended() -> None:
    problem = problems.classifier()
    snapshot = _zero_rate(problem)
    found = verify(problem, snapshot, {}, 3, lr=1e-2)
    assert found.learning_rate == 1e-2
    assert (
        "The learning rate was set to 0.01 throughout; the checkpoint's is zero or not known."
        in found.limits
    )


@pytest.mark.parametrize(
    ("forms", "settings"),
    [
        ({"0.weight": "axes 7"}, {}),
        ({"nowhere": "axes 0"}, {}),
        ({}, {"seeds": 2}),
        ({}, {"steps": 0}),
        ({}, {"batch_size": 47}),
        ({}, {"lr": -1.0}),
        ({}, {"clip": 0.0}),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    forms: dict[str, str], settings: dict[str, Any]
) -> None:
    problem = problems.classifier()
    snapshot, _ = started(problem)
    with pytest.raises(UsageError):
        verify(problem, snapshot, forms, **{"steps": 2, **settings})


class _Broken:
    def __iter__(self) -> Iterator[Any]:
        raise ValueError("no data here")


def test_another_model_and_code_that_raises_are_told_as_the_problems() -> None:
    problem = problems.classifier()
    snapshot, _ = started(problem)
    with pytest.raises(ProblemError, match="not the model of the checkpoint"):
        verify(problems.classifier(hidden=3), snapshot, {}, 2)
    with pytest.raises(ProblemError, match="must be one number"):
        verify(replace(problem, loss=lambda z, b: z), snapshot, {}, 2)
    with pytest.raises(ProblemError, match="raised an error"):
        verify(replace(problem, batches=_Broken()), snapshot, {}, 2)
    with pytest.raises(UsageError, match="one process"):
        verify(replace(problem, ranks=Ranks(0, 2)), snapshot, {}, 2)


def test_a_run_on_disk() -> None:
    """digits-mlp: every moment of a 64-64-32-10 network in one value a tensor."""
    from dyntools import open_run
    from dyntools.problem.loading import load_problem
    from dyntools.run import snapshots

    folder = FIXTURES / "runs" / "digits-mlp"
    run = open_run(folder)
    problem = load_problem(str(folder / "problem.py"), run.checkpoints[-1])
    (snapshot,) = snapshots(run, steps=[3000])
    forms = {f"{i}.weight": "axes 0,1" for i in (0, 2, 4)}
    found = verify(problem, snapshot, forms, 30)
    weights = 64 * 64 + 64 * 32 + 32 * 10
    assert found.saved_bytes == 4 * (weights - 3)
    assert (found.step, found.examples, found.batch_size) == (3000, (240, 60), 30)
    assert found.learning_rate == pytest.approx(3e-3)
    assert all(map(math.isfinite, found.plan.losses))


def test_from_the_command_line(dyntools: Callable[..., Any]) -> None:
    """The bytes that the plan promises are those that its optimizer holds less."""
    folder = FIXTURES / "runs" / "digits-mlp"
    arguments = ("adam-memory", folder, "--problem", folder / "problem.py", "--verify", 5)
    outcome = dyntools(*arguments, "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    total = found["totals"]["second_moment"]
    assert found["verification"]["saved_bytes"] == total["before"] - total["after"] > 0
    assert len(found["verification"]["differences"]) == 3
    printed = dyntools(*arguments).out
    assert "Verified: 5 steps on from step 3000, in 3 orders of the examples" in printed
