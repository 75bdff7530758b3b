"""Layers that come and go, parts of shards, and methods are put together without losing any."""

from __future__ import annotations

import numpy as np
import pytest

from dyntools.assembly import merge, series_of, stack_layers
from dyntools.errors import ReportError
from dyntools.journal import Row
from dyntools.measurement import Status, per_layer, skipped
from dyntools.report import Report
from tests.reports import assert_same, random_report

ENTRY = {
    "metric": "m",
    "group": "weights",
    "version": 1,
    "unit": "",
    "what": "",
    "paper": "",
    "settings": {},
    "step_unit": "step",
    "dims": ("layer",),
}


def test_layers_are_a_union_and_what_is_not_there_is_absent() -> None:
    rows = [
        Row("m", 20, 0.1, per_layer({"b": 3.0, "c": 4.0}, error={"b": 0.5})),
        Row("m", 10, 0.1, per_layer({"a": 1.0, "b": 2.0}, beside={"null": {"a": 7.0}})),
        Row("m", 30, 0.1, skipped("no log", ("layer",))),
    ]
    series = series_of(ENTRY, rows)
    assert series.steps.tolist() == [10, 20, 30]
    assert series.coords["layer"] == ("a", "b", "c")
    nan = np.nan
    np.testing.assert_array_equal(series.values, [[1, 2, nan], [nan, 3, 4], [nan] * 3])
    absent = int(Status.absent)
    np.testing.assert_array_equal(series.status, [[0, 0, absent], [absent, 0, 0], [absent] * 3])
    np.testing.assert_array_equal(series.error, [[nan] * 3, [nan, 0.5, nan], [nan] * 3])
    np.testing.assert_array_equal(series.beside["null"][0], [7, nan, nan])
    assert [(o.entry, o.reason, o.steps) for o in series.omissions] == [("", "no log", (30,))]


def test_stacking_layers_joins_values_reasons_and_methods() -> None:
    parts = [
        per_layer({"a": 1.0}, method="Gram", error={"a": 0.1}),
        per_layer({}, skipped={"bias": "1-d"}),
        per_layer({"b": 2.0}, method="QR"),
        per_layer({"c": 3.0}, method="Gram"),
    ]
    found = stack_layers(parts, ("layer",))
    assert found.coords["layer"] == ("a", "b", "c")
    assert found.values.tolist() == [1, 2, 3]
    assert found.skipped == {"bias": "1-d"}
    assert found.method == "Gram (2 layers); QR (1 layers)"
    assert found.error is not None
    np.testing.assert_array_equal(found.error, [0.1, np.nan, np.nan])


def test_stacking_nothing_keeps_the_dims() -> None:
    found = stack_layers([], ("layer", "fraction"))
    assert found.values.shape == (0, 0)


def test_shards_merge_into_the_whole() -> None:
    whole = random_report()
    parts = []
    for i in range(2):
        series = {}
        for name, one in whole.series.items():
            keep = slice(i, None, 2)
            fields = {f: getattr(one, f) for f in one.__dataclass_fields__}
            for field in ("steps", "values", "error", "status", "seconds", "matvecs", "method"):
                fields[field] = fields[field][keep]
            fields["beside"] = {key: array[keep] for key, array in one.beside.items()}
            steps = fields["steps"].tolist()
            fields["omissions"] = tuple(type(o)(o.entry, o.reason, steps) for o in one.omissions)
            series[name] = type(one)(**fields)
        attributes = {**whole.attributes, "shard": f"{i + 1}/2"}
        parts.append(Report(attributes, series, whole.checkpoints, whole.log, whole.notes))
    assert_same(merge(parts), whole)
    assert_same(merge(parts[::-1]), whole)
    for wrong in (parts[:1], [parts[0], parts[0]], [*parts, parts[1]]):
        with pytest.raises(ReportError, match="not all the parts"):
            merge(wrong)


def test_parts_of_different_analyses_are_refused() -> None:
    one, two = random_report(), random_report()
    other = Report({**two.attributes, "identity": "xyz"}, two.series)
    with pytest.raises(ReportError, match="different analyses"):
        merge([one, other])
