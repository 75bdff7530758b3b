import json
import math
import time

import numpy as np
import pytest

from dyntools.logs import jsonl

ROWS = '{"step": 1, "loss": 2.5}\n{"step": 2, "loss": NaN, "eval": {"loss": 1.5}}\n'


def test_nested_objects_and_nan(write, points):
    log = jsonl.open(write("log.jsonl", ROWS))
    assert points(log)["eval/loss"] == [(2, 1.5)]
    assert math.isnan(log.curves["loss"].values[1])
    assert log.notes == ()
    assert (log.sources, log.formats) == (("log.jsonl",), ("jsonl",))


def test_an_object_is_whole_without_its_line_end(write):
    log = jsonl.open(write("log.jsonl", ROWS[:-1]))
    assert log.curves["eval/loss"].steps.tolist() == [2]
    assert log.notes == ()


def test_torn_and_foreign_lines_are_skipped_and_counted(write, points):
    text = (
        '{"step": 1, "loss": 2}\nWARNING: slow\n\n{"step": 2, "lo{"step": 2, "loss": 1}\n{"step": 3'
    )
    path = write("log.jsonl", text)
    log = jsonl.open(path)
    assert points(log) == {"loss": [(1, 2.0)]}
    assert log.notes[0] == "2 lines that hold no JSON object skipped, first line 2"
    assert "no line end" in log.notes[1]


def test_cut_anywhere(write, cut_law):
    path = write("log.jsonl", "")
    cut_law(ROWS.replace("NaN", "0.125").encode(), path, jsonl.open)


@pytest.mark.parametrize("rows", [1, 200])
def test_the_zeros_of_a_power_cut_cost_no_whole_object(write, points, rows):
    lines = [json.dumps({"step": i, "loss": 1.0}).encode() + b"\n" for i in range(rows)]
    whole = {"loss": [(i, 1.0) for i in range(rows)]}
    path = write("end.jsonl", b"".join(lines) + b"\0" * 4096)
    assert jsonl.recognises(path)
    assert points(jsonl.open(path)) == whole
    assert "no line end" in jsonl.open(path).notes[0]
    path = write("resumed.jsonl", b"".join([*lines[:-1], b"\0" * 4096, lines[-1]]))
    assert points(jsonl.open(path)) == whole
    path = write("middle.jsonl", b"".join([lines[0], b"\0" * 40 + b"\n", *lines[1:]]))
    assert points(jsonl.open(path)) == whole
    assert jsonl.open(path).notes == ("1 line that hold no JSON object skipped, first line 2",)


def test_a_nul_within_an_object_is_never_closed_up(write, points):
    path = write("log.jsonl", b'{"step": 1, "loss": 2.5}\n{"step": 1\0\0' + b'7, "loss": 2}\n')
    assert jsonl.recognises(path)
    assert points(jsonl.open(path)) == {"loss": [(1, 2.5)]}


@pytest.mark.parametrize("size", [64 * 1024 - 20, 200_000])
def test_a_first_line_may_be_a_long_configuration(write, points, size):
    path = write("log.jsonl", json.dumps({"config": "x" * size}) + "\n" + ROWS)
    assert jsonl.recognises(path)
    assert points(jsonl.open(path))["eval/loss"] == [(2, 1.5)]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_marks_of_byte_order(write, encoding):
    path = write("log.jsonl", ROWS.replace("\n", "\r\n").encode(encoding))
    assert jsonl.recognises(path)
    assert jsonl.open(path).curves["loss"].steps.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config.json", '{"step": 10, "learning_rate": 0.1}'),
        ("config.json", '{\n "loss": 1,\n "step": 10\n}\n'),
        ("vocab.json", '{"loss": 12, "step": 40}\n'),
        ("data.jsonl", '{"question": "2+2", "answer": 4}\n{"question": "1+1", "answer": 2}\n'),
        ("data.jsonl", '{"text": "a", "tokens": 12}\n'),
        ("journal.jsonl", '{"kind": "header", "journal": 1}\n{"step": 1, "seconds": 2}\n'),
        ("requirements.txt", "torch>=2\nnumpy\n"),
        ("empty", ""),
        ("deep.jsonl", "[" * 100_000),
        ("binary.jsonl", bytes(range(256)) * 8 + b'\n{"step": 1, "loss": 2}\n'),
        ("zeros.jsonl", b"\0" * 4096),
    ],
)
def test_what_is_no_log(write, name, text):
    assert not jsonl.recognises(write(name, text))


def test_a_hundred_thousand_lines_are_quick(write):
    rows = ({"step": i, "train/loss": 1 / (i + 1), "lr": 1e-3, "epoch": i} for i in range(100_000))
    path = write("log.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    start = time.perf_counter()
    log = jsonl.open(path)
    assert time.perf_counter() - start < 4  # about 0.7 s on one core of 2026
    assert np.array_equal(log.curves["lr"].steps, np.arange(100_000))
