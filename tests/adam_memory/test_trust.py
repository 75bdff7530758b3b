"""When each sentence on trust is said, and when not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from dyntools.adam_memory import evidence_of
from dyntools.adam_memory.rates import rates_of
from dyntools.adam_memory.trust import limits
from dyntools.assembly import series_of
from dyntools.journal import Row
from dyntools.log import Log
from dyntools.measurement import per_layer
from dyntools.report import Report
from tests.adam_memory.hand_made import compression_series, entry, report, snr_series
from tests.metrics.logs.hand_made import log_of

SHAPES = {"fc1.weight": (10, 10), "fc2.weight": (30, 10)}
LONG = tuple(range(0, 5001, 500))
ERRORS = compression_series(SHAPES, {"fc1.weight": {"axes 0": [0.1]}}, steps=(5000,))


def schedule(warm_up: int = 1000, total: int = 5000, peak: float = 3e-4) -> Log:
    steps = np.arange(0, total + 1, 100)
    falling = 0.55 + 0.45 * np.cos(np.pi * (steps - warm_up) / (total - warm_up))
    return log_of(learning_rate=(steps, peak * np.where(steps < warm_up, steps / warm_up, falling)))


def run(
    steps: Sequence[int] = LONG,
    *,
    log: Log | None = None,
    n_eff: float = 39.0,
    second: float = 2.0,
    **more: object,
) -> Report:
    snr = {"fc1.weight": {"0": [2.0] * len(steps)}, "fc2.weight": {"0": [second] * len(steps)}}
    series = snr_series(SHAPES, snr, steps=steps, n_eff=n_eff)
    return report(series, ERRORS, log=schedule() if log is None else log, **more)  # type: ignore[arg-type]


def said(whole: Report, steps: Sequence[int] | None = None) -> str:
    return "\n".join(limits(whole, evidence_of(whole, steps=steps)))


def test_a_whole_run_measured_everywhere_has_no_limit() -> None:
    assert said(run(checkpoints=LONG)) == ""


def test_the_warm_up_alone() -> None:
    early = (100, 300, 500, 700, 900)
    text = said(run(steps=early), early)
    assert "warm-up, which ends at step 1000" in text
    assert "99.86 %" in text
    assert "38.53 %" in text
    assert "No measured step has the peak" not in text  # said once


def test_steps_that_miss_the_peak() -> None:
    text = said(run(), steps=(4000, 4500, 5000, 3500, 3000))
    assert "No measured step has the peak learning rate of 0.0003" in text
    assert "peak" not in said(run(), steps=(1000, 2000, 3000, 4000, 5000))


def test_rates_that_are_not_known() -> None:
    assert "learning rate of the run is not known" in said(run(log=log_of()))
    other_unit = log_of(unit="epoch", learning_rate=([1, 2], [0.1, 0.1]))
    assert "learning rate of the run is not known" in said(run(log=other_unit))


def test_the_last_checkpoint_alone() -> None:
    text = said(run(), steps=(5000,))
    assert "the last checkpoint alone, step 5000" in text
    for number in ("97.98 %", "42.80 %", "99.40 %", "38.53 %"):
        assert number in text
    assert "one checkpoint alone, step 2000" in said(run(), steps=(2000,))
    assert "at 3 steps" in said(run(), steps=(1000, 3000, 5000))


def test_the_later_half_unseen() -> None:
    text = said(run(checkpoints=LONG), steps=(500, 1000, 1500, 2000, 0))
    assert "last measured step is 2000 of 5000" in text
    assert "later half" not in said(run(checkpoints=LONG), steps=(500, 1000, 1500, 2000, 3000))


@pytest.mark.parametrize(("n", "seen"), [(10.0, "0.71"), (1.0, "0.2"), (19.0, "0.83")])
def test_few_squared_gradients(n: float, seen: str) -> None:
    """1 / (1 + 2/n + 2/n): what is left of an SNR of 1."""
    text = said(run(n_eff=n))
    assert f"only {n:g} squared gradients" in text
    assert f"below about {n / 2:.3g}" in text
    assert f"one of 1 is seen as {seen}:" in text
    assert float(seen) == pytest.approx(1 / (1 + 4 / n), abs=0.005)


def test_an_average_of_unknown_length() -> None:
    assert "is not corrected for noise" in said(run(n_eff=math.nan))


def test_a_share_that_was_not_measured() -> None:
    snr = {"fc1.weight": {"0": [2.0] * len(LONG)}}
    skipped = {"fc2.weight": "its second moment is zero", "lost": "no state"}
    series = snr_series(SHAPES, snr, steps=LONG, skipped=skipped)
    errors = compression_series(SHAPES, {"fc1.weight": {"axes 0": [0.1]}}, steps=(5000,))
    text = said(report(series, errors, log=schedule()))
    assert "2 of 3 tensors were not measured, 75.0 % of the known weights" in text
    assert "those of unknown size are in no total: its second moment is zero." in text


def test_moments_made_from_gradients() -> None:
    told = "estimated at fixed weights from 64 gradients of the problem's batches"
    assert f"The second moments were {told}: the run itself" in said(run(second_moments=told))
    assert "estimated" not in said(run(second_moments=""))
    whole = run(second_moments=told)
    own = {n: replace(s, method=("float32",) * len(s.method)) for n, s in whole.series.items()}
    assert "estimated" not in said(replace(whole, series=own))  # the state was there after all


def test_errors_that_were_not_measured() -> None:
    snr = {name: {"0": [2.0] * len(LONG)} for name in SHAPES}
    text = said(report(snr_series(SHAPES, snr, steps=LONG), log=schedule()))
    assert "What the update would lose was not measured" in text


def test_every_sentence_is_whole() -> None:
    whole = run(log=log_of(), n_eff=3.0, second=math.nan, second_moments="estimated from 8")
    sentences = limits(whole, evidence_of(whole, steps=(500,)))
    assert len(sentences) == 5
    for sentence in sentences:
        assert sentence.endswith(".")
        assert "  " not in sentence
        assert "nan" not in sentence


def test_rates_of_the_log_come_before_those_of_the_checkpoints() -> None:
    rows = [
        Row("effective_lr", step, 0.0, per_layer({"a": 9.0, "b": 9.0}, beside={"lr": b}))
        for step, b in ((0, {"a": 0.0, "b": 0.0}), (500, {"a": 0.1, "b": 0.3}), (900, {"a": 0.05}))
    ]
    saved = series_of(entry("effective_lr", ("layer",)), rows)
    rates = rates_of(report(saved), "step")
    assert rates is not None
    assert rates.source == "checkpoints"
    assert rates.values.tolist() == [0.0, 0.3, 0.05]
    assert (rates.peak, rates.warm_up) == (0.3, 500)
    both = rates_of(report(saved, log=schedule()), "step")
    assert both is not None
    assert both.source == "log"
    assert both.warm_up == 1000
