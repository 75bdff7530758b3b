"""`find`: what lies in a folder, what is damaged, and what is no log at all."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dyntools.errors import LogError
from dyntools.log import Role, merge
from dyntools.logs import FORMAT_NAMES, FORMATS, find

RUNS = Path(__file__).parents[2] / "fixtures" / "runs"
ROWS = '{"step": 1, "loss": 2}\n{"step": 2, "loss": 1}\n'


def state(step, history=None):
    rows = [{"step": s, "loss": 1.0} for s in range(1, step + 1)] if history is None else history
    return json.dumps({"global_step": step, "log_history": rows})


def test_one_file_and_its_folder_say_the_same(write, points):
    path = write("a/b/log.jsonl", ROWS)
    (alone,), _ = find(path)
    (found,), _ = find(path.parents[1])
    assert alone.sources == ("log.jsonl",)
    assert found.sources == ("b/log.jsonl",)
    assert found.curves["loss"].source == "b/log.jsonl"
    assert points(alone) == points(found)


def test_notes_begin_with_their_file(tmp_path, write):
    write("a/log.jsonl", ROWS + "oops\n")
    (log,), _ = find(tmp_path)
    assert log.notes[0].startswith("a/log.jsonl: 1 line ")


def test_what_is_damaged_is_reported_and_the_rest_is_read(tmp_path, write):
    write("log.jsonl", ROWS)
    broken = write("trainer_state.json", state(3)[:-5])
    logs, damaged = find(tmp_path)
    assert [log.formats for log in logs] == [("jsonl",)]
    assert [(d.path, d.format) for d in damaged] == [(broken, "trainer_state")]
    assert "not a complete JSON file" in damaged[0].reason


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("log.jsonl", b"", "empty"),
        ("log.jsonl", b"\0" * 4096, "no whole line"),
        ("a/metrics.csv", b"a,b\nx,y\n", "no step and no loss"),
        ("trainer_state.json", b"\0" * 4096, "no whole line"),
        ("trainer_state.json", b"{}", "no step and no loss"),
    ],
)
def test_a_name_that_promises_a_log_is_never_passed_over(tmp_path, write, name, data, reason):
    path = write(name, data)
    logs, damaged = find(tmp_path)
    assert (logs, [(d.path, d.format) for d in damaged]) == ([], [(path, "unknown")])
    assert reason in damaged[0].reason


def test_other_names_and_our_own_journal_promise_nothing(tmp_path, write):
    write("other.csv", b"\0" * 4096)
    write("journal.jsonl", '{"kind": "header", "journal": 1}\n{"step": 1, "seconds": 2}\n')
    (tmp_path / "folder.jsonl").mkdir()
    assert find(tmp_path) == ([], [])


def test_of_checkpoints_the_longest_history_is_read(tmp_path, write):
    for step in (5, 40, 100):
        write(f"run/checkpoint-{step}/trainer_state.json", state(step))
    (log,), damaged = find(tmp_path)
    assert log.sources == ("run/checkpoint-100/trainer_state.json",)
    assert (log.notes, damaged) == ((), [])


def test_a_torn_last_history_leaves_the_one_before(tmp_path, write):
    write("checkpoint-5/trainer_state.json", state(5))
    write("checkpoint-9/trainer_state.json", state(9)[:-3])
    (log,), damaged = find(tmp_path)
    assert log.last_step == 5
    assert [d.path.parent.name for d in damaged] == ["checkpoint-9"]


def test_excluded_paths_are_not_looked_at(tmp_path, write):
    write("log.jsonl", ROWS)
    report = write("report/log.jsonl", ROWS)
    assert len(find(tmp_path, [report.parent])[0]) == 1
    assert find(tmp_path, [tmp_path / "log.jsonl", report]) == ([], [])


def test_hidden_folders_links_and_special_files(tmp_path, write):
    write(".trash/log.jsonl", ROWS)
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    assert find(tmp_path) == ([], [])


def test_a_file_that_may_not_be_read(write, monkeypatch):
    def refuse(*_):
        raise PermissionError("no")

    monkeypatch.setattr("dyntools.logs.tensorboard.head", refuse)
    path = write("log.jsonl", ROWS)
    logs, damaged = find(path)
    assert (logs, [(d.path, d.reason) for d in damaged]) == ([], [(path, "no")])


def test_no_such_place(tmp_path):
    with pytest.raises(LogError, match="no such file"):
        find(tmp_path / "nowhere")


def test_formats_are_an_explicit_list():
    assert len(set(FORMAT_NAMES)) == len(FORMATS) == 8


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config.json", '{"learning_rate": 0.1, "epoch": 3, "step": 4}'),
        ("model.safetensors.index.json", '{"metadata": {}, "weight_map": {"a": "b"}}'),
        ("all_results.json", '{\n    "epoch": 3.0,\n    "train_loss": 2.0\n}'),
        ("requirements.txt", "torch==2.6,!=2.7\nnumpy\n"),
        ("hparams.yaml", "lr: 0.1\nsteps: 3\n"),
        ("merges.txt", "#version: 0.2\nt h\nth e\n"),
        ("train.py", "import csv, step\nprint(1, 2)\n"),
        ("empty.csv", ""),
    ],
)
def test_neighbours_of_logs_are_no_logs(tmp_path, write, name, text):
    write(name, text)
    assert find(tmp_path) == ([], [])


@pytest.mark.parametrize(
    ("run", "formats", "roles"),
    [
        ("digits-mlp", {"jsonl"}, {"train_loss": "train/loss", "validation_loss": "val/loss"}),
        ("digits-cnn", {"csv", "tensorboard"}, {"learning_rate": "lr-AdamW"}),
        ("tiny-gpt", {"trainer_state"}, {"train_loss": "loss", "validation_loss": "eval_loss"}),
        ("torchtitan", {"torchtitan"}, {"gradient_norm": "grad_norm"}),
        ("nanogpt", {"nanogpt"}, {"train_loss": "train/loss", "validation_loss": "val/loss"}),
    ],
)
def test_real_runs(run, formats, roles):
    logs, damaged = find(RUNS / run)
    merged = merge(logs)
    assert set(merged.formats) == formats
    assert roles.items() <= {str(role): name for role, name in merged.roles.items()}.items()
    assert damaged == []


def test_lightnings_two_loggers_agree():
    merged = merge(find(RUNS / "digits-cnn")[0])
    assert not any("differ" in note for note in merged.notes)
    assert merged.curve(Role.validation_loss).steps.tolist() == [19, 39, 59, 79, 99]


def test_every_row_of_a_real_json_log(points):
    rows = [json.loads(line) for line in (RUNS / "digits-mlp/log.jsonl").read_text().splitlines()]
    (log,), _ = find(RUNS / "digits-mlp")
    for name, found in points(log).items():
        assert found == [(row["step"], row[name]) for row in rows if name in row]


def test_reading_logs_imports_neither_torch_nor_a_logging_library():
    heavy = "{'torch', 'tensorboard', 'mlflow', 'pandas', 'google'}"
    code = f"import sys; import dyntools.logs; assert not {heavy} & set(sys.modules), sys.modules"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, cwd=RUNS.parents[1])
