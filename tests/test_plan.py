"""What will be measured is decided, and said, before anything is computed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dyntools.errors import UsageError
from dyntools.metrics import METRICS, PRESETS
from dyntools.opening import open_run
from dyntools.plan import MISSING, by_reason, make_plan, parse, with_sampling_errors
from dyntools.problem import Problem
from dyntools.problem.second_moments import Estimate

LOSS = Problem(torch.nn.Linear(2, 1), [torch.ones(3, 2)], lambda outputs, batch: outputs.mean())


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
    absent = {"problem", "optimizer", "moments", "gradients"}
    able = {metric.name for metric in METRICS if not absent & set(metric.needs)}
    assert {task.name for task in plan.tasks} == able
    assert set(plan.left_out) == {metric.name for metric in METRICS} - able
    assert "--estimate-second-moments" in plan.left_out["second_moment_snr"]
    assert "--problem FILE.py:NAME" in plan.left_out["hessian_top"]
    assert len(by_reason(plan.left_out)) == 3  # moments, gradients of training, the loss


def test_second_moments_may_be_estimated_where_there_is_a_loss(small_run: Path) -> None:
    run, estimate = open_run(small_run), Estimate(20)
    plan = make_plan(run, ["second_moment_snr"], problem=LOSS, estimate=estimate)
    assert plan.problem is LOSS
    assert plan.estimate == estimate
    (task,) = plan.tasks
    told = task.entry("step", "hash: 3 examples", estimate)["settings"]
    assert told == {"probe": "hash: 3 examples", "second_moments": estimate.sentence}
    with pytest.raises(UsageError, match="estimate its second moments"):
        make_plan(run, ["second_moment_snr"], estimate=estimate)
    assert make_plan(run, ["weight_norm"], problem=LOSS, estimate=estimate).estimate is None


def test_with_a_loss_what_needs_one_is_measured_too(small_run: Path) -> None:
    plan = make_plan(open_run(small_run), problem=LOSS)
    assert plan.problem is LOSS
    assert {"hessian_top", "weight_norm"} <= {task.name for task in plan.tasks}
    missing = {MISSING[need] for need in ("optimizer", "moments", "validation")}
    assert set(by_reason(plan.left_out)) <= missing
    assert make_plan(open_run(small_run), preset="quick", problem=LOSS).problem is None


def test_the_sharpness_of_the_papers_is_a_preset(small_run: Path) -> None:
    plan = make_plan(open_run(small_run), preset="sharpness", problem=LOSS)
    assert "hessian_top" in {task.name for task in plan.tasks}
    with pytest.raises(UsageError, match="Nothing can be measured"):
        make_plan(open_run(small_run), preset="sharpness")


def test_a_problem_beside_the_checkpoints_is_named_and_no_more(small_run: Path) -> None:
    (small_run / "problem.py").write_text("raise SystemExit('was run')")
    plan = make_plan(open_run(small_run))
    assert plan.left_out["hessian_top"].endswith(f"--problem {small_run / 'problem.py'}")
    with pytest.raises(UsageError, match=r"problem\.py"):
        make_plan(open_run(small_run), ["hessian_top"])


def test_sampling_errors_are_laid_over_what_was_not_said(small_run: Path) -> None:
    run = open_run(small_run)
    plan = make_plan(run, ["hessian_top", "weight_norm"], problem=LOSS)
    found = {task.name: task.settings for task in with_sampling_errors(plan).tasks}
    assert found["hessian_top"]["groups"] == 4
    assert "groups" not in found["weight_norm"]
    plan = make_plan(run, ["hessian_top:groups=7"], problem=LOSS)
    assert with_sampling_errors(plan) == plan
    with pytest.raises(UsageError, match="No metric"):
        with_sampling_errors(make_plan(run, ["weight_norm"]))


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
