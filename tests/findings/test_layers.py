"""Rules over layers: stuck ones, collapsed ranks, growing norms."""

from __future__ import annotations

import numpy as np
import pytest

from dyntools.findings import Severity
from dyntools.findings.layer_stuck import rule as layer_stuck
from dyntools.findings.norm_growth import rule as norm_growth
from dyntools.findings.rank_collapse import rule as rank_collapse
from dyntools.report import Report
from tests.findings.reports import layer_report
from tests.metrics.logs.hand_made import log_of

MOVING = {"h.0": [0.0, 0.3], "h.1": [0.0, 0.4], "h.2": [0.0, 0.5]}


def rotation(**more: list[float]) -> Report:
    return layer_report("layer_rotation", {**MOVING, **more}, steps=[0, 500])


def test_a_layer_far_behind_the_others_is_stuck() -> None:
    (found,) = layer_stuck(rotation(head=[0.0, 0.004]))
    assert found.severity is Severity.watch
    assert found.layers == ("head",)
    assert found.sentence == (
        "head has turned by 0.004 (cosine distance from its start) by step 500; "
        "the median layer by 0.35."
    )
    assert "could not reproduce" in found.caveat


def test_the_most_stuck_comes_first() -> None:
    (found,) = layer_stuck(rotation(a=[0.0, 0.01], b=[0.0, 0.001]))
    assert found.layers == ("b", "a")
    assert found.sentence.startswith("2 layers have hardly turned. b has")


def test_layers_that_do_not_move_at_all_are_a_note_of_their_own() -> None:
    (found,) = layer_stuck(rotation(frozen=[0.0, 0.0]))
    assert found.severity is Severity.note
    assert found.layers == ("frozen",)
    assert "1 layer did not move at all" in found.sentence


def test_layers_that_move_alike_are_silent() -> None:
    assert layer_stuck(rotation()) == ()
    assert layer_stuck(rotation(slower=[0.0, 0.05])) == ()


def test_at_the_start_or_with_two_layers_nothing_can_be_compared() -> None:
    start = layer_report(
        "layer_rotation", {name: [0.001] for name in "abc"} | {"d": [1e-6]}, steps=[1]
    )
    assert layer_stuck(start) == ()
    two = layer_report("layer_rotation", {"a": [0.5], "b": [0.5], "c": [0.0]}, steps=[1])
    assert layer_stuck(two) == ()


def test_a_step_without_values_is_passed_over() -> None:
    report = layer_report(
        "layer_rotation",
        {**{name: [*column, np.nan] for name, column in MOVING.items()}, "x": [0, 0.001, np.nan]},
        steps=[0, 500, 1000],
    )
    assert layer_stuck(report)[0].step == 500


RANKS = {"mlp": [400.0, 120.0], "attn": [400.0, 390.0]}


def test_a_rank_far_below_its_start_and_the_null_has_collapsed() -> None:
    report = layer_report(
        "effective_rank", RANKS, steps=[0, 500],
        initial={"mlp": 410.0, "attn": 410.0}, null={"mlp": 412.0, "attn": 412.0},
    )  # fmt: skip
    (found,) = rank_collapse(report)
    assert found.layers == ("mlp",)
    assert found.sentence == (
        "mlp has an effective rank of 120 at step 500, 29 % of the 410 it had at initialisation."
    )
    assert found.evidence == ("mlp: 120, start 410, random matrix 412",)
    assert "2602.20433" in found.caveat


def test_without_an_initial_model_the_first_checkpoint_is_the_start() -> None:
    (found,) = rank_collapse(layer_report("effective_rank", RANKS, steps=[0, 500]))
    assert "of the 400 it had at its first checkpoint" in found.sentence


def test_a_low_rank_from_the_start_is_no_collapse() -> None:
    report = layer_report(
        "effective_rank", {"a": [30.0, 28.0]}, steps=[0, 1], initial={"a": 30.0}, null={"a": 400.0}
    )
    assert rank_collapse(report) == ()


def test_a_layer_that_began_without_any_rank_has_lost_none() -> None:
    """The share of a start of 0 is no number; it was a warning, which pages and tests met."""
    report = layer_report(
        "effective_rank", {"a": [0.0, 0.0]}, steps=[0, 1], initial={"a": 0.0}, null={"a": 400.0}
    )
    assert rank_collapse(report) == ()


def test_a_rank_that_fell_to_a_random_matrixs_is_no_collapse() -> None:
    """An orthogonal start has full rank; half of it can still be more than half of the null."""
    report = layer_report(
        "effective_rank",
        {"a": [400.0, 180.0]},
        steps=[0, 1],
        initial={"a": 400.0},
        null={"a": 322.0},
    )
    assert rank_collapse(report) == ()


GROWING = {"a": [1.0, 2.0, 3.0], "b": [1.0, 1.1, 1.1], "c": [1.0, 3.0, 3.0]}
RATIOS = {"a": 3.0, "b": 1.1, "c": 3.0}


def test_a_norm_that_grew_and_still_grows() -> None:
    report = layer_report(
        "weight_norm", GROWING, steps=[0, 100, 200], ratio_to_initial=RATIOS, rms={"a": 0.05}
    )
    (found,) = norm_growth(report)
    assert found.layers == ("a",)
    assert found.sentence == (
        "The norm of a is 3 times its start at step 200 and grew by 50 % over the second half of "
        "the run."
    )
    assert "sqrt(eta / (2 lambda))" in found.remedy


def test_the_balancing_weight_decay_is_named_where_the_rate_is_known() -> None:
    """rms = sqrt(eta / (2 lambda)): 0.05 at a rate of 3e-4 is held by lambda = 0.06."""
    log = log_of(learning_rate=([1, 100, 200], [1e-4, 3e-4, 0.0]))
    report = layer_report(
        "weight_norm",
        GROWING,
        steps=[0, 100, 200],
        log=log,
        ratio_to_initial=RATIOS,
        rms={"a": 0.05},
    )
    assert "a weight decay of about 0.06 (AdamW" in norm_growth(report)[0].remedy


def test_biases_are_left_out() -> None:
    report = layer_report(
        "weight_norm",
        {"a.bias": [1.0, 2.0, 3.0]},
        steps=[0, 1, 2],
        ratio_to_initial={"a.bias": 3.0},
    )
    assert norm_growth(report) == ()


def test_long_evidence_is_cut_and_counted() -> None:
    names = [f"h.{i}" for i in range(9)]
    report = layer_report(
        "weight_norm",
        {name: [1.0, 2.0, 3.0] for name in names},
        steps=[0, 1, 2],
        ratio_to_initial=dict.fromkeys(names, 3.0),
    )
    (found,) = norm_growth(report)
    assert len(found.layers) == 9
    assert len(found.evidence) == 6
    assert found.evidence[-1] == "and 4 more"


@pytest.mark.parametrize("ratio", [np.nan, np.inf])
def test_a_tensor_that_began_at_zero_has_no_ratio(ratio: float) -> None:
    report = layer_report(
        "weight_norm", {"a": [0.0, 1.0, 2.0]}, steps=[0, 1, 2], ratio_to_initial={"a": ratio}
    )
    assert norm_growth(report) == ()


def test_two_checkpoints_cannot_tell_that_it_still_grows() -> None:
    report = layer_report(
        "weight_norm", {"a": [1.0, 9.0]}, steps=[0, 1], ratio_to_initial={"a": 9.0}
    )
    assert norm_growth(report) == ()


def test_absent_companions_are_no_error() -> None:
    assert norm_growth(layer_report("weight_norm", GROWING, steps=[0, 100, 200])) == ()
