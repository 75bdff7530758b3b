"""A directory, a file or a glob becomes a run; what is wrong with it is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from dyntools.errors import LogError, UsageError
from dyntools.log import Role
from dyntools.opening import open_run
from tests.processes import FIXTURES
from tests.small_run import write_small_run


def test_directory_file_and_glob(small_run: Path) -> None:
    assert open_run(small_run).steps == (0, 10, 20, 40)
    assert open_run(small_run / "step-00020.pt").steps == (20,)
    assert open_run(str(small_run / "step-000[24]0.pt")).steps == (20, 40)
    log_only = open_run(small_run / "log.jsonl")
    assert log_only.steps == ()
    assert log_only.log is not None


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


def test_an_unfinished_journal_in_the_run_is_not_taken_for_its_log(small_run: Path) -> None:
    before = open_run(small_run).log
    (small_run / "r.h5.journal").write_text(
        '{"kind": "measurement", "step": 99, "loss": 1.0}\n' * 9
    )
    after = open_run(small_run).log
    assert before is not None
    assert after is not None
    assert list(after.curves) == list(before.curves)


def test_real_runs_open_with_the_steps_they_were_saved_at() -> None:
    mlp = open_run(FIXTURES / "runs/digits-mlp")
    assert mlp.steps[0] == 0
    assert len(mlp.steps) >= 8
    names = [Path(row.path).stem.removeprefix("step-") for row in mlp.rows]
    assert [int(name) for name in names] == list(mlp.steps)
    assert np.all(np.diff(mlp.steps) > 0)
