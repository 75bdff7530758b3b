"""A run becomes snapshots that know their start, their neighbour and their past."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dyntools.opening import open_run
from dyntools.run import log_snapshots, parameters, snapshots
from tests.processes import FIXTURES


def test_snapshots_know_their_start_their_neighbour_and_their_past(small_run: Path) -> None:
    run = open_run(small_run)
    seen = list(snapshots(run))
    assert [s.step for s in seen] == [0, 10, 20, 40]
    assert [None if s.previous is None else s.previous.step for s in seen] == [None, 0, 10, 20]
    assert all(s.initial is not None and s.initial.step == 0 for s in seen)
    assert [s.log.last_step for s in seen if s.log] == [0, 10, 20, 40]
    stored = torch.load(small_run / "step-00020.pt", weights_only=True)["model"]
    for name, tensor in stored.items():
        assert torch.equal(seen[2].params[name], tensor)


def test_the_neighbour_does_not_depend_on_the_steps_selected(small_run: Path) -> None:
    run = open_run(small_run)
    (alone,) = snapshots(run, steps=[40])
    assert alone.previous is not None
    assert alone.previous.step == 20


def test_the_final_one_is_the_last_of_the_run_whatever_is_selected(small_run: Path) -> None:
    run = open_run(small_run)
    whole = list(snapshots(run))
    assert [s.final.step for s in whole if s.final] == [40] * 4
    assert len({id(s.final) for s in whole}) == 1  # one, so that what it computes is shared
    (alone,) = snapshots(run, steps=[10])
    assert alone.final is not None
    assert alone.final.step == 40
    assert whole[-1].final is not None
    assert whole[-1].once("key", object) is whole[-1].final.known("key")


def test_spectra_of_the_start_are_computed_once_for_the_series(
    small_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dyntools import snapshot as module

    count = 0
    original = module.singular_values

    def counted(*arguments: object) -> object:
        nonlocal count
        count += 1
        return original(*arguments)

    monkeypatch.setattr(module, "singular_values", counted)
    for snapshot in snapshots(open_run(small_run)):
        for matrix in snapshot.matrices():
            snapshot.spectrum(matrix)
            snapshot.spectrum(matrix)
            snapshot.initial.spectrum(matrix)
    assert count == 4 * 2  # 4 checkpoints, 2 matrices; the first checkpoint is the start itself


def test_tied_tensors_are_measured_once_and_buffers_not_at_all(tmp_path: Path) -> None:
    weight = torch.randn(6, 4)
    state = {
        "wte.weight": weight,
        "lm_head.weight": weight,
        "bn.running_mean": torch.zeros(4),
        "ids": torch.arange(3),
        "phase": torch.ones(2, 2, dtype=torch.complex64),
    }
    torch.save(state, tmp_path / "model.pt")
    kept, left_out = parameters(open_run(tmp_path).checkpoints[0])
    assert list(kept) == ["wte.weight"]
    assert left_out["lm_head.weight"] == "tied to wte.weight, measured there"
    assert "buffer" in left_out["bn.running_mean"]
    assert "buffer" in left_out["ids"]
    assert "complex" in left_out["phase"]  # its real part alone would be a wrong number


def test_log_snapshots_hold_the_past_only(small_run: Path) -> None:
    run = open_run(small_run)
    for snapshot in log_snapshots(run, [4, 20]):
        assert snapshot.log is not None
        assert snapshot.log.last_step == snapshot.step
        assert len(snapshot.params) == 0


def test_lightning_steps_are_joined_to_the_log_by_its_own_count() -> None:
    """`epoch=0-step=20.ckpt` belongs to row 19 of metrics.csv; without this, one step is future."""
    run = open_run(FIXTURES / "runs/digits-cnn")
    assert run.step_unit == "step"
    for snapshot in snapshots(run):
        assert snapshot.log is not None
        last = snapshot.log.last_step
        assert last is None or last < max(snapshot.step, 1)
