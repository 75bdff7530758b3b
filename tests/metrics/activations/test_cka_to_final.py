"""CKA with the end of a run: models whose outputs are written down, and what the end may be."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dyntools.errors import CheckpointError
from dyntools.live import snapshot_of
from dyntools.measurement import Status
from dyntools.measuring import measure, measure_all
from dyntools.metrics import find
from dyntools.plan import parse
from dyntools.problem import Problem
from dyntools.snapshot import Snapshot, Tensors
from tests.activations.test_representations import textbook
from tests.metrics.activations.probes import FLOAT64

CKA = find("cka_to_final")
X = torch.randn(90, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def linear(seed: int) -> nn.Sequential:
    """Two layers without anything between, (b, 12) to (b, 5)."""
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Linear(12, 20), nn.Linear(20, 5)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return model


def at(model: nn.Module, step: int = 0, **fields: Snapshot) -> Snapshot:
    batches = list(X.split(40))
    problem = Problem(model, batches, lambda z, _: z.square().mean(), engine=FLOAT64)
    return snapshot_of(model, step, problem=problem, **fields)


def test_against_numpy_on_the_outputs_themselves() -> None:
    now, end = linear(1), linear(2)
    found = measure(at(now, final=at(end, 100)), CKA)
    assert found.coords["layer"] == ("0", "1")
    with torch.no_grad():
        for i, wanted in enumerate((now[0](X), now(X))):
            other = end[0](X) if i == 0 else end(X)
            assert found.values[i] == pytest.approx(textbook(wanted.numpy(), other.numpy()))
    assert found.beside["examples"].tolist() == [90.0, 90.0]
    assert (found.beside["biased"] > found.values).all()
    assert found.error is not None
    assert (found.error > 0).all()


def test_it_is_one_at_the_end_itself() -> None:
    end = at(linear(1), 100)
    found = measure(replace(end, final=end), CKA)
    np.testing.assert_allclose(found.values, 1.0, rtol=0, atol=1e-12)
    assert found.error is not None
    assert found.error.max() < 1e-12


def test_a_rotated_and_scaled_layer_is_the_same() -> None:
    now, end = linear(1), linear(1)
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((20, 20)))[0]
    with torch.no_grad():
        end[0].weight.copy_(7.0 * torch.from_numpy(rotation) @ now[0].weight)
    found = measure(at(now, final=at(end, 100)), CKA)
    assert found.values[0] == pytest.approx(1.0, abs=1e-10)
    assert found.values[1] < 0.9


def test_convolutions_are_taken_over_channels_and_positions() -> None:
    images = torch.randn(40, 1, 8, 8, generator=torch.Generator().manual_seed(3))
    models = [nn.Sequential(nn.Conv2d(1, 40, 3, padding=1), nn.Flatten()) for _ in range(2)]

    def taken(model: nn.Module) -> Snapshot:
        problem = Problem(model, [images], lambda z, _: z.square().mean(), engine=FLOAT64)
        return snapshot_of(model, 0, problem=problem)

    found = measure(replace(taken(models[0]), final=taken(models[1])), CKA)
    assert found.coords["layer"] == ("0",)
    step = next(s for s in range(3, 99) if math.gcd(s, 40 * 64) == 1)  # 2560 outputs, 1024 kept
    with torch.no_grad():
        x, y = (m.double()(images.double())[:, ::step].numpy() for m in models)
    assert found.values[0] == pytest.approx(textbook(x, y))


def test_dead_and_broken_layers_are_said_and_the_others_measured() -> None:
    now, end = linear(1), linear(2)
    with torch.no_grad():
        now[1].weight.zero_()
    found = measure(at(now, final=at(end, 100)), CKA)
    assert found.status.tolist() == [Status.ok, Status.failed]
    assert "same for all examples" in found.skipped["1"]
    found = measure(at(end, final=at(now, 100)), CKA)
    assert found.skipped["1"].startswith("at step 100: ")


class Positions(nn.Module):
    """Tokens (b, 6) and their positions to classes of each."""

    def __init__(self) -> None:
        super().__init__()
        self.wte, self.wpe, self.head = nn.Embedding(9, 4), nn.Embedding(6, 4), nn.Linear(4, 9)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1])))


def language(lengths: tuple[int, ...]) -> Snapshot:
    model = Positions()
    batches = [torch.randint(9, (6, length)) for length in lengths]
    problem = Problem(
        model,
        batches,
        lambda z, batch: cross_entropy(z[:, :-1].flatten(0, 1), batch[:, 1:].flatten()),
    )
    return snapshot_of(model, 0, problem=problem)


def test_an_embedding_of_positions_is_left_out_also_with_as_many_examples() -> None:
    snapshot = language((6,))
    found = measure(replace(snapshot, final=snapshot), CKA)
    assert found.coords["layer"] == ("wte", "head")
    assert "does not depend on the examples" in found.skipped["wpe"]


def test_examples_of_changing_length_are_refused_with_a_sentence() -> None:
    snapshot = language((6, 5))
    found = measure(replace(snapshot, final=snapshot), CKA)
    assert found.values.size == 0
    assert "different numbers of outputs" in found.skipped["head"]
    assert "for each example" in found.skipped[""]


def test_a_last_checkpoint_that_cannot_be_read_is_said_at_every_step() -> None:
    def damaged(name: str) -> Tensor:
        raise CheckpointError("the file ends early", found=f"while reading {name}")

    now, end = at(linear(1)), at(linear(2), 100)
    lost = replace(end, params=Tensors(end.params.shapes, damaged))
    for _ in range(2):
        found = measure(replace(now, final=lost), CKA)
        assert "the last checkpoint, of step 100, cannot be read" in found.skipped[""]


def test_a_last_checkpoint_of_nan_is_said() -> None:
    now, end = at(linear(1)), at(linear(2), 100)
    bad = {name: torch.full_like(p, math.nan) for name, p in end.params.items()}
    found = measure(replace(now, final=replace(end, params=Tensors.of(bad))), CKA)
    assert not (found.status == Status.ok).any()
    assert "the last checkpoint, of step 100: The loss" in found.skipped[""]


def test_without_a_last_checkpoint_it_says_what_it_lacks() -> None:
    found = measure(at(linear(1)), CKA)
    assert "last checkpoint" in found.skipped[""]


def test_one_pass_serves_all_metrics_and_the_end_keeps_only_products(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from dyntools.activations import probe_pass

    passes, original = [], probe_pass.activations_of

    def counted(*arguments: object, **settings: object) -> object:
        passes.append(settings)
        return original(*arguments, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(probe_pass, "activations_of", counted)
    end = at(linear(2), 100)
    tasks = [parse(name) for name in ("cka_to_final", "activation_scale", "feature_rank")]
    for seed in (3, 4):
        rows = list(measure_all(at(linear(seed), final=end), tasks))
        assert all((row.measurement.status == Status.ok).all() for row in rows)
    assert len(passes) == 3  # two steps and the end
    assert end.known("risk") is None
    assert end.known("activations") is None
    kept = end.known("representations")
    assert isinstance(kept, dict)
    assert all(found.gram.shape == (90, 90) and not found.rows for found in kept.values())
