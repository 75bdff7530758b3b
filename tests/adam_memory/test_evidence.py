"""From series to evidence: means and worst cases over steps, shapes, what was not measured."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from dyntools.adam_memory import by_kind, decide, evidence_of, without
from dyntools.errors import ReportError
from dyntools.forms import FACTORED, in_blocks, mean_over
from dyntools.layer_kinds import Kinds
from dyntools.report import Omission, Report
from tests.adam_memory.hand_made import compression_series, report, snr_series

SHAPES = {"a.fc1.weight": (4, 8), "ln.weight": (8,), "conv.weight": (2, 3, 5, 1)}
NAN, INF = math.nan, math.inf


def candidate(found: object, name: str, label: str) -> object:
    (tensor,) = [t for t in found.tensors if t.name == name]  # type: ignore[attr-defined]
    (one,) = [c for c in tensor.candidates if c.label == label]
    return one


def test_the_ratio_is_the_plain_mean_over_the_steps_that_have_one() -> None:
    snr = {"a.fc1.weight": {"0": [1.0, NAN, 4.0], "1": [0.5, 0.5, 2.0], "0,1": [NAN] * 3}}
    found = evidence_of(report(snr_series(SHAPES, snr, steps=(1, 5, 9))))
    assert found.steps == (1, 5, 9)
    assert candidate(found, "a.fc1.weight", "axes 0").snr == 2.5
    assert candidate(found, "a.fc1.weight", "axes 1").snr == 1.0
    assert math.isnan(candidate(found, "a.fc1.weight", "axes 0,1").snr)


def test_a_number_whose_status_is_not_ok_does_not_count() -> None:
    series = snr_series(SHAPES, {"a.fc1.weight": {"0": [1.0, 9.0]}}, steps=(1, 2))
    status = series.status.copy()
    status[1] = 2
    found = evidence_of(report(replace(series, status=status)))
    assert candidate(found, "a.fc1.weight", "axes 0").snr == 1.0
    assert found.steps == (1,)


def test_a_constant_tensor_stays_infinite_in_the_mean() -> None:
    snr = {"a.fc1.weight": {"1": [0.1, INF, 0.1]}}
    found = evidence_of(report(snr_series(SHAPES, snr, steps=(1, 2, 3))))
    assert candidate(found, "a.fc1.weight", "axes 1").snr == INF


def test_a_step_of_noise_alone_does_not_decide_the_corrected_ratio() -> None:
    """At the first step v averages one square: an infinite correction there is ignorance."""
    snr = {"a.fc1.weight": {"0": [0.6, 0.4], "1": [0.6, 0.6], "0,1": [0.6, INF]}}
    right = {"a.fc1.weight": {"0": [INF, 0.5], "1": [INF, INF], "0,1": [0.7, INF]}}
    found = evidence_of(report(snr_series(SHAPES, snr, corrected=right, steps=(1, 2))))
    assert candidate(found, "a.fc1.weight", "axes 0").corrected == 0.5
    assert candidate(found, "a.fc1.weight", "axes 1").corrected == INF
    assert candidate(found, "a.fc1.weight", "axes 0,1").corrected == INF


def test_errors_are_the_worst_over_the_steps() -> None:
    errors = {"a.fc1.weight": {"axes 1": [0.1, 0.3], "factored": [0.2, NAN], "adam-mini": [0, 0.5]}}
    found = evidence_of(report(compression_series(SHAPES, errors, steps=(1, 2))))
    one = candidate(found, "a.fc1.weight", "axes 1")
    assert (one.update_error, one.cosine, one.v_error) == (0.3, 0.7, 0.6)
    assert math.isnan(one.snr)
    assert candidate(found, "a.fc1.weight", "factored").update_error == 0.2
    assert candidate(found, "a.fc1.weight", "factored").form == FACTORED
    assert candidate(found, "a.fc1.weight", "adam-mini").form == in_blocks(4)


@pytest.mark.parametrize("shape", [(4, 8), (7,), (2, 3, 5), (1, 6), (3, 1, 5, 2)])
def test_the_shape_is_found_from_what_is_kept(shape: tuple[int, ...]) -> None:
    found = evidence_of(report(snr_series({"w": shape}, {"w": {}}, steps=(1,)), ok()))
    (tensor,) = [t for t in found.tensors if t.name == "w"]
    assert tensor.shape == shape
    assert tensor.size == math.prod(shape)


def ok() -> object:
    return compression_series({"other": (2, 2)}, {"other": {"axes 0": [0.1]}}, steps=(1,))


def test_axes_of_length_one_at_the_end_are_not_seen() -> None:
    snr = {"conv.weight": {"0,1": [3.0]}}
    found = evidence_of(report(snr_series(SHAPES, snr, steps=(1,))))
    (conv,) = [t for t in found.tensors if t.name == "conv.weight"]
    assert conv.shape == (2, 3, 5)
    assert mean_over(0, 1).values(conv.shape) == 5
    assert len(conv.candidates) == 7


def test_both_series_meet_in_one_candidate() -> None:
    both = report(
        snr_series(SHAPES, {"a.fc1.weight": {"1": [3.0]}}, steps=(1,)),
        compression_series(SHAPES, {"a.fc1.weight": {"axes 1": [0.2]}}, steps=(1,)),
    )
    one = candidate(evidence_of(both), "a.fc1.weight", "axes 1")
    assert (one.snr, one.update_error) == (3.0, 0.2)


def test_steps_restrict_and_keep_every_tensor() -> None:
    snr = {"a.fc1.weight": {"0": [1.0, 2.0]}, "ln.weight": {"0": [NAN, 3.0]}}
    whole = report(snr_series(SHAPES, snr, steps=(1, 2)))
    first = evidence_of(whole, steps=[1])
    assert first.steps == (1,)
    assert candidate(first, "a.fc1.weight", "axes 0").snr == 1.0
    assert [t.shape for t in first.tensors] == [t.shape for t in evidence_of(whole).tensors]
    assert not first.tensors[1].measured
    assert first.tensors[1].reason == "nothing was measured of it"
    with pytest.raises(ReportError, match="at these steps") as error:
        evidence_of(whole, steps=[7])
    assert error.value.remedy == "steps: 1, 2"


def test_what_was_not_measured_has_its_reason() -> None:
    skipped = {"ln.weight": "its second moment is zero", "lost": "the optimizer holds no state"}
    series = snr_series(SHAPES, {"a.fc1.weight": {"0": [1.0]}}, steps=(1,), skipped=skipped)
    found = evidence_of(report(series))
    reasons = {t.name: t.reason for t in found.tensors}
    assert reasons["a.fc1.weight"] == ""
    assert reasons["ln.weight"] == "its second moment is zero"
    assert found.left_out == {"lost": "the optimizer holds no state"}


def test_kinds_are_those_of_the_report_or_given() -> None:
    series = snr_series(SHAPES, {"a.fc1.weight": {"0": [1.0]}}, steps=(1,))
    assert [t.kind for t in evidence_of(report(series)).tensors] == ["mlp up", "norm", "conv"]
    told = report(series, kinds=[["a.*", "norm"]])
    assert evidence_of(told).tensors[0].kind == "norm"
    assert evidence_of(told, kinds=Kinds((("a.*", "head"),))).tensors[0].kind == "head"


def test_averages_by_kind_are_over_layers() -> None:
    shapes = {f"{i}.fc1.weight": (4, 8) for i in range(3)}
    snr = {name: {"0": [float(i), i + 2.0]} for i, name in enumerate(shapes)}
    snr["2.fc1.weight"]["0"] = [NAN, NAN]
    found = by_kind(evidence_of(report(snr_series(shapes, snr, steps=(1, 2)))))
    assert found == {"mlp up": {"axes 0": 1.5}}


def test_settings_of_the_average_are_carried() -> None:
    series = snr_series(SHAPES, {"a.fc1.weight": {"0": [1.0]}}, steps=(1,), n_eff=7.0)
    found = evidence_of(report(series))
    assert (found.n_eff, found.ceiling, found.source) == (7.0, 19.5, "by hand")
    assert found.size == 32 + 8 + 30


def test_a_report_without_moments_says_what_to_do() -> None:
    with pytest.raises(ReportError, match="no second moments") as error:
        evidence_of(Report())
    assert "dyntools analyze" in (error.value.remedy or "")


def test_a_run_of_another_optimizer_says_why() -> None:
    series = snr_series({}, {}, steps=(1,))
    series = replace(series, omissions=(Omission("", "the optimizer is not Adam but sgd", (1,)),))
    with pytest.raises(ReportError) as error:
        evidence_of(report(series))
    assert "not Adam but sgd" in (error.value.found or "")


def test_contradictions_and_other_dimensions_are_errors() -> None:
    series = snr_series(SHAPES, {"a.fc1.weight": {"0": [1.0]}}, steps=(1,))
    kept = np.where(series.beside["kept"] == 8, 5, series.beside["kept"])
    wrong = replace(series, beside={**series.beside, "kept": kept})
    with pytest.raises(ReportError, match=r"shape of a\.fc1\.weight"):
        evidence_of(report(wrong))
    with pytest.raises(ReportError, match="other dimensions"):
        evidence_of(report(replace(series, dims=("block", "axes"))))


def test_a_decision_can_be_made_from_either_series() -> None:
    errors = {"a.fc1.weight": {"axes 1": [0.05], "8-bit": [0.01]}}
    found = evidence_of(report(compression_series(SHAPES, errors, steps=(1,))))
    assert decide(found, "update-error").forms["a.fc1.weight"] == mean_over(1)


def test_a_form_can_be_taken_out() -> None:
    errors = {"a.fc1.weight": {"axes 1": [0.5], "8-bit": [0.01]}}
    found = evidence_of(report(compression_series(SHAPES, errors, steps=(1,))))
    assert decide(found, "update-error").needs_library
    runnable = without(found, "8-bit")
    assert [c.label for c in runnable.tensors[0].candidates] == ["axes 1"]
    assert not decide(runnable, "update-error").needs_library
    assert len(found.tensors[0].candidates) == 2


@pytest.mark.parametrize("label", ["subset-norm", "adam-mini"])
@pytest.mark.parametrize(
    ("axis", "form"), [(0, mean_over(0)), (1, mean_over(1)), (np.nan, in_blocks(8))]
)
def test_a_partition_is_the_one_that_was_measured(label: str, axis: float, form: object) -> None:
    """Of a square matrix eight numbers may be rows, columns or runs; a column is no run."""
    series = compression_series(
        {"w": (8, 8)}, {"w": {"axes 0": [0.1], "adam-mini": [0.1]}}, steps=(1,)
    )
    series = replace(series, coords={**series.coords, "form": ("axes 0", label)})
    series.beside["kept"][..., 1] = 8
    beside = {**series.beside, "axis": np.full(series.values.shape, float(axis))}
    series = replace(series, beside=beside)
    assert candidate(evidence_of(report(series)), "w", label).form == form


def test_shapes_that_the_report_knows_come_before_those_found() -> None:
    """A (64, 1) weight is no norm, a 1 × 1 convolution no matrix, a single value has a size."""
    shapes = {"0.weight": (64, 1), "conv.weight": (8, 4, 1, 1), "scalar": ()}
    seen = {name: shape for name, shape in shapes.items() if shape}
    series = snr_series(seen, {"0.weight": {"0": [2.0]}}, steps=(1,))
    series = replace(series, omissions=(Omission("scalar", "nothing to average", (1,)),))
    whole = replace(report(series), attributes={"shapes": {n: [*s] for n, s in shapes.items()}})
    found = evidence_of(whole)
    assert {t.name: t.shape for t in found.tensors} == shapes
    kinds = {t.name: t.kind for t in found.tensors}
    assert kinds["0.weight"] != "norm"
    assert kinds["conv.weight"] == "conv"
    assert found.size == 64 + 32 + 1
    assert not found.left_out
    wrong = replace(whole, attributes={"shapes": {"0.weight": [63, 1]}})
    with pytest.raises(ReportError, match="contradicts itself"):
        evidence_of(wrong)


def test_a_form_of_a_later_version_is_not_taken_for_another() -> None:
    series = compression_series({"w": (4, 8)}, {"w": {"axes 0": [0.1]}}, steps=(1,))
    series = replace(series, coords={**series.coords, "form": ("sketched",)})
    with pytest.raises(ReportError, match="does not know"):
        evidence_of(report(series))
