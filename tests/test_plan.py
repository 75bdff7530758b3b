"""What will be measured is decided, and said, before anything is computed."""

from __future__ import annotations

from pathlib import Path

import pytest

from dyntools.errors import UsageError
from dyntools.metrics import METRICS, PRESETS
from dyntools.opening import open_run
from dyntools.plan import make_plan, parse


def test_a_request_is_a_name_and_settings() -> None:
    task = parse("spectral_norm:route=lanczos")
    assert task.name == "spectral_norm"
    assert task.settings["route"] == "lanczos"


@pytest.mark.parametrize(
    ("request_text", "sentence"),
    [
        ("spectral_nrom", "spectral_norm"),
        ("spectral_norm:rout=lanczos", "route"),
        ("spectral_norm:lanczos", "key=value"),
        ("spectral_norm:route=fast", "route"),
    ],
)
def test_a_mistaken_request_is_answered_with_the_nearest(
    request_text: str, sentence: str, small_run: Path
) -> None:
    with pytest.raises(UsageError) as error:
        make_plan(open_run(small_run), [request_text])
    assert sentence in str(error.value)


def test_without_options_everything_the_files_allow(small_run: Path) -> None:
    plan = make_plan(open_run(small_run))
    assert {task.name for task in plan.tasks} == {metric.name for metric in METRICS}
    assert not plan.left_out


def test_order_is_that_of_the_list_whatever_was_asked_first(small_run: Path) -> None:
    plan = make_plan(open_run(small_run), ["weight_norm", "layer_rotation"])
    order = [metric.name for metric in METRICS]
    assert [task.name for task in plan.tasks] == sorted(
        ["weight_norm", "layer_rotation"], key=order.index
    )


def test_a_preset_and_a_metric_add_up_and_settings_win(small_run: Path) -> None:
    plan = make_plan(open_run(small_run), ["spectral_norm:route=spectrum"], "quick")
    names = [task.name for task in plan.tasks]
    assert set(names) == {parse(request).name for request in PRESETS["quick"]}
    (task,) = [task for task in plan.tasks if task.name == "spectral_norm"]
    assert task.settings["route"] == "spectrum"


def test_what_is_missing_everywhere_is_refused_if_named_and_listed_if_not(small_run: Path) -> None:
    (small_run / "log.jsonl").unlink()
    run = open_run(small_run)
    plan = make_plan(run)
    assert "--logs" in plan.left_out["generalization_gap"]
    assert "layer_rotation" in {task.name for task in plan.tasks}
    with pytest.raises(UsageError, match="generalization_gap cannot be measured"):
        make_plan(run, ["generalization_gap"])


def test_logs_alone_allow_the_log_metrics(small_run: Path) -> None:
    plan = make_plan(open_run(small_run / "log.jsonl"))
    assert not plan.of_weights
    assert plan.of_log


def test_an_unknown_preset_is_answered(small_run: Path) -> None:
    with pytest.raises(UsageError, match="no preset"):
        make_plan(open_run(small_run), preset="everything")
