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
from dyntools.errors import UsageError
from dyntools.gathering import read
from dyntools.opening import open_run
from dyntools.plan import make_plan
from tests.processes import python
from tests.saboteurs import ALL, GUARDED, Act, sabotage
from tests.trainings import differences, state

lightning = pytest.importorskip("lightning", reason="the extra `lightning` is not installed")

from dyntools.callbacks.lightning import RecorderCallback, StopOnDivergence  # noqa: E402

pytestmark = [pytest.mark.host, pytest.mark.filterwarnings("ignore")]  # warnings are the host's
METRICS = ["weight_norm", "spectral_norm", "second_moment_snr", "effective_lr", "update_snr"]


class Module(lightning.LightningModule):  # type: ignore[misc]
    """Dropout and batch normalisation; keeps every loss, and what gradients there are after it."""

    def __init__(self, lr: float = 1e-2, lost_at: int = 10**9) -> None:
        super().__init__()
        layers = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3)
        self.net, self.losses, self.gradients = nn.Sequential(*layers), [], []
        self.lr, self.lost_at = lr, lost_at

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        loss = nn.functional.cross_entropy(self.net(batch[0]), batch[1])
        loss = loss * 100.0 if self.global_step >= self.lost_at else loss
        self.losses.append(loss.item())
        self.log("train_loss", loss)
        return loss

    def on_train_batch_end(self, *_: Any) -> None:
        """After the callbacks; Lightning itself clears gradients before it adds to them."""
        self.gradients.append([p.grad.clone() for p in self.parameters()])

    def validation_step(self, batch: Any, index: int) -> None:
        self.log("val_loss", nn.functional.cross_entropy(self.net(batch[0]), batch[1]))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.lr)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


def fit(
    folder: Path,
    *callbacks: Any,
    module: Any = None,
    resume: Path | None = None,
    **settings: Any,
) -> Any:
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
    batches = DataLoader(data, batch_size=8, shuffle=True)
    trainer.fit(module, batches, DataLoader(data, 32), ckpt_path=resume)
    return module


def end(module: Any) -> dict[str, object]:
    """Everything that a recorder must not change, at the end of the training."""
    logged = {name: value.item() for name, value in module.trainer.callback_metrics.items()}
    rest = {"losses": module.losses, "each": module.gradients, "logged": logged}
    return state(module, module.trainer.optimizers[0]) | rest


def often() -> RecorderCallback:
    return RecorderCallback(metrics=["weight_norm"], schedule=every(2), budget=1)


@pytest.mark.parametrize(
    "settings",
    [{"max_epochs": 25}, {"accumulate_grad_batches": 3}, {"precision": "bf16-mixed"}],  # 200 steps
    ids=str,
)
def test_the_training_is_the_same_with_it(settings: dict[str, Any], tmp_path: Path) -> None:
    without = end(fit(tmp_path, **settings))
    callback = RecorderCallback(metrics="quick", schedule=every(2), budget=1)
    assert differences(without, end(fit(tmp_path, callback, **settings))) == []
    assert len(read(tmp_path / "live.h5").series["weight_norm"].steps) > 1


