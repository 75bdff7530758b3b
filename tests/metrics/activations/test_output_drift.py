"""KL between the predictions of two checkpoints: logits written down, and the Fisher matrix."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dyntools.activations.patterns import drawn_groups
from dyntools.errors import CheckpointError
from dyntools.live import snapshot_of
from dyntools.measurement import Status
from dyntools.measuring import measure, measure_all
from dyntools.metrics import find
from dyntools.plan import parse
from dyntools.problem import Problem
from dyntools.snapshot import Snapshot, Tensors
from tests.metrics.activations.probes import FLOAT64, Through, through

DRIFT = find("output_drift")
X = torch.randn(120, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.arange(120) % 6


def shifted(offset: Tensor, step: int, labels: Tensor = Y) -> Snapshot:
    """A model whose logits are 3 z + offset, z (120, 6)."""
    z = torch.randn(120, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    model = Through(nn.Identity(), 6)
    with torch.no_grad():
        model.zero.copy_(offset)
    batches = list(zip((3 * z).split(50), labels.split(50), strict=True))
    problem = Problem(model, batches, lambda o, b: cross_entropy(o, b[1]), engine=FLOAT64)
    return snapshot_of(model, step, problem=problem)


def numpy_logits() -> np.ndarray:
    z = torch.randn(120, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return (3 * z).numpy()


def softmax(z: np.ndarray) -> np.ndarray:
    return np.exp(z) / np.exp(z).sum(-1, keepdims=True)


OFFSETS = torch.zeros(6).double(), torch.linspace(-1, 1, 6).double()


def test_against_numpy_with_its_companions() -> None:
    before, now = (shifted(o, s) for o, s in zip(OFFSETS, (100, 140), strict=True))
    found = measure(replace(now, previous=before), DRIFT)
    p, q = (softmax(numpy_logits() + offset.numpy()) for offset in OFFSETS)
    each = (p * np.log(p / q)).sum(1)
    assert float(found.values) == pytest.approx(each.mean(), rel=1e-9)
    assert float(found.beside["reverse"]) == pytest.approx((q * np.log(q / p)).sum(1).mean())
    changed = (p.argmax(1) != q.argmax(1)).mean()
    assert 0 < changed == float(found.beside["changed"])
    assert float(found.beside["per_step"]) == pytest.approx(each.mean() / 40)
    assert found.beside["between"] == 40
    assert found.beside["terms"] == 120
    assert found.error is not None
    # 8 groups of 15 examples: the jackknife of a mean is the standard error of the group means.
    groups = drawn_groups(120).numpy()
    means = np.array([each[groups == group].mean() for group in range(8)])
    assert float(found.error) == pytest.approx(means.std(ddof=1) / 8**0.5)


def test_terms_that_do_not_count_are_no_part_of_it() -> None:
    labels = torch.where(torch.arange(120) % 3 == 0, -100, Y)
    before, now = (shifted(o, s, labels) for o, s in zip(OFFSETS, (0, 1), strict=True))
    found = measure(replace(now, previous=before), DRIFT)
    p, q = (softmax(numpy_logits() + offset.numpy()) for offset in OFFSETS)
    each = (p * np.log(p / q)).sum(1)[np.arange(120) % 3 != 0]
    assert float(found.values) == pytest.approx(each.mean(), rel=1e-9)
    assert found.beside["terms"] == 80


def test_equal_checkpoints_do_not_drift() -> None:
    before, now = (shifted(OFFSETS[1], s) for s in (0, 10))
    found = measure(replace(now, previous=before), DRIFT)
    assert float(found.values) == 0.0
    assert found.beside["changed"] == 0.0
    assert found.status == Status.ok


def test_the_temperature_is_that_of_the_softmax() -> None:
    before, now = (shifted(o, s) for o, s in zip(OFFSETS, (0, 1), strict=True))
    found = measure(replace(now, previous=before), DRIFT, temperature=5.0)
    p, q = (softmax((numpy_logits() + offset.numpy()) / 5) for offset in OFFSETS)
    assert float(found.values) == pytest.approx(25 * (p * np.log(p / q)).sum(1).mean(), rel=1e-9)


def linear(weight: Tensor, step: int, **fields: Snapshot) -> Snapshot:
    model = nn.Linear(4, 6, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(weight)
    problem = Problem(model, [(X, Y)], lambda z, b: cross_entropy(z, b[1]), engine=FLOAT64)
    return snapshot_of(model, step, problem=problem, **fields)


@pytest.mark.parametrize("key", ["value", "reverse"])
def test_to_second_order_it_is_half_the_fisher_form_of_the_step(key: str) -> None:
    """F of a linear softmax model is the mean of xxᵀ ⊗ (diag p - ppᵀ), here as a dense matrix."""
    generator = torch.Generator().manual_seed(5)
    weight = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    step = 1e-4 * torch.randn(6, 4, generator=generator, dtype=torch.float64)
    found = measure(linear(weight + step, 1, previous=linear(weight, 0)), DRIFT)
    x, p = X.numpy(), softmax((X @ weight.T).numpy())
    spread = np.einsum("na,ab->nab", p, np.eye(6)) - np.einsum("na,nb->nab", p, p)
    fisher = np.einsum("nab,ni,nj->aibj", spread, x, x).reshape(24, 24) / len(x)
    delta = step.numpy().reshape(24)
    value = found.values if key == "value" else found.beside[key]
    assert float(value) == pytest.approx(0.5 * delta @ fisher @ delta, rel=1e-3)


def test_of_a_step_that_is_over_only_predictions_stay() -> None:
    """Rows, masks and features of a pass would stay as long as the run, for step 0 of most runs."""
    before = linear(torch.randn(6, 4, generator=torch.Generator().manual_seed(1)).double(), 0)
    measure(before, "output_logits")
    assert before.known("activations") is None
    assert before.known("predictions") is not None
    before.forget_vectors()
    assert before.known("predictions") is None


def test_half_the_hessian_form_of_a_linear_softmax_model() -> None:
    """The Hessian of cross-entropy by logits knows no labels, so here it is the Fisher matrix."""
    generator = torch.Generator().manual_seed(6)
    weight = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    step = 1e-3 * torch.randn(6, 4, generator=generator, dtype=torch.float64)
    now = linear(weight + step, 1, previous=linear(weight, 0))
    middle = linear(weight, 0)
    bent = float(step.flatten() @ middle.risk().product(step.flatten()))
    assert float(measure(now, DRIFT).values) == pytest.approx(0.5 * bent, rel=0.02)


def test_another_loss_is_refused_with_a_sentence() -> None:
    snapshot = through(nn.ReLU(), [torch.randn(5, 3, dtype=torch.float64)])
    found = measure(replace(snapshot, previous=snapshot), DRIFT)
    assert found.status == Status.failed
    assert "cross-entropy" in found.skipped[""]


def test_the_first_checkpoint_has_nothing_before_it() -> None:
    found = measure(linear(torch.zeros(6, 4), 0), DRIFT)
    assert found.status == Status.skipped
    assert "checkpoint before" in found.skipped[""]


def test_logits_of_nan_are_said() -> None:
    before, now = linear(torch.zeros(6, 4), 0), linear(torch.ones(6, 4), 1)
    bad = Tensors.of({"weight": torch.full((6, 4), float("nan"), dtype=torch.float64)})
    found = measure(replace(now, previous=replace(before, params=bad, _computed={})), DRIFT)
    assert found.status == Status.failed
    assert found.skipped[""] == "at step 0: the logits hold NaN or inf"


def test_a_checkpoint_before_that_cannot_be_read_is_said() -> None:
    def damaged(name: str) -> Tensor:
        raise CheckpointError("the file ends early", found=name)

    before, now = linear(torch.zeros(6, 4), 0), linear(torch.ones(6, 4), 1)
    lost = replace(before, params=Tensors(before.params.shapes, damaged))
    found = measure(replace(now, previous=lost), DRIFT)
    assert "the checkpoint before, of step 0, cannot be read" in found.skipped[""]


def test_a_pass_that_was_made_is_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from dyntools.activations import probe_pass

    passes, original = [], probe_pass.activations_of

    def counted(*arguments: object, **settings: object) -> object:
        passes.append(1)
        return original(*arguments, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(probe_pass, "activations_of", counted)
    tasks = [parse("output_logits"), parse("output_drift")]
    before, now = linear(torch.zeros(6, 4), 0), linear(torch.ones(6, 4), 1)
    list(measure_all(before, tasks))
    *_, row = measure_all(replace(now, previous=before), tasks)
    assert len(passes) == 2
    bare = replace(now, previous=replace(before, problem=None, _computed={}), _computed={})
    *_, again = measure_all(bare, tasks)  # a copy that no metric has seen, and knows no problem
    assert len(passes) == 4
    assert again.measurement.values == row.measurement.values
    assert bare.previous is not None
    assert bare.previous.known("risk") is None
