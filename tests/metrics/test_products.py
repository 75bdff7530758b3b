"""Metrics say truly whether they take products, as the guards of a plan go by that."""

from __future__ import annotations

import pytest

from dyntools.errors import ProblemError
from dyntools.measuring import measure
from dyntools.metrics import METRICS
from dyntools.metrics.metric import Metric
from dyntools.problem.risk import Risk
from tests.metrics.test_contract import make_snapshot

OF_A_PROBLEM = [m for m in METRICS if {"problem", "gradients", "moments"} & set(m.needs)]
WORDS = "a product was asked for"


@pytest.mark.parametrize("metric", OF_A_PROBLEM, ids=lambda m: m.name)
def test_products_are_taken_if_and_only_if_that_is_declared(
    metric: Metric, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*args: object, **settings: object) -> None:
        raise ProblemError(WORDS)

    monkeypatch.setattr(Risk, "product", refused)
    reasons = measure(make_snapshot(), metric).skipped.values()
    assert any(WORDS in reason for reason in reasons) == metric.products


def test_no_other_metric_takes_any() -> None:
    assert not any(m.products for m in METRICS if m not in OF_A_PROBLEM)
