"""Settings: defaults from the signature, values converted, mistakes answered with the names."""

from __future__ import annotations

import pytest

from dyntools.errors import UsageError
from dyntools.measurement import Measurement, per_layer
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
    ],
)
def test_mistakes_are_answered(key: str, text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        METRIC.settings({key: text})
