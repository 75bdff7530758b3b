"""The journal keeps every bit of what was finished, whatever happens to its end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dyntools import journal
from dyntools.errors import ReportError
from dyntools.journal import Journal, Row
from dyntools.log import Curve, Log, Role
from dyntools.measurement import Measurement, per_layer

ODD = [np.nan, np.inf, -np.inf, -0.0, 5e-324, 1 / 3, 1.7976931348623157e308]


def row(step: int = 3) -> Row:
    found = per_layer(
        {f"layer.{i}": x for i, x in enumerate(ODD)},
        error={"layer.5": 1e-17},
        beside={"null": {"layer.0": 0.1}},
        skipped={"b": "1-d"},
        method="by hand",
    )
    return Row("some_metric", step, 0.25, found)


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize(
    "measurement",
    [
        row().measurement,
        Measurement(np.array(2.5)),
        Measurement(
            np.empty((0, 3)), ("layer", "fraction"), {"layer": (), "fraction": (0, 0.5, 1)}
        ),
    ],
)
def test_a_row_survives_bit_for_bit(measurement: Measurement, tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as file:
        file.header({}, [])
        file.measurement(Row("m", 1, 0.5, measurement))
    back = journal.decode_row(list(journal.read(tmp_path / "j"))[1]).measurement
    assert same_bits(back.values, measurement.values)
    assert same_bits(back.status, measurement.status)
    assert back.dims == measurement.dims
    assert back.coords == measurement.coords
    assert back.skipped == measurement.skipped
    assert (back.error is None) == (measurement.error is None)
    for key, array in measurement.beside.items():
        assert same_bits(back.beside[key], array)


def test_a_log_survives(tmp_path: Path) -> None:
    steps, values = np.array([1, 5, 9]), np.array([1.0, np.nan, np.inf])
    curve = Curve("train/loss", steps, values, "step", None, "log.jsonl")
    log = Log(
        ("log.jsonl",), ("jsonl",), {curve.name: curve}, {Role.train_loss: curve.name}, ("n",)
    )
    with Journal(tmp_path / "j") as file:
        file.header({}, [])
        file.log(log)
    back = journal.decode_log(list(journal.read(tmp_path / "j"))[1])
    assert same_bits(back.curve(Role.train_loss).values, values)
    assert back.roles == log.roles
    assert back.notes == log.notes


def test_cut_anywhere_it_holds_exactly_the_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path) as file:
        file.header({"run": "x"}, [])
        for step in range(3):
            file.measurement(row(step))
    content = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(content) if byte == ord("\n")]
    for cut in range(ends[0], len(content), 37):
        path.write_bytes(content[:cut])
        assert len(list(journal.read(path))) == sum(end <= cut for end in ends)


def test_appending_after_a_torn_line_drops_only_the_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path) as file:
        file.header({}, [])
        file.measurement(row(0))
    path.write_bytes(path.read_bytes() + b'{"kind": "measurem')
    with Journal(path, append=True) as file:
        file.measurement(row(1))
    assert [r.get("step") for r in journal.read(path)] == [None, 0, 1]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"hello\n", "not a dyntools journal"),
        (b'{"kind": "measurement"}\n', "not a dyntools journal"),
        (b'{"kind": "header", "journal": 99, "attributes": {}, "plan": []}\n', "newer dyntools"),
        (b"\x89HDF\r\n\x1a\n\x00", "not a dyntools journal"),
    ],
)
def test_another_file_is_refused_with_a_sentence(
    content: bytes, sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "j"
    path.write_bytes(content)
    with pytest.raises(ReportError, match=sentence):
        list(journal.read(path))


def test_damage_in_the_middle_costs_that_line_only(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path) as file:
        file.header({}, [])
        file.measurement(row(0))
        file.measurement(row(1))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\0" + lines[1][1:] + lines[2])
    kinds = [record["kind"] for record in journal.read(path)]
    assert kinds == ["header", "damaged", "measurement"]


def test_two_writers_of_one_journal_do_not_destroy_each_other(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path) as file:
        file.header({}, [])
        for append in (True, False):
            with pytest.raises(ReportError, match="Another dyntools"):
                Journal(path, append=append)
        file.measurement(row(0))
    assert len(list(journal.read(path))) == 2
