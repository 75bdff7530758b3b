"""A running optimizer, whatever its implementation, as the state that a checkpoint would hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
import torch
from torch import Tensor, nn

from dyntools.layer_kinds import Kinds
from dyntools.live import snapshot_of, state_of
from dyntools.moments import Moments, moments_of, not_adam

NAMES = ("0.weight", "0.bias", "2.weight", "2.bias")


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))


def stepped(
    network: nn.Module, made: Callable[[Iterable[Tensor]], torch.optim.Optimizer]
) -> torch.optim.Optimizer:
    generator = torch.Generator().manual_seed(1)
    optimizer = made(network.parameters())
    for _ in range(3):
        for p in network.parameters():
            p.grad = torch.randn(p.shape, generator=generator)
        optimizer.step()
    return optimizer


class Holding(torch.optim.Optimizer):
    """An optimizer with the state of another library: `held` by parameter, in their order."""

    def __init__(self, network: nn.Module, held: Iterable[dict[str, object]], **settings: object):
        super().__init__(network.parameters(), {"lr": 0.1, **settings})
        for p, state in zip(network.parameters(), held, strict=True):
            self.state[p] = state


def found(network: nn.Module, optimizer: torch.optim.Optimizer, name: str) -> Moments | str:
    shape = tuple(dict(network.named_parameters())[name].shape)
    return moments_of(state_of(network, optimizer), name, shape)


@pytest.mark.parametrize(
    "settings", [{"foreach": False}, {"foreach": True}, {"fused": True}, {"lr": torch.tensor(1e-3)}]
)
def test_every_implementation_of_torch_has_the_same_moments(settings: dict[str, object]) -> None:
    """v and its settings against Adam written out; a rate kept in a tensor is a number."""
    network = model()
    optimizer = stepped(network, lambda p: torch.optim.AdamW(p, betas=(0.9, 0.95), **settings))
    generator = torch.Generator().manual_seed(1)
    v = {name: torch.zeros(p.shape) for name, p in network.named_parameters()}
    for _ in range(3):
        for name, p in network.named_parameters():
            gradient = torch.randn(p.shape, generator=generator)
            v[name] = 0.95 * v[name] + 0.05 * gradient**2
    for name in NAMES:
        moments = found(network, optimizer, name)
        assert isinstance(moments, Moments)
        torch.testing.assert_close(moments.v(), v[name])
        assert (moments.steps, moments.beta2) == (3.0, 0.95)
        assert moments.lr == pytest.approx(1e-3)
    assert state_of(network, optimizer).family == "adam"


def test_betas_in_tensors_are_numbers() -> None:
    network = model()
    betas = (torch.tensor(0.5), torch.tensor(0.75))
    optimizer = stepped(network, lambda p: torch.optim.Adam(p, betas=betas, foreach=False))
    moments = found(network, optimizer, "0.weight")
    assert isinstance(moments, Moments)
    assert (moments.beta1, moments.beta2) == (0.5, 0.75)


def test_eight_bits_are_the_numbers_they_stand_for() -> None:
    """As bitsandbytes keeps them: codes, a table, one scale a block; small tensors in float32."""
    network = nn.Sequential(nn.Linear(64, 80))
    generator = torch.Generator().manual_seed(0)
    table, scales = torch.linspace(0, 1, 256), torch.rand(20, generator=generator)
    codes = torch.randint(256, (80, 64), dtype=torch.uint8, generator=generator)
    large = {"step": 3}
    for number in "12":
        large |= {f"state{number}": codes, f"qmap{number}": table, f"absmax{number}": scales}
    small = {"step": 3, "state1": torch.ones(80), "state2": 2 * torch.ones(80)}
    optimizer = Holding(network, [large, small], betas=(0.9, 0.999), eps=1e-8)
    assert state_of(network, optimizer).family == "adam8bit"
    weight, bias = (found(network, optimizer, f"0.{part}") for part in ("weight", "bias"))
    assert isinstance(weight, Moments)
    assert isinstance(bias, Moments)
    flat = [table[c] * scales[i // 256] for i, c in enumerate(codes.flatten().tolist())]
    assert torch.equal(weight.v(), torch.stack(flat).reshape(80, 64))
    assert torch.equal(bias.v(), 2 * torch.ones(80))


COMPRESSED = {
    "SlimAdam": ({"exp_avg": (5, 6), "exp_avg_sq": (5, 1)}, "adam", "(5, 1) for (5, 6)"),
    "SlimAdam, factored": (
        {"exp_avg": (5, 6), "exp_avg_sq_row": (5, 1), "exp_avg_sq_col": (1, 6)},
        "adam",
        "rows and over columns",
    ),
    "NovoGrad": ({"exp_avg": (5, 6), "exp_avg_sq": ()}, "adam", "() for (5, 6)"),
    "Adam-mini": ({"m": (5, 6), "vmean": (5, 1)}, "adam-mini", "one number a block"),
    "Adafactor": ({"exp_avg_sq_row": (5,), "exp_avg_sq_col": (6,)}, "adafactor", "factored"),
    "Lion": ({"exp_avg": (5, 6)}, "lion", "not Adam but lion"),
    "GaLore": (
        {"exp_avg": (2, 6), "exp_avg_sq": (2, 6), "projector": None},
        "projected",
        "projected or rotated",
    ),
    "another": ({"p": (5, 6), "q": (5, 6)}, "unknown", "its state holds p, q, step"),
}


@pytest.mark.parametrize("name", COMPRESSED)
def test_states_that_are_compressed_already_are_said_to_be(name: str) -> None:
    held, family, sentence = COMPRESSED[name]
    network = nn.Linear(6, 5, bias=False)
    state: dict[str, object] = {
        key: object() if shape is None else torch.ones(shape) for key, shape in held.items()
    }
    settings = {} if family == "adafactor" else {"betas": (0.9, 0.95)}
    optimizer = Holding(network, [{"step": 3, **state}], **settings)
    told = state_of(network, optimizer)
    assert told.family == family
    why = moments_of(told, "weight", (5, 6))
    assert isinstance(why, str)
    assert sentence in why


def test_a_mixed_state_of_slim_adam_is_read_where_it_is_full() -> None:
    network = model()[0]
    rows = {"exp_avg": torch.ones(5, 6), "exp_avg_sq_row": torch.ones(5, 1)}
    full = {"exp_avg": torch.ones(5), "exp_avg_sq": torch.full((5,), 4.0)}
    held = [{"step": 3, **rows, "exp_avg_sq_col": torch.ones(1, 6)}, {"step": 3, **full}]
    optimizer = Holding(network, held, betas=(0.9, 0.95))
    assert state_of(network, optimizer).family == "adam"
    bias = found(network, optimizer, "bias")
    assert isinstance(bias, Moments)
    assert torch.equal(bias.v(), torch.full((5,), 4.0))
    assert "compressed already" in str(found(network, optimizer, "weight"))


def test_adafactor_with_momentum_is_not_taken_for_adam() -> None:
    network = model()[0]
    rows = {"exp_avg": torch.ones(5, 6), "exp_avg_sq_row": torch.ones(5)}
    held = [
        {"step": 3, "RMS": 1.0, **rows, "exp_avg_sq_col": torch.ones(6)},
        {"step": 3, "RMS": 1.0, "exp_avg": torch.ones(5), "exp_avg_sq": torch.ones(5)},
    ]
    state = state_of(network, Holding(network, held, beta1=0.9, decay_rate=-0.8))
    assert state.family == "adafactor"
    assert "factored" in not_adam(state)


def test_what_the_model_does_not_hold_is_counted() -> None:
    network, other = model(), model()
    optimizer = stepped(
        nn.ModuleList([network, other]), lambda p: torch.optim.AdamW(p, foreach=False)
    )
    state = state_of(network, optimizer)
    assert tuple(state.state) == NAMES
    assert "4 of the optimizer are none of them" in state.naming


def test_a_snapshot_has_the_state_and_the_kinds_it_was_given() -> None:
    network = model()
    optimizer = stepped(network, torch.optim.AdamW)
    kinds = Kinds((("2.weight", "head"),))
    snapshot = snapshot_of(network, 7, optimizer=optimizer, kinds=kinds)
    assert (snapshot.step, snapshot.kinds) == (7, kinds)
    assert snapshot.moments is not None
    assert snapshot.tensors() == NAMES
    assert snapshot_of(network, 7).moments is None
