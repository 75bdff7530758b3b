"""Which logs are one run."""

import math

import pytest

from dyntools.log import Role, merge
from dyntools.logs import find


def test_event_files_of_one_folder_are_parts_and_the_later_wins(tmp_path, write, events, points):
    write("events.1", events([("loss", 1, 4.0), ("loss", 2, 3.0), ("loss", 3, 9.0), ("a", 1, 1.0)]))
    write("events.2", events([("loss", 3, 2.0), ("loss", 4, 1.0)]))
    (log,), damaged = find(tmp_path)
    assert not damaged
    assert points(log)["loss"] == [(1, 4.0), (2, 3.0), (3, 2.0), (4, 1.0)]
    assert log.sources == ("events.1", "events.2")
    assert log.curves["loss"].wall is not None
    assert "1 point written again" in log.notes[0]


def test_keras_folders_become_names(tmp_path, write, events):
    write("train/events.1", events([("epoch_loss", 0, 1.0), ("epoch_loss", 1, 0.5)]))
    write("validation/events.1", events([("epoch_loss", 0, 2.0), ("epoch_loss", 1, 1.5)]))
    merged = merge(find(tmp_path)[0])
    assert merged.roles[Role.validation_loss] == "validation/epoch_loss"
    assert merged.curves["validation/epoch_loss"].values.tolist() == [2.0, 1.5]
    assert "train/epoch_loss" in merged.curves


def test_a_lone_folder_called_train_changes_no_name(tmp_path, write, events):
    write("train/events.1", events([("loss", 0, 1.0)]))
    assert list(find(tmp_path)[0][0].curves) == ["loss"]


def test_add_scalars_folders_become_names(tmp_path, write, events, points):
    write("run/my_loss_train/events.1", events([("my/loss", 0, 1.0)]))
    write("run/my_loss_val/events.1", events([("my/loss", 0, 2.0)]))
    merged = merge(find(tmp_path)[0])
    assert points(merged) == {"my/loss/train": [(0, 1.0)], "my/loss/val": [(0, 2.0)]}


@pytest.mark.parametrize("longest", [0, 1, 2])
def test_of_several_runs_the_one_with_the_most_points_is_read(tmp_path, write, longest):
    for version in range(3):
        rows = "".join(f"{i},{version}\n" for i in range(9 if version == longest else 2))
        write(f"version_{version}/metrics.csv", "step,loss\n" + rows)
    (log,), _ = find(tmp_path)
    assert log.sources == (f"version_{longest}/metrics.csv",)
    assert log.curves["loss"].values.tolist() == [longest] * 9
    assert log.notes[0].startswith("3 logs hold the same curves")
    assert "(2 points)" in log.notes[0]
    assert find(tmp_path / "version_1")[0][0].curves["loss"].values[0] == 1


def test_logs_without_a_curve_in_common_are_kept(tmp_path, write):
    write("train.csv", "step,loss\n1,2\n")
    write("other.csv", "step,lr\n1,2\n")
    assert len(find(tmp_path)[0]) == 2


def test_parts_without_wall_times(tmp_path, write, events):
    write("events.1", events([("loss", 1, 1.0)], wall=math.nan))
    write("events.2", events([("loss", 2, 1.0)]))
    (log,), _ = find(tmp_path)
    assert str(log.curves["loss"].wall.tolist()) == "[nan, 1700000000.0]"
