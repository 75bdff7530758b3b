"""Copies: a step that has passed stays as it was, in memory that is used again."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dyntools.callbacks.copies import Copies
from dyntools.live import snapshot_of
from dyntools.snapshot import Snapshot


class Network(nn.Module):
    """Parameters of several types and layouts, a frozen one, and buffers that are whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 3, 3).to(memory_format=torch.channels_last)
        self.norm = nn.BatchNorm2d(3)
        self.coarse = nn.Parameter(torch.randn(4, dtype=torch.bfloat16))
        self.turned = nn.Parameter(torch.randn(3, 5).T)
        self.empty = nn.Parameter(torch.empty(0, 3))
        self.frozen = nn.Parameter(torch.randn(2), requires_grad=False)


def live(model: nn.Module, step: int, optimizer: torch.optim.Optimizer | None = None) -> Snapshot:
    return snapshot_of(model, step, optimizer=optimizer)


def tensors(snapshot: Snapshot) -> dict[str, Tensor]:
    """Everything a snapshot holds."""
    found = {**snapshot.params, **snapshot.buffers}
    state = snapshot.optimizer
    for name, own in {} if state is None else state.state.items():
        found |= {f"{name} {key}": entry.read() for key, entry in own.items()}
    return found


def moved(model: nn.Module) -> None:
    """All of it changes, as it does in training: in place."""
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.add_(1)


def trained(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter) if parameter.requires_grad else None
    optimizer.step()


def assert_same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name


def test_a_copy_stays_while_the_model_goes_on() -> None:
    torch.manual_seed(0)
    model = Network()
    before = {name: tensor.clone() for name, tensor in tensors(live(model, 3)).items()}
    copy = Copies().of(live(model, 3))
    moved(model)
    assert copy.step == 3
    assert_same(tensors(copy), before)
    assert not torch.equal(tensors(live(model, 4))["coarse"], before["coarse"])


def test_the_next_step_takes_the_memory_of_the_one_before() -> None:
    model, copies = Network(), Copies()
    first = copies.of(live(model, 1))
    at = {name: tensor.data_ptr() for name, tensor in tensors(first).items()}
    moved(model)
    second = copies.of(live(model, 2))
    assert {name: tensor.data_ptr() for name, tensor in tensors(second).items()} == at
    assert_same(tensors(second), tensors(live(model, 2)))


def test_a_parameter_of_another_shape_or_type_gets_memory_of_its_own() -> None:
    model, copies = nn.Linear(2, 3), Copies()
    copies.of(live(model, 1))
    model.weight = nn.Parameter(torch.randn(4, 2))
    model.bias = nn.Parameter(torch.randn(3, dtype=torch.float64))
    assert_same(tensors(copies.of(live(model, 2))), tensors(live(model, 2)))


@pytest.mark.parametrize("make", [torch.optim.AdamW, torch.optim.Adagrad])
def test_moments_are_copied_where_asked_for(make: type[torch.optim.Optimizer]) -> None:
    """At first an optimizer has none; later they change in place."""
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = make(model.parameters(), lr=0.1)  # type: ignore[call-arg]
    copies = Copies(state=True)
    copies.of(live(model, 0, optimizer))
    for step in (1, 2):
        trained(model, optimizer)
        now = {n: t.clone() for n, t in tensors(live(model, step, optimizer)).items()}
        copy = copies.of(live(model, step, optimizer))
        trained(model, optimizer)
        assert_same(tensors(copy), now)
        assert len(now) > 2
    assert Copies().of(live(model, 3, optimizer)).optimizer is None


def test_what_was_computed_goes_along_and_what_belongs_to_the_living_does_not() -> None:
    model = nn.Linear(3, 2)
    snapshot = snapshot_of(
        model,
        5,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        initial=live(model, 0),
        previous=live(model, 4),
    )
    (matrix,) = snapshot.matrices()
    spectrum = snapshot.spectrum(matrix)
    assert snapshot.optimizer is not None
    copy = Copies().of(snapshot)
    moved(model)
    assert copy.spectrum(matrix) is spectrum
    assert copy.known("optimizer") is None
    assert (copy.initial, copy.previous, copy.earlier, copy.log) == (None, None, None, None)
    copy.once("new", lambda: 1)
    assert snapshot.known("new") is None


def test_a_model_without_parameters() -> None:
    assert tensors(Copies().of(live(nn.ReLU(), 1))) == {}
