"""What every metric must keep, unasked: a new entry in METRICS is under this test at once."""

from __future__ import annotations

import functools
import inspect
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dyntools import hdf5, journal
from dyntools.assembly import series_of
from dyntools.checkpoint import Entry, OptimizerState
from dyntools.journal import Row
from dyntools.log import Curve, Log, Role
from dyntools.measurement import Measurement, Status
from dyntools.measuring import measure, measure_all
from dyntools.metrics import METRICS, PRESETS, find
from dyntools.metrics.metric import NEEDS, Metric
from dyntools.plan import Task, parse
from dyntools.problem import Problem
from dyntools.report import Report
from dyntools.snapshot import Snapshot, Tensors

every_metric = pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)


def weights(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {
        "embed.weight": (40, 16),
        "0.weight": (24, 16),
        "0.bias": (24,),
        "conv.weight": (8, 4, 3, 3),
        "norm.weight": (16,),
        "head.weight": (8, 8),
    }
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def log() -> Log:
    generator = np.random.default_rng(0)
    steps = np.arange(0, 400)
    losses = 2 * np.exp(-steps / 80) + 0.05 * generator.random(400)
    at = steps[::10]
    curves = (
        Curve("loss", steps, losses, "step", None, "log"),
        Curve("val_loss", at, losses[::10] + at / 500, "step", None, "log"),
        Curve("grad_norm", steps, 1 + generator.random(400), "step", None, "log"),
        Curve("lr", steps, np.linspace(1e-3, 0, 400), "step", None, "log"),
        Curve("train_acc", steps, np.minimum(steps / 50, 1.0), "step", None, "log"),
        Curve("val_acc", at, np.minimum(at / 200, 1.0), "step", None, "log"),
    )
    roles = (Role.train_loss, Role.validation_loss, Role.gradient_norm, Role.learning_rate)
    roles += (Role.train_accuracy, Role.validation_accuracy)
    names = {role: curve.name for role, curve in zip(roles, curves, strict=True)}
    return Log(("log",), ("jsonl",), {c.name: c for c in curves}, names, ())


class Network(nn.Module):
    """A token to eight classes, through a parameter of every kind in `weights`, and attention."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm = nn.Embedding(40, 16), nn.RMSNorm(16)
        self.add_module("0", nn.Linear(16, 24))
        self.conv = nn.Conv2d(4, 8, 3, padding=1, bias=False)
        self.head = nn.Linear(8, 8, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = torch.tanh(self.get_submodule("0")(self.norm(self.embed(tokens))))
        places = hidden.view(-1, 6, 4)  # that attend to one another
        hidden = hidden + ((places @ places.mT).softmax(-1) @ places).flatten(1)
        return self.head(0.1 * self.conv(hidden.view(-1, 4, 2, 3)).sum((2, 3)))


@functools.cache
def problem() -> Problem:
    """One for all tests, so that its guards run once."""
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randint(40, (32,), generator=generator)
    labels = torch.randint(8, (32,), generator=generator)
    batches = [(tokens[:20], labels[:20]), (tokens[20:], labels[20:])]
    held_out = [(torch.arange(24), torch.arange(24) % 8)]
    with torch.random.fork_rng():
        return Problem(
            Network(), batches, lambda z, batch: cross_entropy(z, batch[1]), validation=held_out
        )


def adam(fill: float | None = None) -> OptimizerState:
    """As after 300 steps of Adam; `fill` in place of all moments."""
    settings = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "params": tuple(weights(0))}
    moments = {name: (1e-3 * weights(4)[name], 1e-4 * weights(5)[name] ** 2) for name in weights(0)}

    if fill is not None:
        moments = {name: (0 * m + fill, 0 * v + fill) for name, (m, v) in moments.items()}

    def entry(tensor: Tensor) -> Entry:
        return Entry(tuple(tensor.shape), "float32", lambda: tensor)

    state = {
        name: {"step": entry(torch.tensor(300.0)), "exp_avg": entry(m), "exp_avg_sq": entry(v)}
        for name, (m, v) in moments.items()
    }
    return OptimizerState("adam", (settings,), state, "by name")


def gradients() -> dict[str, torch.Tensor]:
    return {name: 1e-2 * tensor for name, tensor in weights(6).items()}


def make_snapshot(device: str = "cpu") -> Snapshot:
    common = {"device": torch.device(device), "problem": problem(), "open_optimizer": adam}
    start = Snapshot(0, Tensors.of(weights(0)), **common)
    before = {name: w + 0.1 * weights(1)[name] for name, w in weights(0).items()}
    now = {name: w + 0.1 * weights(2)[name] for name, w in before.items()}
    previous = Snapshot(100, Tensors.of(before), initial=start, **common)
    beside = {"gradients": Tensors.of(gradients()), "initial": start, "previous": previous}
    after = {name: w + 0.1 * weights(7)[name] for name, w in now.items()}
    beside["final"] = Snapshot(900, Tensors.of(after), **common)
    return Snapshot(300, Tensors.of(now), log=log(), **beside, **common)


@functools.cache
def measured(name: str) -> Measurement:
    """The metric on a snapshot of its own."""
    return measure(make_snapshot(), find(name))


@functools.cache
def all_together() -> dict[str, Measurement]:
    """Every metric on one snapshot."""
    tasks = [Task(metric, metric.defaults) for metric in METRICS]
    return {row.metric: row.measurement for row in measure_all(make_snapshot(), tasks)}


def assert_same_bits(a: Measurement, b: Measurement) -> None:
    assert a.dims == b.dims
    assert a.coords == b.coords
    assert a.values.tobytes() == b.values.tobytes()
    assert a.status.tobytes() == b.status.tobytes()
    assert (a.error is None) == (b.error is None)
    if a.error is not None and b.error is not None:
        assert a.error.tobytes() == b.error.tobytes()
    assert list(a.beside) == list(b.beside)
    for key in a.beside:
        assert a.beside[key].tobytes() == b.beside[key].tobytes(), key
    assert a.skipped == b.skipped


@every_metric
def test_it_measures_something_here(metric: Metric) -> None:
    found = measured(metric.name)
    assert found.values.size
    assert (found.status == Status.ok).any()
    assert np.isfinite(found.values[found.status == Status.ok]).all()


@every_metric
def test_dims_are_those_declared(metric: Metric) -> None:
    found = measured(metric.name)
    assert found.dims == metric.dims
    if metric.layerwise:
        assert metric.dims[0] == "layer"


@every_metric
def test_nan_if_and_only_if_not_ok(metric: Metric) -> None:
    found = measured(metric.name)
    np.testing.assert_array_equal(np.isnan(found.values), found.status != Status.ok)


@every_metric
def test_every_tensor_is_measured_or_left_out_with_a_reason(metric: Metric) -> None:
    if not metric.layerwise:
        return
    found = measured(metric.name)
    there = {str(label).split("[")[0] for label in found.coords["layer"]}
    assert there | set(found.skipped) >= set(weights(0))
    assert all(reason.strip() for reason in found.skipped.values())


@every_metric
def test_same_seed_same_bits(metric: Metric) -> None:
    assert_same_bits(measured(metric.name), measure(make_snapshot(), metric))


@every_metric
def test_nothing_is_touched(metric: Metric) -> None:
    """Neither the weights nor the global random state, gradients, or default dtype."""
    snapshot = make_snapshot()
    tensors = {name: tensor.clone() for name, tensor in snapshot.params.items()}
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    measure(snapshot, metric)
    for name, tensor in snapshot.params.items():
        assert torch.equal(tensor, tensors[name])
        assert tensor.grad is None
    assert torch.equal(torch.get_rng_state(), state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002
    assert torch.get_default_dtype() == torch.float32


@every_metric
def test_alone_or_among_the_others_the_bits_are_the_same(metric: Metric) -> None:
    """What is shared between metrics must not change what any of them says."""
    assert_same_bits(all_together()[metric.name], measured(metric.name))


@every_metric
def test_round_trip_through_journal_and_hdf5(metric: Metric, tmp_path: Path) -> None:
    found = measured(metric.name)
    row = Row(metric.name, 300, 0.5, found)
    back = journal.decode_row(journal.encode_row(row)).measurement
    assert_same_bits(found, back)
    series = series_of(Task(metric, metric.defaults).entry("step"), [row])
    hdf5.write(Report({}, {metric.name: series}), tmp_path / "r.h5")
    sealed = hdf5.read(tmp_path / "r.h5")[metric.name]
    assert sealed.values[0].tobytes() == found.values.tobytes()
    assert sealed.status[0].tobytes() == found.status.tobytes()


@every_metric
@pytest.mark.parametrize("other", ["initial", "previous", "final"])
def test_it_looks_at_no_step_that_it_does_not_declare(metric: Metric, other: str) -> None:
    """A recorder keeps no copies of what no metric declares, and knows no end."""
    if other in metric.needs or other in metric.uses:
        return
    without = replace(make_snapshot(), **{other: None})
    assert_same_bits(measure(without, metric), measured(metric.name))


@every_metric
@pytest.mark.parametrize("need", NEEDS)
def test_a_missing_input_is_said_and_not_guessed(metric: Metric, need: str) -> None:
    if need not in metric.needs:
        return
    empty = Tensors({}, dict[str, torch.Tensor]().__getitem__)
    name = "open_optimizer" if need in ("optimizer", "moments") else need
    if need == "validation":  # is the problem's
        lacking = replace(make_snapshot(), problem=replace(problem(), validation=None))
    else:
        lacking = replace(make_snapshot(), **{name: empty if need == "params" else None})
    if need == "gradients":
        lacking = replace(lacking, problem=None)  # they may be the problem's
    found = measure(lacking, metric)
    assert not (found.status == Status.ok).any()
    assert "" in found.skipped
    assert len(found.skipped[""]) > 20


@every_metric
def test_nan_and_zero_weights_give_a_status_and_no_exception(metric: Metric) -> None:
    for fill in (float("nan"), float("inf"), 0.0):
        snapshot = make_snapshot()
        bad = {name: torch.full_like(tensor, fill) for name, tensor in snapshot.params.items()}
        lost = replace(snapshot, params=Tensors.of(bad), _computed={})
        if "moments" in metric.needs:
            lost = replace(lost, open_optimizer=lambda fill=fill: adam(fill))
        found = measure(lost, metric)
        np.testing.assert_array_equal(np.isnan(found.values), found.status != Status.ok)
        if fill != 0.0 and metric.layerwise:
            assert not np.isfinite(found.values).any()


@every_metric
def test_same_numbers_from_other_precisions(metric: Metric) -> None:
    """float64 copies of float32 weights hold the same numbers, so the metric must agree."""
    snapshot = make_snapshot()

    def doubled(one: Snapshot | None) -> Snapshot | None:
        if one is None:
            return None
        params = Tensors.of({name: tensor.double() for name, tensor in one.params.items()})
        return replace(one, params=params, initial=None, previous=None, _computed={})

    exact = doubled(snapshot)
    assert exact is not None
    start, before = doubled(snapshot.initial), doubled(snapshot.previous)
    a = measure(snapshot, metric)
    b = measure(replace(exact, initial=start, previous=before), metric)
    np.testing.assert_allclose(a.values, b.values, rtol=1e-9, equal_nan=True)


@pytest.mark.gpu
@every_metric
def test_same_numbers_on_cpu_and_gpu(metric: Metric) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device; none here")
    a, b = measure(make_snapshot(), metric), measure(make_snapshot("cuda"), metric)
    assert a.coords == b.coords
    if "problem" not in metric.needs:
        np.testing.assert_allclose(a.values, b.values, rtol=1e-7, equal_nan=True)
        return
    # Products of another device round in another way, and an iteration may stop one product later.
    off = 1e-4 * np.abs(a.values)
    off = off + sum(m.error if m.error is not None else 0.0 for m in (a, b))
    assert (np.abs(a.values - b.values) <= off)[~np.isnan(a.values)].all()


@every_metric
def test_it_says_what_it_is_and_whose(metric: Metric) -> None:
    for text in (metric.name, metric.unit, metric.what, metric.paper, metric.cost, metric.group):
        assert text.strip()
    assert metric.version >= 1
    assert set(metric.needs) <= set(NEEDS)
    assert metric.needs
    document = inspect.getdoc(inspect.getmodule(metric.measure))
    assert document is not None
    assert len(document) > 80
    page = Path(__file__).parents[2] / "docs" / "metrics" / f"{metric.name}.md"
    assert page.exists(), f"no docs page {page.name}"


def test_names_are_unique_and_presets_name_metrics() -> None:
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for requests in PRESETS.values():
        assert [parse(request).name for request in requests]
    assert {parse(request).name for request in PRESETS["full"]} == set(names)
    assert all(find(name).name == name for name in names)
