import math

import pytest

from dyntools.log import Role
from dyntools.logs import csv

LIGHTNING = "epoch,lr-AdamW,step,train_loss,val_loss\n0,0.1,1,,\n0,,1,2.5,\n0,,3,,1.5\n"


def test_lightnings_sparse_rows_meet_by_step_as_written(write, points):
    log = csv.open(write("metrics.csv", LIGHTNING))
    assert points(log) == {
        "epoch": [(1, 0.0), (3, 0.0)],
        "lr-AdamW": [(1, 0.1)],
        "train_loss": [(1, 2.5)],
        "val_loss": [(3, 1.5)],
    }
    assert log.roles[Role.learning_rate] == "lr-AdamW"
    assert "from 0" in log.notes[0]


def test_a_wandb_export_of_several_runs_reads_the_longest(write, points):
    text = (
        '"Step","a - b - loss","a - b - loss__MIN","a - b - loss__MAX","c - loss"\n'
        '"1","3","3","3","9"\n"2","2","2","2",""\n'
    )
    log = csv.open(write("export.csv", text))
    assert points(log) == {"loss": [(1, 3.0), (2, 2.0)]}
    assert "runs found: a - b, c; read is a - b" in log.notes[0]


def test_a_tensorboard_download(write):
    log = csv.open(write("run.csv", "Wall time,Step,Value\n1700000000.5,10,0.5\n"))
    assert log.curves["Value"].wall.tolist() == [1700000000.5]


def test_padded_names_and_other_delimiters(write, points):
    log = csv.open(write("results.csv", "   epoch;   train/box loss\n 0; 2\n 1; nan\n"))
    assert log.curves["train/box loss"].unit == "epoch"
    assert math.isnan(points(log)["train/box loss"][1][1])


def test_without_a_step_column_rows_are_numbered(write, points):
    path = write("loss.csv", "loss,seconds\n2,1\n1,2\n")
    assert csv.recognises(path)
    assert points(csv.open(path))["loss"] == [(0, 2.0), (1, 1.0)]


def test_odd_rows_and_a_torn_end_are_noted(write, points):
    log = csv.open(write("x.csv", "step,loss\n1,2\n2\n3,1\n\n4,0.12"))
    assert points(log) == {"loss": [(1, 2.0), (3, 1.0)]}
    assert any("1 row of another length" in note for note in log.notes)
    assert any("no line end" in note for note in log.notes)


def test_columns_of_one_name(write, points):
    log = csv.open(write("x.csv", "step,loss,loss\n1,2,3\n"))
    assert points(log) == {"loss": [(1, 3.0)]}
    assert "same name" in log.notes[0]


def test_cut_anywhere(write, cut_law):
    path = write("metrics.csv", "")
    cut_law(LIGHTNING.encode(), path, csv.open)


def test_a_field_too_long_ends_the_reading_not_the_run(write, points):
    log = csv.open(write("x.csv", "step,loss\n1,2\n2," + "9" * 200_000 + "\n"))
    assert points(log) == {"loss": [(1, 2.0)]}
    assert "ended early" in log.notes[0]


@pytest.mark.parametrize(
    "text",
    [
        "name,age\nann,3\n",
        "step,loss\n",
        "step by step, this is prose\nand more, of it\n",
        "1,2\n3,4\n",
        "torch>=2,<3\nnumpy\n",
        "",
    ],
)
def test_what_is_no_log(write, text):
    assert not csv.recognises(write("x.csv", text))


@pytest.mark.parametrize("zeros", [b"\0" * 4096, b"\0" * 40 + b"\n3,0.5\n", b"3,0.1\0\0\n"])
def test_lines_with_the_zeros_of_a_power_cut_are_skipped_and_noted(write, points, zeros):
    path = write("log.csv", b"step,loss\n1,2.5\n2,1.5\n" + zeros)
    assert csv.recognises(path)
    log = csv.open(path)
    rest = [(3, 0.5)] if b"0.5" in zeros else []
    assert points(log) == {"loss": [(1, 2.5), (2, 1.5), *rest]}
    assert log.notes == ("1 line with NUL bytes, as a power cut leaves, skipped",)
