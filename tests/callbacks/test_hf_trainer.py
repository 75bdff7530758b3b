"""The Hugging Face Trainer: neutral, on the steps of its checkpoints, stopped when asked."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dyntools import Problem
from dyntools.analysis import analyze
from dyntools.callbacks import at, every, sinks
from dyntools.gathering import read
from dyntools.opening import open_run
from dyntools.plan import make_plan
from tests.saboteurs import ALL, GUARDED, Act, sabotage
from tests.trainings import differences, state

transformers = pytest.importorskip(
    "transformers", reason="the extra `huggingface` is not installed"
)
pytest.importorskip("accelerate", reason="the Trainer needs accelerate, of the same extra")

from dyntools.callbacks.hf_trainer import RecorderCallback, StopOnDivergence  # noqa: E402

pytestmark = [pytest.mark.host, pytest.mark.filterwarnings("ignore")]  # warnings are the host's
OPTIMIZER = ["second_moment_snr", "effective_lr", "update_snr"]
METRICS = ["weight_norm", "spectral_norm", *OPTIMIZER, "hessian_top:k=1"]


def model() -> Any:
    """GPT-2 with one block, dropout on."""
    config = transformers.GPT2Config(
        vocab_size=32, n_positions=8, n_embd=8, n_layer=1, n_head=2, attn_implementation="eager"
    )
    return transformers.GPT2LMHeadModel(config)


def tokens(count: int = 48) -> torch.Tensor:
    return torch.randint(32, (count, 8), generator=torch.Generator().manual_seed(0))


def problem() -> Problem:
    batch = {"input_ids": tokens(8), "labels": tokens(8)}
    return Problem(model(), [batch], lambda outputs, batch: outputs.loss)


def train(folder: Path, *callbacks: Any, resume: Path | None = None, **settings: Any) -> Any:
    transformers.set_seed(3)
    network = model()
    settings = {"max_steps": 12, "logging_steps": 1, "save_strategy": "no", **settings}
    arguments = transformers.TrainingArguments(
        str(folder), use_cpu=True, report_to=[], disable_tqdm=True, learning_rate=1e-2, seed=3,
        per_device_train_batch_size=4, **settings,
    )  # fmt: skip
    trainer = transformers.Trainer(
        network,
        arguments,
        train_dataset=[{"input_ids": row, "labels": row} for row in tokens()],
        callbacks=list(callbacks),
    )
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    return trainer


def end(trainer: Any) -> dict[str, object]:
    """Everything that a recorder must not change, at the end of the training."""
    return state(trainer.model, trainer.optimizer.optimizer) | {"logged": history(trainer)}


def often(gradients: bool = False) -> RecorderCallback:
    return RecorderCallback(
        metrics=["weight_norm"], schedule=every(2), budget=1, gradients=gradients
    )


def history(trainer: Any) -> list[dict[str, float]]:
    """What was logged, without times."""
    return [
        {key: value for key, value in row.items() if key in ("loss", "grad_norm", "step")}
        for row in trainer.state.log_history
    ]


@pytest.mark.parametrize(
    "settings", [{"max_steps": 200}, {"gradient_accumulation_steps": 2}, {"bf16": True}], ids=str
)
@pytest.mark.parametrize("gradients", [False, True])
def test_the_training_is_the_same_with_it(
    settings: dict[str, Any], gradients: bool, tmp_path: Path
) -> None:
    steps = settings.get("max_steps", 12)
    without = train(tmp_path, **settings)
    assert len(history(without)) == steps + 1
    before, quarter = end(without), steps // 4
    callback = RecorderCallback(
        problem=problem(), metrics=METRICS, schedule=every(quarter), budget=1, gradients=gradients
    )
    assert differences(before, end(train(tmp_path, callback, **settings))) == []
    series = read(tmp_path / "live.h5").series
    assert series["hessian_top"].steps.tolist() == [*range(0, steps + 1, quarter)]
    assert series["hessian_top"].ok.any()


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("act", ALL)
def test_each_rule_that_is_broken_is_seen(
    act: Act, gradients: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without = end(train(tmp_path, max_steps=4))
    sabotage(monkeypatch, act, guarded=False)
    assert differences(without, end(train(tmp_path, often(gradients), max_steps=4)))


@pytest.mark.parametrize("act", GUARDED)
def test_what_the_context_guards_is_put_back(
    act: Act, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without = end(train(tmp_path, max_steps=4))
    sabotage(monkeypatch, act, guarded=True)
    assert differences(without, end(train(tmp_path, often(), max_steps=4))) == []


def test_a_training_that_goes_on_counts_on_and_gives_the_same_numbers(tmp_path: Path) -> None:
    """The Trainer restores random numbers and order, so both parts are those of one training."""
    settings = {"metrics": ["layer_rotation", "update_snr"], "schedule": every(4), "budget": 1}
    save = {"save_strategy": "steps", "save_steps": 4}
    train(tmp_path / "whole", RecorderCallback(**settings))
    whole = read(tmp_path / "whole" / "live.h5").series

    class Breaks(transformers.TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            control.should_training_stop = state.global_step == 6

    train(tmp_path, RecorderCallback(**settings), Breaks(), **save)
    transformers.set_seed(3)
    start = model().state_dict()
    callback = RecorderCallback(initial=start, **settings)
    train(tmp_path, callback, resume=tmp_path / "checkpoint-4", **save)
    parts = [read(tmp_path / name).series for name in ("live-1.jsonl", "live.h5")]
    rotation, snr = ([part[m] for part in parts] for m in ("layer_rotation", "update_snr"))
    assert [series.steps.tolist() for series in rotation] == [[0, 4], [4, 8, 12]]
    wanted = whole["layer_rotation"].values
    assert rotation[0].values.tobytes() == wanted[:2].tobytes()
    assert rotation[1].values.tobytes() == wanted[1:].tobytes()
    # The step before the first is not known after a break; from the second on it is.
    assert snr[1].ok[1:].any()
    assert snr[1].values[1:].tobytes() == whole["update_snr"].values[2:].tobytes()


def test_it_measures_what_the_checkpoint_of_that_step_holds(tmp_path: Path) -> None:
    # Not step 0: eigenvalues start from the vectors of the step before, which no checkpoint has.
    callback = RecorderCallback(problem=problem(), metrics=METRICS, schedule=at(4, 8, 12), budget=1)
    train(tmp_path, callback, save_strategy="steps", save_steps=4)
    live = read(tmp_path / "live.h5")
    run = open_run(tmp_path)
    assert run.steps == (4, 8, 12)
    plan = make_plan(run, METRICS, problem=problem())
    report = analyze(run, plan, tmp_path / "saved.h5")
    for metric in ("weight_norm", "spectral_norm", *OPTIMIZER, "hessian_top"):
        ours, theirs = live.series[metric], report.series[metric]
        assert theirs.ok.any(), metric
        assert ours.steps.tolist() == [*run.steps]
        if "layer" not in theirs.dims:
            np.testing.assert_array_equal(ours.values, theirs.values, metric)
            continue
        # safetensors are sorted, a running model is in its own order; tied heads are stored once.
        assert set(ours.coords["layer"]) == set(theirs.coords["layer"])
        order = [ours.coords["layer"].index(name) for name in theirs.coords["layer"]]
        np.testing.assert_array_equal(ours.values[:, order], theirs.values, metric)


def test_before_gradients_are_cleared_the_learning_rate_is_that_of_the_step(
    tmp_path: Path,
) -> None:
    rates = {}
    for gradients in (False, True):
        callback = RecorderCallback(
            metrics=["effective_lr"], schedule=every(4), budget=1, gradients=gradients,
            path=tmp_path / f"{gradients}.jsonl",
        )  # fmt: skip
        train(tmp_path, callback)
        series = read(tmp_path / f"{gradients}.h5").series["effective_lr"]
        rates[gradients] = dict(zip(series.steps.tolist(), series.values, strict=True))
    # Linear decay over 12 steps: step 4 was made with 9/12 of the rate, step 5 will have 8/12.
    np.testing.assert_allclose(rates[True][4] / rates[False][4], 9 / 8, rtol=1e-6)


def test_what_the_trainer_logs_is_taken_up_and_ours_given_back(tmp_path: Path) -> None:
    callback = RecorderCallback(metrics=["weight_norm"], schedule=every(4), budget=1)

    transformers.set_seed(3)
    arguments = transformers.TrainingArguments(
        str(tmp_path), use_cpu=True, report_to=[], disable_tqdm=True, max_steps=8, logging_steps=2
    )
    rows = [{"input_ids": row, "labels": row} for row in tokens()]
    trainer = transformers.Trainer(model(), arguments, train_dataset=rows, callbacks=[callback])
    callback.add_sink(sinks.hugging_face(trainer))
    trainer.train()
    report = read(tmp_path / "live.h5")
    assert report.log is not None
    assert not any(name.startswith("dyn/") for name in report.log.curves)
    losses = {row["step"]: row["loss"] for row in trainer.state.log_history if "loss" in row}
    curve = report.log.curves["loss"]
    assert dict(zip(curve.steps.tolist(), curve.values.tolist(), strict=True)) == losses
    name = "dyn/weight_norm/transformer.wte.weight"
    ours = {row["step"]: row[name] for row in trainer.state.log_history if name in row}
    series = report.series["weight_norm"]
    layer = series.coords["layer"].index("transformer.wte.weight")
    assert ours == dict(zip(series.steps.tolist(), series.values[:, layer].tolist(), strict=True))


class Breaks(transformers.TrainerCallback):  # type: ignore[misc]
    """Multiplies the embeddings at step 30."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def on_step_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        if state.global_step == 30:
            with torch.no_grad():
                given["model"].transformer.wte.weight.mul_(self.factor)


@pytest.mark.parametrize(("factor", "said"), [(1e4, "above the"), (math.inf, "not finite")])
def test_it_stops_at_divergence(factor: float, said: str, tmp_path: Path) -> None:
    callback = StopOnDivergence(metrics=["divergence"], schedule=every(2), budget=1)
    trainer = train(tmp_path, callback, Breaks(factor), max_steps=200)
    assert said in callback.reason
    assert 30 < trainer.state.global_step < 100


def test_losses_that_the_trainer_writes_as_0_are_told(tmp_path: Path) -> None:
    callback = RecorderCallback(metrics=["divergence"], schedule=every(4), budget=1)
    trainer = train(tmp_path, callback, Breaks(math.nan), max_steps=40)
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    assert min(losses[:30]) > 0
    assert losses[30:] == [0] * 10
    log = read(tmp_path / "live.h5").log
    assert log is not None
    np.testing.assert_array_equal(np.isnan(log.curves["loss"].values), np.arange(1, 41) > 30)
