"""Verdicts: what passes, what fails, and that everything else says what it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dyntools.checks.baseline import baseline_of, read, write
from dyntools.checks.judging import judge
from dyntools.checks.limit import parse
from dyntools.checks.verdict import Check, Outcome, Verdict
from dyntools.errors import UsageError
from dyntools.measurement import Status
from dyntools.report import CheckpointRow, Report
from tests.gates import gate_report, lost
from tests.views.conftest import make_series

STEPS = (0, 10, 20)
FAIL, PASS = Verdict.fail, Verdict.passed
UNSURE, APART = Verdict.inconclusive, Verdict.not_comparable


def report(value: float, error: float = 0.0, metric: str = "hessian_trace", **more: Any) -> Report:
    """One metric of one number a step: half of `value`, then three quarters, then `value`."""
    values = np.array([0.5, 0.75, 1.0]) * value
    series = make_series(metric, STEPS, values, dims=(), error=np.full(3, error))
    return Report(series={metric: replace(series, **more)})


def seeds(values: Sequence[float], metric: str = "sparsity", **more: Any) -> list[Report]:
    return [report(value, metric=metric, **more) for value in values]


def only(
    reports: Sequence[Report] | Report, baseline: Sequence[Report] | Report | None, limit: str
) -> Check:
    """The one check, and what the outcome says of it."""
    now = [reports] if isinstance(reports, Report) else reports
    before = [baseline] if isinstance(baseline, Report) else baseline
    outcome = judge(now, before, [parse(limit)])
    (check,) = outcome.checks
    assert outcome.verdict == check.verdict
    assert check.sentence.endswith(".")
    return check


TRACE = "hessian_trace@last"


@pytest.mark.parametrize(
    ("before", "now", "error", "relation", "verdict", "says"),
    [
        (10, 10.5, 0, "within 10%", PASS, "rose from 10 to 10.5 (+5%), within 10%"),
        (10, 10.5, 0, "within 1%", FAIL, "rose from 10 to 10.5 (+5%), beyond 1%"),
        (10, 10.5, 0, "within 1% or 0.6", PASS, "within 1% or 0.6"),
        (10, 10.5, 0, "within 0.4", FAIL, "beyond 0.4"),
        (10, 10.5, 0, "not above by 1%", FAIL, "beyond 1%"),
        (10, 10.5, 0, "not below by 1%", PASS, "within 1%"),
        (10, 9.5, 0, "not above by 1%", PASS, "fell from 10 to 9.5 (-5%)"),
        (10, 9.5, 0, "not below by 1%", FAIL, "beyond 1%"),
        (-10, -9.5, 0, "within 1%", FAIL, "rose from -10 to -9.5 (+5%)"),
        (10, 10, 0, "within 0", PASS, "stayed at 10, within 0"),
        (0, 0.5, 0, "within 10%", FAIL, "rose from 0 to 0.5, beyond 10%"),
        # Error bars: 1.96 standard errors of both sides together.
        (10, 10.1, 0.1, "within 10%", PASS, "within 10%"),
        (10, 10.1, 0.5, "within 10%", UNSURE, "but its error bar of ±1.4"),
        (10, 11.2, 0.1, "within 10%", UNSURE, "beyond 10%, but by less than its uncertainty"),
        (10, 12.0, 0.1, "within 10%", FAIL, "beyond 10% and beyond chance"),
        (10, 10, 0.1, "within 0", UNSURE, "but its error bar"),
    ],
)
def test_one_report_a_side(
    before: float, now: float, error: float, relation: str, verdict: Verdict, says: str
) -> None:
    check = only(report(now, error), report(before, error), f"{TRACE} {relation}")
    assert check.verdict == verdict, check.sentence
    assert says in check.sentence


@pytest.mark.parametrize(
    ("now", "error", "relation", "verdict"),
    [
        (39, 0, "below 40", PASS),
        (40, 0, "below 40", PASS),
        (41, 0, "below 40", FAIL),
        (41, 0, "above 40", PASS),
        (39, 0, "above 40", FAIL),
        (39, 1, "below 40", UNSURE),
        (41, 1, "below 40", UNSURE),
        (45, 1, "below 40", FAIL),
        (35, 1, "below 40", PASS),
    ],
)
def test_a_bound_needs_no_baseline(
    now: float, error: float, relation: str, verdict: Verdict
) -> None:
    check = only(report(now, error), None, f"{TRACE} {relation}")
    assert check.verdict == verdict, check.sentence
    beyond = (now < 40) if "above" in relation else (now > 40)
    said = f"It is {now}, not {relation}" if beyond else f"It is {now}, within the limit {relation}"
    assert check.sentence.startswith(said)
    assert (check.baseline, check.change, check.tolerance) == (None, None, 40.0)


@pytest.mark.parametrize("relation", ["within 10%", "within 1%", "below 40", "above 40"])
def test_an_error_that_is_not_known_decides_nothing(relation: str) -> None:
    """Neither pass nor fail, whether the metric gives no error or NaN; and through the file."""
    nan = np.full(3, np.nan)
    known, missing, unknown = report(10), report(10.5, error=math.nan), report(10.5)
    unknown = Report(series={"hessian_trace": replace(unknown["hessian_trace"], error=None)})
    assert np.array_equal(missing["hessian_trace"].error, nan, equal_nan=True)
    for now in (missing, unknown):
        check = only(now, None if "4" in relation else known, f"{TRACE} {relation}")
        assert check.verdict == UNSURE, check.sentence
        assert "its error is not known" in check.sentence
        assert check.now_error is None
    if "within" in relation:
        check = only(known, missing, f"{TRACE} {relation}")
        assert (check.verdict, check.baseline_error) == (UNSURE, None)
        assert "not known in the baseline" in check.sentence
    exact = only(report(10.5, math.nan, metric="sparsity"), None, "sparsity below 40")
    assert exact.verdict == PASS


def test_several_seeds_need_no_error_of_their_own() -> None:
    before = [report(value, math.nan) for value in (10.0, 10.1, 9.9, 10.05, 9.95)]
    for scale, verdict in ((1.0, PASS), (2.0, FAIL)):
        now = [report(scale * value, math.nan) for value in (10.02, 10.08, 9.92, 10.04, 9.96)]
        assert only(now, before, f"{TRACE} within 20%").verdict == verdict
    bounded = [report(v, math.nan, metric="hessian_top") for v in (10.0, 10.1, 9.9)]
    found = only(report(10, math.nan, metric="hessian_top"), bounded, "hessian_top within 20%")
    assert found.verdict == PASS


def test_a_companion_without_an_error_is_told() -> None:
    """Of a metric that has errors it is judged by the tolerance, and the reader told so."""
    for metric, told in (("weight_norm", True), ("sparsity", False)):
        one = report(10.0, metric=metric)
        given = Report(series={metric: replace(one[metric], beside={"rms": np.ones(3)})})
        outcome = judge([given], None, [parse(f"{metric}.rms below 2")])
        assert outcome.verdict == PASS
        assert any(f"No error is known of {metric}.rms" in n for n in outcome.notes) == told


def test_a_certain_bound_adds_up_and_needs_no_chance() -> None:
    """Residual bounds of 0.3 on either side: 0.6 of the change, and no p."""
    before = report(10, 0.3, metric="gauss_newton_top")
    for change, verdict in ((1.5, UNSURE), (0.8, PASS)):
        now = report(10 + change, 0.3, metric="gauss_newton_top")
        found = only(now, before, "gauss_newton_top within 1.5")
        assert found.verdict == verdict, found.sentence
        assert found.uncertainty == pytest.approx(0.6)
        assert found.p is None
        tight = only(now, before, "gauss_newton_top within 0.1")
        assert tight.verdict == FAIL
        assert "by more than its error bars of ±0.6" in tight.sentence


def test_numbers_of_a_check() -> None:
    check = only(report(12.0, 0.3), report(10.0, 0.4), f"{TRACE} within 1")
    assert (check.baseline, check.now, check.change) == (10.0, 12.0, 2.0)
    assert (check.baseline_error, check.now_error) == (0.4, 0.3)
    assert check.relative_change == pytest.approx(0.2)
    assert check.tolerance == 1.0
    assert check.uncertainty == pytest.approx(1.959964 * 0.5, rel=1e-5)
    assert check.detectable == pytest.approx(1 + 1.959964 * 0.5, rel=1e-5)
    assert (check.samples, check.limit) == ((1, 1), f"{TRACE} within 1")


BASE = (10.0, 10.2, 9.9, 10.1, 9.8)


def test_several_seeds_a_side() -> None:
    before = seeds(BASE)
    check = only(seeds([v + 3 for v in BASE]), before, "sparsity within 10%")
    assert check.verdict == FAIL, check.sentence
    assert (check.samples, check.effect) == ((5, 5), 1.0)
    assert check.p == pytest.approx(1 / 252)
    assert "p = 0.004" in check.sentence
    same = only(seeds([v + 0.05 for v in BASE]), before, "sparsity within 10%")
    assert same.verdict == PASS, same.sentence
    wide = only(seeds([v + 0.05 for v in BASE]), before, "sparsity within 1%")
    assert wide.verdict == UNSURE
    assert "error bar" in wide.sentence


def test_too_few_seeds_say_so_however_large_the_change() -> None:
    check = only(seeds([99.0, 98.0, 97.0]), seeds(BASE[:3]), "sparsity within 0")
    assert check.verdict == UNSURE
    assert "3 against 3 reports can give no p below 0.1" in check.sentence
    assert "it takes 4 a side" in check.sentence
    assert check.detectable is None


def test_many_checks_and_few_seeds_are_judged_by_whole_reports() -> None:
    """5 against 5 over 40 layers: nothing by Holm, yet a gross change in one layer is seen."""
    generator = np.random.default_rng(0)
    layers = tuple(f"h.{i}.weight" for i in range(40))

    def side(shift: float) -> list[Report]:
        found = []
        for _ in range(5):
            values = 10 + 0.1 * generator.normal(size=(1, 40))
            values[0, 7] += shift
            series = make_series("sparsity", (10,), values, coords={"layer": layers})
            found.append(Report(series={"sparsity": series}))
        return found

    outcome = judge(side(5.0), side(0.0), [parse("sparsity within 10%")])
    failed = [check for check in outcome.checks if check.verdict == FAIL]
    assert [check.entry for check in failed] == ["h.7.weight"]
    assert "by max T over 40 tests" in failed[0].sentence
    assert failed[0].p_adjusted is not None
    assert 1 / 252 <= failed[0].p_adjusted <= 2 / 252


def test_chance_over_all_checks_is_counted() -> None:
    """p = 0.01 fails alone, and not among a hundred."""
    z = 2.6
    alone = only(report(10 + z * 2**0.5, 1.0), report(10.0, 1.0), f"{TRACE} within 0")
    assert alone.verdict == FAIL
    layers = tuple(f"h.{i}" for i in range(100))
    values = np.full((1, 100), 10.0)
    changed = values.copy()
    changed[0, 0] += z * 2**0.5
    sides = [
        Report(
            series={
                "block_sharpness": make_series(
                    "block_sharpness",
                    (10,),
                    v,
                    dims=("block",),
                    coords={"block": layers},
                    error=np.ones_like(v),
                )
            }
        )
        for v in (values, changed)
    ]
    check = judge([sides[1]], [sides[0]], [parse("block_sharpness within 0")]).checks
    found = next(one for one in check if one.entry == "h.0")
    assert found.verdict == UNSURE
    assert "not by more than chance over all checks" in found.sentence
    assert found.p_adjusted == pytest.approx(100 * (found.p or 0))


def test_exact_checks_do_not_dilute_those_with_chance() -> None:
    both = {**report(10.0, 1.0).series, **gate_report().series}
    before = Report(series=both)
    after = Report(series={**both, **report(14.0, 1.0).series})
    limits = [parse("hessian_trace within 0"), parse("effective_rank within 10%")]
    found = judge([after], [before], limits).checks
    assert found[0].metric == "hessian_trace"
    assert found[0].p_adjusted == found[0].p


def test_one_report_against_several() -> None:
    check = only(report(10.3, metric="sparsity"), seeds(BASE), "sparsity within 10%")
    assert check.verdict == PASS, check.sentence
    assert only(report(20, metric="sparsity"), seeds(BASE), "sparsity within 10%").verdict == FAIL
    near = only(report(11.2, metric="sparsity"), seeds(BASE), "sparsity within 10%")
    assert near.verdict == UNSURE
    turned = only(
        seeds([v * 2 for v in BASE]), report(10, metric="sparsity"), "sparsity within 10%"
    )
    assert turned.verdict == FAIL


@pytest.mark.parametrize(
    ("status", "verdict", "says"),
    [
        (Status.failed, FAIL, "could not be computed"),
        (Status.skipped, APART, "step 20 in the baseline, step 10 now"),
        (Status.absent, APART, "step 20 in the baseline, step 10 now"),
    ],
)
def test_a_number_that_is_missing_at_the_last_step(
    status: Status, verdict: Verdict, says: str
) -> None:
    good = report(10.0)
    bad = Report(
        series={
            "hessian_trace": replace(
                good.series["hessian_trace"], **lost(good.series["hessian_trace"], status)
            )
        }
    )
    check = only(bad, good, f"{TRACE} within 10%")
    assert check.verdict == verdict, check.sentence
    assert says in check.sentence
    if status == Status.failed:
        assert "where the baseline has 10" in check.sentence
        assert only(good, bad, f"{TRACE} within 10%").verdict == UNSURE
        both = only(bad, bad, f"{TRACE} within 10%")
        assert both.verdict == UNSURE
        assert "as in the baseline" in both.sentence
        assert only(bad, None, f"{TRACE} below 99").verdict == UNSURE
        over_steps = only(bad, good, "hessian_trace@mean within 100%")
        assert over_steps.verdict == FAIL
        assert "at step 20" in over_steps.sentence
        assert only(bad, None, "hessian_trace@max below 99").verdict == UNSURE
        assert only(bad, None, "hessian_trace@max below 6").verdict == FAIL


def test_a_metric_skipped_throughout_is_not_comparable() -> None:
    skipped = report(np.nan, status=np.full(3, Status.skipped, np.int8))
    check = only(skipped, report(10.0), f"{TRACE} within 10%")
    assert check.verdict == APART
    assert "skipped, for an input was missing" in check.sentence


def test_unconverged_is_never_a_pass() -> None:
    codes = np.array([0, 0, Status.unconverged], np.int8)
    doubtful = report(10.1, status=codes)
    check = only(doubtful, report(10.0), f"{TRACE} within 10%")
    assert check.verdict == UNSURE
    assert "did not converge now" in check.sentence
    check = only(report(10.1), doubtful, f"{TRACE} within 10%")
    assert "did not converge in the baseline" in check.sentence
    assert only(report(99, status=codes), report(10.0), f"{TRACE} within 10%").verdict == FAIL


def test_a_seed_without_a_number_is_never_a_pass() -> None:
    now = seeds(BASE)
    lost_one = now[0].series["sparsity"]
    now[0] = Report(series={"sparsity": replace(lost_one, **lost(lost_one))})
    check = only(now, seeds(BASE), "sparsity within 20%")
    assert check.verdict == UNSURE
    assert "1 of 5 reports have no number for it" in check.sentence
    assert check.samples == (5, 4)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": 2}, "The version of the metric differs"),
        ({"settings": {"seed": 1}}, "The setting seed differs: 0 in the baseline, 1 now"),
        ({"settings": {"seed": 0, "probe": "ab: 3"}}, "The loss was probed otherwise"),
        ({"unit": "x"}, "The unit differs"),
        ({"step_unit": "epoch"}, "The unit of the steps differs"),
        ({"steps": np.array([0, 10, 30])}, "at other steps of the training"),
    ],
)
def test_what_is_not_the_same_measurement_is_not_compared(
    change: dict[str, Any], says: str
) -> None:
    check = only(report(10.0, **change), report(10.0), f"{TRACE} within 10%")
    assert check.verdict == APART
    assert says in check.sentence
    assert only(report(10.0, **change), None, f"{TRACE} below 40").verdict == PASS


def test_entries_that_only_one_side_has() -> None:
    old, new = gate_report(layers=("a", "b")), gate_report(layers=("b", "c"))
    limits = [parse("effective_rank within 100%")]
    checks = {check.entry: check for check in judge([new], [old], limits).checks}
    assert {entry: check.verdict for entry, check in checks.items()} == {
        "a": APART,
        "b": PASS,
        "c": APART,
    }
    assert "the baseline does" in checks["a"].sentence
    assert "The baseline does not hold it" in checks["c"].sentence
    allowed = judge([new], [old], limits, allow_missing=True)
    assert [check.entry for check in allowed.checks] == ["b"]
    assert "left out, as not both sides have them: 2 checks" in allowed.notes


def test_a_metric_that_the_report_lacks() -> None:
    left_out = {"hessian_top": "the loss of the run is not known"}
    bare = Report({"left_out_metrics": left_out}, gate_report(only=["effective_rank"]).series)
    check = only(bare, gate_report(), "hessian_top[0] within 10%")
    assert check.verdict == APART
    assert "does not hold hessian_top: the loss of the run is not known." in check.sentence
    neither = only(bare, bare, "hessian_trace within 10%")
    assert neither.verdict == APART
    assert "it holds effective_rank" in neither.sentence
    with pytest.raises(UsageError, match="no metric 'hessian_tarce'") as raised:
        judge([bare], [bare], [parse("hessian_tarce within 1")], known=("hessian_trace", "x"))
    assert str(raised.value.remedy).startswith("hessian_trace")
    missing = judge([bare], [bare], [parse("hessian_trace within 1")], known=("hessian_trace",))
    assert missing.verdict == APART


def test_requests_that_cannot_be_met() -> None:
    good = gate_report()
    with pytest.raises(UsageError, match="No layer of effective_rank is like 'nope'"):
        judge([good], [good], [parse("effective_rank[nope] within 1")])
    with pytest.raises(UsageError, match="against a baseline, and there is none"):
        judge([good], None, [parse("effective_rank within 1")])
    with pytest.raises(UsageError, match="no report to check"):
        judge([], [good], [parse("effective_rank within 1")])
    with pytest.raises(UsageError, match="level lies between"):
        judge([good], [good], [parse("effective_rank within 1")], level=1.0)


def test_the_worst_first() -> None:
    names = ("a", "b", "c", "d")
    before, after = gate_report(layers=names), gate_report(layers=names)
    series = after.series["effective_rank"]
    values = series.values.copy()
    values[-1] *= [1.0, 1.3, 2.0, np.nan]
    worse = Report(series={"effective_rank": replace(series, values=values)})
    limits = [parse("effective_rank within 10%"), parse("hessian_trace within 10%")]
    outcome = judge([worse], [before], limits, report="now", against="then", source="here")
    assert [(c.verdict, c.entry) for c in outcome.checks[:3]] == [
        (FAIL, "c"),
        (FAIL, "b"),
        (FAIL, "d"),
    ]
    assert [c.verdict for c in outcome.checks[3:]] == [APART, PASS]
    assert (outcome.report, outcome.baseline, outcome.source) == ("now", "then", "here")
    assert (outcome.verdict, outcome.exit_code) == (FAIL, 1)


def test_nothing_checked_is_no_pass() -> None:
    assert Outcome((), "", "", "", 0.05).verdict == UNSURE


def test_a_baseline_read_off_once_judges_as_its_reports_do() -> None:
    limits = [parse("effective_rank within 10%"), parse("hessian_top[0] within 1%")]
    before = [gate_report(seed=i, scatter=0.01) for i in range(4)]
    now = [gate_report(1.2, seed=10 + i, scatter=0.01) for i in range(4)]
    stored = judge(now, baseline_of(before, limits), limits)
    assert stored == judge(now, before, limits)
    wider = judge(now, baseline_of(before, limits[:1]), limits)
    assert {c.metric for c in wider.checks if c.verdict == APART} == {"hessian_top"}


def test_notes() -> None:
    a, b, c = (gate_report(seed=i, scatter=0.01) for i in range(3))
    limits = [parse("effective_rank within 50%")]

    def notes(now: list[Report], before: list[Report]) -> str:
        return " ".join(judge(now, before, limits).notes)

    assert "How much another seed" in notes([a], [b])
    assert "from the same checkpoints" in notes([a], [a])
    assert "takes the scatter between seeds for normal" in notes([a], [b, c])
    assert "1 of 3 reports are of the same checkpoints as another" in notes([a, b, a], [c])
    assert judge([a, a], [b], limits).checks[0].samples == (1, 1)
    assert notes([a, b], [c, gate_report(seed=9)]) == ""


def test_the_same_step_of_a_longer_training_is_another_part_of_the_schedule(tmp_path: Path) -> None:
    """`@50` of 100 steps and of 200; `@last` measured at 100 of a run that went to 1000."""
    old, longer = gate_report(), gate_report(steps=(0, 50, 200))
    rows = [CheckpointRow(f"{s}.pt", "torch", s, "", "ok", "", "x") for s in (0, 100, 1000)]
    beyond = Report({"step_unit": "step"}, old.series, rows)
    for now, reduction, end in ((longer, "50", 200), (beyond, "last", 1000)):
        limits = [parse(f"hessian_top[0]@{reduction} within 50%")]
        path = tmp_path / f"{end}.json"
        write(baseline_of([old], limits), path)
        for side in ([old], read(path)):
            (check,) = judge([now], side, limits).checks
            assert check.verdict == APART
            assert (
                f"of 100 in the baseline, step {reduction.replace('last', '100')} of {end} now"
                in (check.sentence)
            )
    assert only(longer, old, "hessian_top[0]@0 within 50%").verdict == PASS  # both: untrained
    nearly = Report({"step_unit": "step"}, beyond.series, [replace(rows[1], step=1004), rows[2]])
    assert only(nearly, beyond, "hessian_top[0]@last within 50%").verdict == PASS
    both = only([longer, gate_report(seed=1)], None, "hessian_top[0]@50 below 99")
    assert both.verdict == APART
    assert "step 50 of 200, and step 50 of 100" in both.sentence


def test_a_bound_does_not_pool_other_measurements() -> None:
    other = "zz: 3 examples, train, float32"
    found = only([gate_report(), gate_report(seed=1, probe=other)], None, "hessian_top[0] below 99")
    assert found.verdict == APART
    assert "do not belong together" in found.sentence
    assert found.sentence.endswith(f"float32 in one, {other} in another.")
    later = gate_report(seed=1, steps=(0, 50, 120))
    for reduction in ("last", "max"):
        found = only([gate_report(), later], None, f"hessian_top[0]@{reduction} below 99")
        assert found.verdict == APART
        assert "at other steps" in found.sentence


def test_a_seed_of_the_baseline_without_a_number_is_never_a_pass() -> None:
    before = seeds(BASE)
    for i in (2, 3, 4):
        series = before[i].series["sparsity"]
        before[i] = Report(series={"sparsity": replace(series, **lost(series))})
    check = only(seeds([10.1] * 5), before, "sparsity within 50%")
    assert check.verdict == UNSURE
    assert "3 of 5 reports of the baseline have no number for it" in check.sentence


@pytest.mark.parametrize("status", [Status.skipped, Status.absent])
def test_a_bound_is_not_kept_by_a_number_that_was_skipped(status: Status) -> None:
    series = report(10.0)["hessian_trace"]
    bad = Report(series={"hessian_trace": replace(series, **lost(series, status))})
    for reduction in ("last", "max", "mean", "slope"):
        check = only(bad, None, f"hessian_trace@{reduction} below 99")
        assert check.verdict == UNSURE, reduction
        assert "skipped, or is not there, at step 20" in check.sentence
    assert only(bad, None, "hessian_trace@last below 6").verdict == FAIL
    assert only(bad, None, "hessian_trace@first below 99").verdict == PASS
    assert only(bad, None, "hessian_trace@10 below 99").verdict == PASS
    both = only(bad, bad, "hessian_trace@last within 10%")  # one step on both sides, and named
    assert both.verdict == PASS
    assert "stayed at 7.5, at step 10, for it was skipped behind that" in both.sentence


def test_numbers_near_the_end_of_the_range_are_no_mistake_of_the_check() -> None:
    values = np.array([1.0, 1.01, 0.99, 1.02, 0.98])
    usual = {v: only(seeds(v * values), seeds(values[::-1]), "sparsity within 10%") for v in (1, 9)}
    for scale in (2.0**600, 2.0**-600):  # squared they are beyond float64, and 0
        before = seeds(scale * values[::-1])
        for times, verdict in ((1, PASS), (9, FAIL)):
            found = only(seeds(times * scale * values), before, "sparsity within 10%")
            assert (found.verdict, found.p) == (verdict, usual[times].p), found.sentence
            for name in ("uncertainty", "detectable"):
                wanted = scale * getattr(usual[times], name)
                assert getattr(found, name) == pytest.approx(wanted, rel=1e-12)
    for huge in (seeds([1e160] * 5), seeds([1e160])):
        assert only(huge, seeds(values), "sparsity within 10%").verdict == FAIL
