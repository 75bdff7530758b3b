"""Settings: defaults from the signature, values converted, mistakes answered with the names."""

from __future__ import annotations

import pytest

from dyntools.errors import UsageError
from dyntools.measurement import Measurement, per_layer
from dyntools.metrics.logs import LOGS
from dyntools.metrics.metric import Metric, Setting


def _measure(
    snapshot: object, *, k: int = 10, rtol: float = 1e-3, route: str = "all", exact: bool = True
) -> Measurement:
    return per_layer({})


METRIC = Metric(
    name="example",
    group="weights",
    version=1,
    measure=_measure,
    needs=("params",),
    dims=("layer",),
    unit="1",
    what="an example",
    paper="none",
    cost="nothing",
    least={"k": 1, "rtol": 0},
)


def test_defaults_come_from_the_signature() -> None:
    assert METRIC.defaults == {"k": 10, "rtol": 1e-3, "route": "all", "exact": True}


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("k", "3", 3),
        ("rtol", "1e-6", 1e-6),
        ("rtol", "1", 1.0),
        ("route", "lanczos", "lanczos"),
        ("exact", "no", False),
        ("exact", "True", True),
        ("exact", False, False),
    ],
)
def test_values_take_the_type_of_their_default(key: str, text: Setting, value: Setting) -> None:
    found = METRIC.settings({key: text})[key]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("key", "text", "sentence"),
    [
        ("k", "3.5", "whole number"),
        ("k", "many", "whole number"),
        ("rtol", "small", "a number"),
        ("exact", "perhaps", "true or false"),
        ("kk", "3", "no setting 'kk'"),
        ("k", "0", "setting k of example must be at least 1"),
        ("k", -3, "setting k of example must be at least 1"),
        ("k", float("inf"), "whole number"),
        ("rtol", "-0.5", "setting rtol of example must be at least 0"),
        ("rtol", "nan", "setting rtol of example must be finite"),
        ("rtol", "inf", "setting rtol of example must be finite"),
    ],
)
def test_mistakes_are_answered(key: str, text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        METRIC.settings({key: text})


def test_every_number_that_a_log_metric_takes_has_a_smallest() -> None:
    for metric in LOGS:
        numbers = metric.defaults.keys() - metric.choices.keys()
        assert metric.least.keys() == numbers
        for key, least in metric.least.items():
            metric.settings({key: least})
            with pytest.raises(UsageError, match=f"{key} of {metric.name} must be at least"):
                metric.settings({key: least - 1})
