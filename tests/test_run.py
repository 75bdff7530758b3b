"""A directory, a file or a glob becomes a run; what is wrong with it is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from dyntools.errors import LogError, UsageError
from dyntools.log import Role
from dyntools.run import log_snapshots, open_run, parameters, snapshots
from tests.processes import FIXTURES
from tests.small_run import write_small_run


def test_directory_file_and_glob(small_run: Path) -> None:
    assert open_run(small_run).steps == (0, 10, 20, 40)
    assert open_run(small_run / "step-00020.pt").steps == (20,)
    assert open_run(str(small_run / "step-000[24]0.pt")).steps == (20, 40)
    log_only = open_run(small_run / "log.jsonl")
    assert log_only.steps == ()
    assert log_only.log is not None


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
    }
    torch.save(state, tmp_path / "model.pt")
    kept, left_out = parameters(open_run(tmp_path).checkpoints[0])
    assert list(kept) == ["wte.weight"]
    assert left_out["lm_head.weight"] == "tied to wte.weight, measured there"
    assert "buffer" in left_out["bn.running_mean"]
    assert "buffer" in left_out["ids"]


def test_initial_weights_from_elsewhere(small_run: Path, tmp_path: Path) -> None:
    initial = tmp_path / "init.pt"
    (small_run / "step-00000.pt").rename(initial)
    without = open_run(small_run)
    assert without.initial is without.checkpoints[0]
    assert any("no checkpoint at step 0" in note for note in without.notes)
    run = open_run(small_run, initial=initial)
    assert run.initial is not None
    assert run.initial.path == initial
    torch.save({"another": torch.ones(2, 2)}, tmp_path / "other.pt")
    with pytest.raises(UsageError, match="another model"):
        open_run(small_run, initial=tmp_path / "other.pt")


def test_one_checkpoint_has_no_start(small_run: Path) -> None:
    run = open_run(small_run / "step-00040.pt")
    assert run.initial is None
    assert any("--initial" in note for note in run.notes)


def test_a_damaged_checkpoint_is_a_row_and_the_rest_is_there(small_run: Path) -> None:
    (small_run / "step-00015.pt").write_bytes(b"PK\x03\x04 torn")
    run = open_run(small_run)
    assert run.steps == (0, 10, 20, 40)
    (bad,) = [row for row in run.rows if row.status == "damaged"]
    assert bad.path == "step-00015.pt"
    assert bad.reason


@pytest.mark.parametrize("make", ["missing", "empty", "all damaged", "pattern"])
def test_nothing_to_open_is_an_error_with_a_remedy(make: str, tmp_path: Path) -> None:
    place: Path = tmp_path / "run"
    place.mkdir()
    if make == "missing":
        place = tmp_path / "rum"
    elif make == "all damaged":
        (place / "model.pt").write_bytes(b"PK\x03\x04 torn")
    elif make == "pattern":
        place = place / "*.pt"
    with pytest.raises(UsageError) as error:
        open_run(place)
    assert error.value.exit_code == 2
    if make == "missing":
        assert "run" in str(error.value.remedy)


def test_two_models_in_one_place_are_not_one_run(tmp_path: Path) -> None:
    write_small_run(tmp_path / "a")
    (tmp_path / "b").mkdir()
    for step in (1, 2, 3, 4):
        torch.save({"x.weight": torch.ones(5, 5)}, tmp_path / "b" / f"step-{step}.pt")
    with pytest.raises(UsageError, match="several models"):
        open_run(tmp_path)


def test_two_seeds_side_by_side_are_not_one_run(tmp_path: Path) -> None:
    """Woven together, each step between neighbours would be a change of seed."""
    write_small_run(tmp_path / "seed-0", seed=0)
    write_small_run(tmp_path / "seed-1", seed=1)
    with pytest.raises(UsageError, match="several runs"):
        open_run(tmp_path)
    for path in (tmp_path / "seed-1").glob("*.pt"):
        path.write_bytes((tmp_path / "seed-0" / path.name).read_bytes())
    assert open_run(tmp_path).steps == (0, 10, 20, 40)  # copies are no second run


def test_logs_and_roles_given_by_hand(small_run: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "metrics.jsonl"
    rows = [{"step": i, "strange": float(i), "loss": 1.0} for i in range(5)]
    elsewhere.write_text("\n".join(map(json.dumps, rows)))
    run = open_run(small_run, log_paths=[elsewhere], roles={"train_loss": "strange"})
    assert run.log is not None
    curve = run.log.curve(Role.train_loss)
    assert curve is not None
    assert curve.values.tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(UsageError, match="no such curve"):
        open_run(small_run, roles={"train_loss": "nothing"})
    with pytest.raises(LogError, match="no such file"):
        open_run(small_run, log_paths=[tmp_path / "gone.jsonl"])


def test_log_snapshots_hold_the_past_only(small_run: Path) -> None:
    run = open_run(small_run)
    for snapshot in log_snapshots(run, [4, 20]):
        assert snapshot.log is not None
        assert snapshot.log.last_step == snapshot.step
        assert len(snapshot.params) == 0


def test_an_unfinished_journal_in_the_run_is_not_taken_for_its_log(small_run: Path) -> None:
    before = open_run(small_run).log
    (small_run / "r.h5.journal").write_text(
        '{"kind": "measurement", "step": 99, "loss": 1.0}\n' * 9
    )
    after = open_run(small_run).log
    assert before is not None
    assert after is not None
    assert list(after.curves) == list(before.curves)


def test_lightning_steps_are_joined_to_the_log_by_its_own_count() -> None:
    """`epoch=0-step=20.ckpt` belongs to row 19 of metrics.csv; without this, one step is future."""
    run = open_run(FIXTURES / "runs/digits-cnn")
    assert run.step_unit == "step"
    for snapshot in snapshots(run):
        assert snapshot.log is not None
        last = snapshot.log.last_step
        assert last is None or last < max(snapshot.step, 1)


def test_real_runs_open_with_the_steps_they_were_saved_at() -> None:
    mlp = open_run(FIXTURES / "runs/digits-mlp")
    assert mlp.steps[0] == 0
    assert len(mlp.steps) >= 8
    names = [Path(row.path).stem.removeprefix("step-") for row in mlp.rows]
    assert [int(name) for name in names] == list(mlp.steps)
    assert np.all(np.diff(mlp.steps) > 0)
