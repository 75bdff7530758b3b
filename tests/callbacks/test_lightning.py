"""Lightning: neutral, on the steps of its checkpoints, closed however the training ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from dyntools.analysis import analyze
from dyntools.callbacks import every, sinks
from dyntools.hdf5 import read
from dyntools.opening import open_run
from dyntools.plan import make_plan
from tests.processes import python

lightning = pytest.importorskip("lightning", reason="the extra `lightning` is not installed")

from dyntools.callbacks.lightning import RecorderCallback, StopOnDivergence  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # the host's own
METRICS = ["weight_norm", "spectral_norm", "second_moment_snr", "effective_lr", "update_snr"]


class Module(lightning.LightningModule):  # type: ignore[misc]
    """A small network with dropout and batch normalisation; keeps the loss of every batch."""

    def __init__(self, lr: float = 1e-2, lost_at: int = 10**9) -> None:
        super().__init__()
        layers = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3)
        self.net, self.losses = nn.Sequential(*layers), []
        self.lr, self.lost_at = lr, lost_at

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        loss = nn.functional.cross_entropy(self.net(batch[0]), batch[1])
        loss = loss * 100.0 if self.global_step >= self.lost_at else loss
        self.losses.append(loss.item())
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Any, index: int) -> None:
        self.log("val_loss", nn.functional.cross_entropy(self.net(batch[0]), batch[1]))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.lr)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


def fit(folder: Path, *callbacks: Any, module: Module | None = None, **settings: Any) -> Module:
    lightning.seed_everything(3, verbose=False)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 6, generator=generator)
    data = TensorDataset(x, torch.randint(3, (64,), generator=generator))
    module = module or Module()
    settings = {"logger": False, "max_epochs": 3, **settings}
    trainer = lightning.Trainer(
        accelerator="cpu", default_root_dir=folder, callbacks=list(callbacks), log_every_n_steps=1,
        enable_checkpointing=any(hasattr(c, "best_model_path") for c in callbacks),
        enable_progress_bar=False, enable_model_summary=False, **settings,
    )  # fmt: skip
    for callback in callbacks:
        if isinstance(callback, RecorderCallback) and trainer.loggers:
            callback.add_sink(sinks.lightning(trainer))
    trainer.fit(module, DataLoader(data, batch_size=8, shuffle=True), DataLoader(data, 32))
    return module


@pytest.mark.parametrize(
    "settings", [{}, {"accumulate_grad_batches": 3}, {"precision": "bf16-mixed"}], ids=str
)
def test_the_training_is_the_same_with_it(settings: dict[str, Any], tmp_path: Path) -> None:
    without = fit(tmp_path, **settings)
    state = torch.get_rng_state()
    callback = RecorderCallback(metrics="quick", schedule=every(2), budget=1)
    watched = fit(tmp_path, callback, **settings)
    assert watched.losses == without.losses
    assert torch.equal(torch.get_rng_state(), state)
    for name, tensor in without.state_dict().items():
        assert torch.equal(watched.state_dict()[name], tensor), name
    ours, theirs = (m.trainer.optimizers[0].state_dict()["state"] for m in (watched, without))
    for index, values in theirs.items():
        for key, value in values.items():
            assert torch.equal(ours[index][key], value), key
    assert len(read(tmp_path / "live.h5").series["weight_norm"].steps) > 1


@pytest.mark.parametrize("accumulate", [1, 2])
def test_it_measures_what_the_checkpoint_of_that_step_holds(
    accumulate: int, tmp_path: Path
) -> None:
    saved = lightning.pytorch.callbacks.ModelCheckpoint(
        dirpath=tmp_path / "saved", every_n_train_steps=4, save_top_k=-1
    )
    callback = RecorderCallback(metrics=METRICS, schedule=every(4), budget=1)
    fit(tmp_path, callback, saved, accumulate_grad_batches=accumulate)
    live = read(tmp_path / "live.h5")
    run = open_run(tmp_path / "saved")
    assert len(run.steps) == 24 // accumulate // 4
    report = analyze(run, make_plan(run, METRICS), tmp_path / "saved.h5")
    for metric in METRICS:
        ours, theirs = live.series[metric], report.series[metric]
        assert theirs.ok.any()
        assert ours.coords == theirs.coords
        assert ours.steps.tolist() == [0, *run.steps]
        np.testing.assert_array_equal(ours.values[1:], theirs.values, metric)
        for key, array in theirs.beside.items():
            if "initial" not in key:  # a live run knows its start, these checkpoints do not
                np.testing.assert_array_equal(ours.beside[key][1:], array, f"{metric} {key}")


def test_what_the_module_logs_is_taken_up(tmp_path: Path) -> None:
    module = fit(tmp_path, RecorderCallback(metrics=["weight_norm"], schedule=every(8), budget=1))
    log = read(tmp_path / "live.h5").log
    assert log is not None
    training = log.curves["train_loss"]
    assert training.steps.tolist() == list(range(1, 25))
    np.testing.assert_array_equal(training.values, np.float64(module.losses))
    assert log.curves["val_loss"].steps.tolist()[:1] == [8]
    assert 24 in log.curves["val_loss"].steps


def test_the_hosts_logger_gets_it_on_its_own_axis(tmp_path: Path) -> None:
    logger = lightning.pytorch.loggers.CSVLogger(tmp_path, name="csv", flush_logs_every_n_steps=1)
    fit(tmp_path, RecorderCallback(metrics=["weight_norm"], schedule=every(8), budget=1,
                                   path=tmp_path / "live.jsonl"), logger=logger)  # fmt: skip
    lines = (Path(logger.log_dir) / "metrics.csv").read_text().splitlines()
    header = lines[0].split(",")
    column, step = header.index("dyn/weight_norm/net.0.weight"), header.index("step")
    found = [line.split(",") for line in lines[1:]]
    rows = {int(row[step]): float(row[column]) for row in found if row[column]}
    series = read(tmp_path / "live.h5").series["weight_norm"]
    layer = series.coords["layer"].index("net.0.weight")
    assert series.steps.tolist() == [0, 8, 16, 24]
    assert {k: v for k, v in rows.items() if k} == {
        7: series.values[1, layer], 15: series.values[2, layer], 23: series.values[3, layer]
    }  # fmt: skip


def test_an_interrupted_training_is_sealed(tmp_path: Path) -> None:
    class Breaks(lightning.pytorch.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            if trainer.global_step == 5:
                raise RuntimeError("stop here")

    callback = RecorderCallback(metrics=["weight_norm"], schedule=every(2), budget=1)
    with pytest.raises(RuntimeError, match="stop here"):
        fit(tmp_path, callback, Breaks())
    assert callback.recorder is None
    assert read(tmp_path / "live.h5").series["weight_norm"].steps.tolist() == [0, 2, 4]


def test_it_stops_at_divergence(tmp_path: Path) -> None:
    callback = StopOnDivergence(metrics=["divergence"], schedule=every(4), budget=1)
    module = fit(tmp_path, callback, module=Module(lost_at=40), max_epochs=50)
    assert "Training loss" in callback.reason
    assert 40 < module.trainer.global_step < 100


def test_importing_the_callbacks_imports_no_host() -> None:
    code = (
        "import sys, dyntools.callbacks, dyntools.callbacks.sinks as s; print([m for m in"
        " ('lightning', 'transformers', 'tensorboard', 'wandb', 'mlflow') if m in sys.modules])"
    )
    assert python(code).stdout.strip() == "[]"
