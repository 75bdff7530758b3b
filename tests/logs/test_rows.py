import math

import pytest

from dyntools.logs.points import Points
from dyntools.logs.rows import add_rows, number, whole


def read(rows):
    points = Points()
    add_rows(points, rows)
    return points.log("f", "test")


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (1, 1.0),
        (0.5, 0.5),
        ("4.3", 4.3),
        ("1e-3", 1e-3),
        ("inf", math.inf),
        ("-Infinity", -math.inf),
    ],
)
def test_numbers_and_texts_that_spell_them(raw, value):
    assert number(raw) == value


@pytest.mark.parametrize("raw", [True, None, "", "1_000", "abc", [1], {}, 10**400])
def test_what_is_no_number(raw):
    assert number(raw) is None


def test_nan_is_a_number_but_no_step():
    assert math.isnan(number("NaN"))
    assert whole(math.nan) is whole(math.inf) is whole(0.5) is whole(1e300) is None


@pytest.mark.parametrize(
    "key", ["step", "Step", "iter", "iteration", "global_step", "_step", "train/global_step"]
)
def test_step_keys(key, points):
    log = read([{key: 5, "loss": 1.0}, {key: 6.0, "loss": 0.5}])
    assert points(log) == {"loss": [(5, 1.0), (6, 0.5)]}
    assert log.unit == "step"


def test_the_trainers_own_step_beats_the_count_of_log_calls(points):
    log = read([{"_step": i, "trainer/global_step": 10 * i, "loss": 1.0} for i in range(3)])
    assert [step for step, _ in points(log)["loss"]] == [0, 10, 20]


def test_without_a_step_the_epoch_counts(points):
    log = read([{"epoch": 0, "val_loss": 2.0}, {"epoch": 1, "val_loss": 1.0}])
    assert log.curves["val_loss"].unit == "epoch"
    assert points(log) == {"val_loss": [(0, 2.0), (1, 1.0)]}


def test_without_either_rows_are_numbered_and_noted(points):
    log = read([{"loss": 2.0}, {"loss": 1.0}])
    assert log.curves["loss"].unit == "row"
    assert points(log) == {"loss": [(0, 2.0), (1, 1.0)]}
    assert "numbered by row" in log.notes[0]


def test_fractions_of_an_epoch_are_values_not_places(points):
    log = read([{"epoch": 0.5, "loss": 2.0}, {"epoch": 1.5, "loss": 1.0}])
    assert points(log) == {"epoch": [(0, 0.5), (1, 1.5)], "loss": [(0, 2.0), (1, 1.0)]}


def test_rows_that_lack_the_step_others_have_are_noted(points):
    log = read([{"seed": 1}, {"step": 1, "loss": 2.0}, {"loss": 9.0}])
    assert points(log) == {"loss": [(1, 2.0)]}
    assert log.notes == ("2 points with neither a step nor an epoch left out, of seed, loss",)


def test_a_name_counted_in_two_units_keeps_the_steps(points):
    log = read([{"step": 1, "loss": 2.0}, {"epoch": 1, "loss": 9.0}])
    assert points(log) == {"loss": [(1, 2.0)]}
    assert log.notes == ("1 point with an epoch where others have a step left out, of loss",)


def test_wall_times_in_seconds_or_milliseconds_and_elapsed_time_as_a_curve():
    rows = [{"step": 1, "loss": 1.0, "timestamp": 1.7e9}, {"step": 2, "loss": 1.0, "time": 1.7e12}]
    assert read(rows).curves["loss"].wall.tolist() == [1.7e9, 1.7e9]
    elapsed = read([{"step": 1, "loss": 1.0, "time": 3.5}])
    assert elapsed.curves["loss"].wall is None
    assert elapsed.curves["time"].values.tolist() == [3.5]


def test_the_last_written_wins_and_only_changed_values_are_counted(points):
    rows = [{"step": s, "loss": v, "epoch": 1} for s, v in [(1, 5.0), (2, 4.0), (2, 3.0), (1, 5.0)]]
    log = read(rows)
    assert points(log)["loss"] == [(1, 5.0), (2, 3.0)]
    assert log.notes == (
        "1 point written again at the same step: the last one counts, in loss (1)",
    )