@pytest.mark.parametrize("act", ALL)
def test_each_rule_that_is_broken_is_seen(
    act: Act, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without = end(fit(tmp_path, max_epochs=1))
    sabotage(monkeypatch, act, guarded=False)
    assert differences(without, end(fit(tmp_path, often(), max_epochs=1)))


@pytest.mark.parametrize("act", GUARDED)
def test_what_the_context_guards_is_put_back(
    act: Act, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without = end(fit(tmp_path, max_epochs=1))
    sabotage(monkeypatch, act, guarded=True)
    assert differences(without, end(fit(tmp_path, often(), max_epochs=1))) == []


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


def test_a_training_that_goes_on_counts_on_and_keeps_the_first_part(tmp_path: Path) -> None:
    saved = lightning.pytorch.callbacks.ModelCheckpoint(dirpath=tmp_path / "saved")
    start = {name: tensor.clone() for name, tensor in seeded_module().state_dict().items()}
    settings = {"metrics": ["layer_rotation"], "schedule": every(4), "budget": 1}
    fit(tmp_path, RecorderCallback(**settings), saved, max_epochs=1)
    first = read(tmp_path / "live.h5").series["layer_rotation"]
    (resume,) = (tmp_path / "saved").iterdir()

    fit(tmp_path, RecorderCallback(**settings), resume=resume, max_epochs=2)
    unknown = read(tmp_path / "live.h5").series["layer_rotation"]
    assert not unknown.ok.any()
    fit(tmp_path, RecorderCallback(initial=start, **settings), resume=resume, max_epochs=2)
    second = read(tmp_path / "live.h5").series["layer_rotation"]

    assert first.steps.tolist() == [0, 4, 8]
    assert second.steps.tolist() == unknown.steps.tolist() == [8, 12, 16]
    assert second.values[0].tobytes() == first.values[-1].tobytes()
    kept = read(tmp_path / "live-1.jsonl").series["layer_rotation"]
    assert kept.values.tobytes() == first.values.tobytes()
    assert read(tmp_path / "live-2.jsonl").series["layer_rotation"].steps.tolist() == [8, 12, 16]


def seeded_module() -> Module:
    """As `fit` makes it."""
    lightning.seed_everything(3, verbose=False)
    return Module()


class ByHand(Module):
    """Two optimizers, each of a layer of its own, stepped by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Any, index: int) -> None:
        for optimizer in self.optimizers():
            optimizer.zero_grad()
            self.manual_backward(super().training_step(batch, index))
            optimizer.step()

    def configure_optimizers(self) -> Any:
        first, *_, last = self.net
        return torch.optim.SGD(first.parameters(), lr=0.1), torch.optim.Adam(last.parameters())


def test_of_several_optimizers_one_may_be_chosen(tmp_path: Path) -> None:
    settings = {"schedule": every(4), "budget": 1, "metrics": ["second_moment_snr", "weight_norm"]}
    fit(tmp_path, RecorderCallback(optimizer=1, **settings), module=ByHand(), max_epochs=1)
    series = read(tmp_path / "live.h5").series
    assert series["weight_norm"].steps.tolist() == [0, 4, 8, 12, 16]  # two for each of 8 batches
    snr = series["second_moment_snr"]
    layers = [n for n, ok in zip(snr.coords["layer"], snr.ok[-1].any(-1), strict=True) if ok]
    assert set(layers) == {"net.4.weight", "net.4.bias"}


def test_of_several_optimizers_none_is_taken_unasked(tmp_path: Path) -> None:
    def fitted(**settings: Any) -> None:
        fit(tmp_path, RecorderCallback(budget=1, **settings), module=ByHand(), max_epochs=1)

    fitted(metrics="optimizer", schedule=every(4))
    assert "second_moment_snr" not in read(tmp_path / "live.h5").series
    with pytest.raises(UsageError, match=r"RecorderCallback\(optimizer=0\)"):
        fitted(metrics=["second_moment_snr"])
    with pytest.raises(UsageError, match="There is no optimizer 2"):
        fitted(optimizer=2)


OTHER_PACKAGE = """
import warnings; warnings.filterwarnings("ignore")
import sys, torch, pytorch_lightning
from dyntools.callbacks import every
from dyntools.callbacks.lightning import RecorderCallback
assert "lightning.pytorch" not in sys.modules
import lightning.pytorch

for package in pytorch_lightning, lightning.pytorch:
    class Module(package.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = torch.nn.Linear(3, 2)
        def training_step(self, batch, index):
            return self.net(batch).square().mean()
        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters())
    settings = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar"), False)
    path = package.__name__ + ".jsonl"
    callback = RecorderCallback(metrics=["weight_norm"], schedule=every(2), budget=1, path=path)
    trainer = package.Trainer(max_steps=4, accelerator="cpu", callbacks=[callback], **settings)
    trainer.fit(Module(), torch.utils.data.DataLoader(torch.randn(16, 3), 4))
"""


def test_both_packages_of_lightning_take_it(tmp_path: Path) -> None:
    pytest.importorskip("pytorch_lightning", reason="`pytorch_lightning` is not installed")
    done = python(OTHER_PACKAGE, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for package in ("pytorch_lightning", "lightning.pytorch"):
        series = read((tmp_path / f"{package}.jsonl").with_suffix(".h5")).series["weight_norm"]
        assert series.steps.tolist() == [0, 2, 4]


def test_importing_the_callbacks_imports_no_host() -> None:
    code = (
        "import sys, dyntools.callbacks, dyntools.callbacks.sinks as s; print([m for m in"
        " ('lightning', 'transformers', 'tensorboard', 'wandb', 'mlflow') if m in sys.modules])"
    )
    assert python(code).stdout.strip() == "[]"
