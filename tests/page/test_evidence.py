"""Every rule has its drawing, and the drawing shows the layers that the rule names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dyntools.findings import RULES, Finding, Severity
from dyntools.metrics import METRICS
from dyntools.page.evidence import EDGE, LOSSES, NORMS, RATE, READ, evidence
from dyntools.page.figures import figures, sharpness
from dyntools.page.maps import Map
from dyntools.page.plot import Plot
from dyntools.report import Report
from tests.page.conftest import log_of, series

FOUND = Finding("rank_collapse", Severity.watch, "s", ("e",), "m", "r", "p", "c")


def test_every_rule_has_its_drawing_and_no_other() -> None:
    assert set(READ) == {rule.__module__.rsplit(".", 1)[-1] for rule in RULES}
    named = {metric.name for metric in METRICS}
    assert set(READ.values()) - {EDGE, LOSSES, RATE, NORMS} <= named


def test_only_the_layers_that_a_finding_names_are_drawn() -> None:
    report = Report({}, {"effective_rank": series("effective_rank", np.ones((4, 30)))})
    (whole,) = evidence(report, FOUND)
    assert isinstance(whole, Map)
    (some,) = evidence(report, replace(FOUND, layers=("h.7.weight", "h.3.weight", "gone")))
    assert isinstance(some, Plot)
    assert [label.text for label in some.labels] == ["h.3", "h.7"]


def test_losses_and_rate_come_from_the_log() -> None:
    log = log_of(
        train_loss=([0, 1], [2.0, 1.0]),
        learning_rate=([0, 1], [0.1, 0.2]),
        gradient_norm=([0, 1], [1.0, 9.0]),
    )
    report = Report({}, {}, (), log)
    titles = {"overfitting": "loss", "unfinished": "learning rate", "clip_threshold": NORMS}
    for rule, title in titles.items():
        (plot,) = evidence(report, replace(FOUND, rule=rule))
        assert plot.y_label == title  # type: ignore[union-attr]


def test_nothing_is_drawn_of_what_is_not_there() -> None:
    for rule in READ:
        assert evidence(Report(), replace(FOUND, rule=rule)) == ()


def test_sharpness_is_drawn_against_the_threshold_that_applies() -> None:
    flat = np.array([[1.0], [2.0]])
    ranks = {"dims": ("rank",), "coords": {"rank": (1,)}, "group": "curvature"}
    none = series("hessian_top", flat, beside={"threshold": np.full((2, 1), np.nan)}, **ranks)
    adam = series("adam_sharpness", flat, beside={"threshold": np.full((2, 1), 38.0)}, **ranks)
    plot = sharpness(Report({}, {"hessian_top": none, "adam_sharpness": adam}))
    assert plot is not None
    assert plot.title == "Adam sharpness against the threshold of the optimizer"
    assert [label.text for label in plot.labels] == ["sharpness", "threshold"]
    assert sharpness(Report({}, {"hessian_top": none})) is None


def test_a_metric_without_a_number_has_no_figure() -> None:
    assert figures(series("m", np.full((2, 3), np.nan))) == ()
    assert figures(series("m", np.empty((2, 0)))) == ()
