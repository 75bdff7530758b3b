import sqlite3
from contextlib import closing

import numpy as np
import pytest

from dyntools.errors import LogError
from dyntools.logs import mlflow

SCHEMA = """
    CREATE TABLE runs (run_uuid TEXT, name TEXT, lifecycle_stage TEXT);
    CREATE TABLE metrics (
        key TEXT, value REAL, timestamp INTEGER, run_uuid TEXT, step INTEGER, is_nan INTEGER);"""
RUNS = [("aaa1", "short", "active"), ("bbb2", "long", "active"), ("ccc3", "gone", "deleted")]
METRICS = [
    ("loss", 2.0, 1_700_000_000_500, "aaa1", 0, 0),
    *(("loss", 1.0 / (i + 1), 1_700_000_000_000 + i, "bbb2", i, 0) for i in range(3)),
    ("loss", 9.0, 1_700_000_000_009, "bbb2", 1, 0),
    ("v", 0.0, 1_700_000_000_000, "bbb2", 1, 1),
    ("v", -1.7976931348623157e308, 1_700_000_000_000, "bbb2", 2, 0),
    *(("loss", 1.0, 1_700_000_000_000, "ccc3", i, 0) for i in range(50)),
]


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(path)) as store:
        store.executescript(SCHEMA)
        store.executemany("INSERT INTO runs VALUES (?, ?, ?)", RUNS)
        store.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", METRICS)
        store.commit()
    return path


def test_the_run_with_the_most_points(database, points):
    assert mlflow.recognises(database)
    log = mlflow.open(database)
    assert points(log)["loss"] == [(0, 1.0), (1, 9.0), (2, 1 / 3)]
    assert str(log.curves["v"].values.tolist()) == "[nan, -inf]"
    assert log.curves["loss"].wall[0] == 1_700_000_000.0
    assert "long (6 points), short (1 point); read is long" in log.notes[0]


@pytest.mark.parametrize("name", ["short", "aaa"])
def test_a_run_that_is_pointed_at(database, points, name):
    assert mlflow.recognises(database / name)
    log = mlflow.open(database / name)
    assert points(log) == {"loss": [(0, 2.0)]}
    assert log.sources == ("mlflow.db",)


def test_an_unknown_run_lists_the_nearest(database):
    with pytest.raises(LogError) as error:
        mlflow.open(database / "lung")
    assert error.value.remedy.startswith("long")


def test_the_database_is_not_written_to(database):
    before = database.read_bytes(), sorted(database.parent.iterdir())
    mlflow.open(database)
    assert (database.read_bytes(), sorted(database.parent.iterdir())) == before


def test_cut_anywhere_it_is_an_error_or_the_truth(database, points):
    data, whole = database.read_bytes(), mlflow.open(database)
    known = {name: set(found) for name, found in points(whole).items() if name == "loss"}
    for end in range(0, len(data), 37):
        database.write_bytes(data[:end])
        if not mlflow.recognises(database):
            assert end < 100
            continue
        try:
            found = points(mlflow.open(database))
        except LogError:
            continue
        assert set(found.get("loss", ())) <= known["loss"]


def test_other_databases_are_not_ours(tmp_path):
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as store:
        store.execute("CREATE TABLE metrics (name TEXT)")
        store.commit()
    assert not mlflow.recognises(path)


def test_a_folder_of_the_file_store(write, points):
    run = write("mlruns/0/abc/meta.yaml", "").parent
    write("mlruns/0/abc/metrics/train/loss", "1700000000500 2.5 0\n1700000001500 nan 10\n")
    write("mlruns/0/abc/metrics/lr", "1700000000000 0.1 0 set digest\nbad\n1700000000000 0.2")
    assert mlflow.recognises(run)
    assert not mlflow.recognises(run.parent)
    log = mlflow.open(run)
    assert points(log)["lr"] == [(0, 0.1)]
    assert np.isnan(log.curves["train/loss"].values[1])
    assert log.curves["train/loss"].wall.tolist() == [1700000000.5, 1700000001.5]
    assert log.notes[-1] == "lines other than 'time value step', skipped: 1"
