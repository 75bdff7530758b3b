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
from dyntools.hdf5 import read
from dyntools.opening import open_run
from dyntools.plan import make_plan

transformers = pytest.importorskip(
    "transformers", reason="the extra `huggingface` is not installed"
)
pytest.importorskip("accelerate", reason="the Trainer needs accelerate, of the same extra")

from dyntools.callbacks.hf_trainer import RecorderCallback, StopOnDivergence  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # the host's own
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


def train(folder: Path, *callbacks: Any, **settings: Any) -> Any:
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
    trainer.train()
    return trainer


def history(trainer: Any) -> list[dict[str, float]]:
    """What was logged, without times."""
    return [
        {key: value for key, value in row.items() if key in ("loss", "grad_norm", "step")}
        for row in trainer.state.log_history
    ]


@pytest.mark.parametrize(
    "settings", [{}, {"gradient_accumulation_steps": 2}, {"bf16": True}], ids=str
)
@pytest.mark.parametrize("gradients", [False, True])
def test_the_training_is_the_same_with_it(
    settings: dict[str, Any], gradients: bool, tmp_path: Path
) -> None:
    without = train(tmp_path, **settings)
    random = torch.get_rng_state()
    callback = RecorderCallback(
        problem=problem(), metrics=METRICS, schedule=every(3), budget=1, gradients=gradients
    )
    watched = train(tmp_path, callback, **settings)
    assert torch.equal(torch.get_rng_state(), random)
    assert history(watched) == history(without)
    assert len(history(watched)) == 13
    for name, tensor in without.model.state_dict().items():
        assert torch.equal(watched.model.state_dict()[name], tensor), name
    ours, theirs = (t.optimizer.state_dict()["state"] for t in (watched, without))
    for index, values in theirs.items():
        for key, value in values.items():
            assert torch.equal(ours[index][key], value), key
    series = read(tmp_path / "live.h5").series
    assert series["hessian_top"].steps.tolist() == [0, 3, 6, 9, 12]
    assert series["hessian_top"].ok.any()


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


def test_it_stops_at_divergence(tmp_path: Path) -> None:
    class Breaks(transformers.TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            if state.global_step == 30:
                with torch.no_grad():
                    given["model"].transformer.wte.weight.mul_(1e4)

    callback = StopOnDivergence(metrics=["divergence"], schedule=every(2), budget=1)
    trainer = train(tmp_path, callback, Breaks(), max_steps=200)
    assert "Training loss" in callback.reason
    assert 30 < trainer.state.global_step < 100
    assert not math.isnan(trainer.state.log_history[0]["loss"])
