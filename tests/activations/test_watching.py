"""What is seen of a forward pass, under which names, and that nothing is left behind."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dyntools.activations.scores import Scores
from dyntools.activations.watching import Product, Seen, watched


class NewGELUActivation(nn.Module):
    """A formula of its own, as in Transformers."""

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * x * (1 + torch.tanh(x))


class Calls(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.relu = nn.Linear(4, 4), nn.ReLU(inplace=True)
        self.act, self.c = NewGELUActivation(), nn.Conv1d(2, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.relu(self.a(x)))
        x = self.act(torch.relu(F.relu(x).relu_()))
        x = F.silu(self.c(x[:, None].expand(-1, 2, -1)))
        return F.gelu(x).sigmoid()


def seen_in(model: nn.Module) -> list[Seen]:
    found: list[Seen] = []
    with watched(model, found.append), torch.no_grad():
        model(torch.ones(3, 4))
    return found


def test_modules_calls_in_place_and_composite_ones() -> None:
    found = [(s.name, s.kind.name if s.kind else None, s.axis) for s in seen_in(Calls())]
    assert found == [
        ("a", None, -1),
        ("relu", "relu", -1),
        ("relu#2", "relu", -1),
        ("relu#3", "relu", -1),
        ("relu#4", "relu", -1),
        ("relu#5", "relu", -1),
        ("act", "gelu", -1),
        ("c", None, 1),
        ("silu", "silu", 1),
        ("gelu", "gelu", 1),
        ("sigmoid", "sigmoid", 1),
    ]


def test_what_a_listener_computes_is_not_seen() -> None:
    def listen(seen: Seen) -> None:
        names.append((seen.name, seen.axis))
        F.relu(seen.output @ seen.output.transpose(-1, -2))

    names: list[tuple[str, int]] = []
    model = nn.Sequential(nn.Conv1d(4, 4, 1), nn.ReLU())
    with watched(model, listen), torch.no_grad():
        model(torch.ones(2, 4, 6))
    assert names == [("0", 1), ("1", 1)]


def test_a_module_behind_another_is_named_by_its_path() -> None:
    assert [s.name for s in seen_in(nn.Sequential(Calls()))][:2] == ["0.a", "0.relu"]


def test_hooks_and_mode_are_gone_even_after_an_error() -> None:
    model, state = Calls(), torch.get_rng_state()
    plain = model(torch.ones(3, 4))
    seen_in(model)
    try:
        with watched(model, lambda seen: None):
            model(torch.ones(3, 5))
    except RuntimeError:
        pass
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    assert torch.equal(model(torch.ones(3, 4)), plain)
    assert torch.equal(torch.get_rng_state(), state)


def test_inputs_of_products_with_a_tied_matrix() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(5, 3)

        def forward(self, index: Tensor) -> Tensor:
            x = self.table(index)
            return (x @ x.transpose(-1, -2)).sum() + x @ self.table.weight.T

    model, products = Tied(), list[Product]()
    with (
        torch.no_grad(),
        watched(model, lambda s: None, products.append, [model.table.weight]),
    ):
        model(torch.zeros(2, 4, dtype=torch.int64))
    assert [product.name for product in products] == ["model"]
    (found,) = products
    torch.testing.assert_close(found.output, found.x @ found.weight.T)


class Attends(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.softmax = nn.Softmax(dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.softmax(x @ x.mT / 2.0) @ x
        return F.scaled_dot_product_attention(x, x, x)


def test_attentions_are_named_by_the_module_that_attends() -> None:
    for model, name in ((Attends(), "model"), (nn.Sequential(Attends()), "0")):
        found: list[Scores] = []
        with torch.no_grad(), watched(model, lambda seen: None, hear_scores=found.append):
            model(torch.ones(2, 3, 4))
        assert [scores.name for scores in found] == [name, f"{name}#2"]
        assert [scores.z is None for scores in found] == [False, True]
