"""The promise of `show --json` and `show --csv`: shapes, names, strict JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dyntools.errors import ReportError
from dyntools.report import Report, Series
from dyntools.views.tabular import to_csv, to_json


def shape_of(nested: Any) -> tuple[int, ...]:
    return (len(nested), *shape_of(nested[0])) if isinstance(nested, list) else ()


def test_the_shape_is_as_promised(small: Report) -> None:
    content = json.loads(json.dumps(to_json(small), allow_nan=False))
    assert list(content) == ["report", "series"]
    assert set(content["report"]) == {"run", "path", "checkpoints", "notes", "log"}
    assert content["report"]["log"]["roles"]["train_loss"] == "train/loss"
    assert content["report"]["checkpoints"][3]["status"] == "damaged"
    series = content["series"]["layer_rotation"]
    assert set(series) == {
        *("version", "group", "unit", "what", "paper", "settings", "step_unit", "steps", "dims"),
        *("coords", "values", "error", "status", "beside", "omissions", "method"),
    }
    assert series["dims"] == ["step", "layer"]
    assert series["steps"] == [0, 50, 100]
    assert series["coords"] == {"layer": ["net.0.weight", "net.2.weight", "net.4.weight[query]"]}
    assert series["values"] == [[0, 0, 0], [0.125, 0.02, 0.5], [0.231, 0.031, None]]
    assert series["status"][2] == ["ok", "ok", "failed"]
    assert series["error"] is None
    assert series["omissions"][0]["entry"] == "net.0.bias"


def test_every_array_has_the_shape_of_its_dims(realistic: Callable[[int, int], Report]) -> None:
    content = to_json(realistic(2, 3))
    for series in content["series"].values():
        shape = (len(series["steps"]), *(len(x) for x in series["coords"].values()))
        arrays = [series["values"], series["status"], *series["beside"].values()]
        arrays += [series["error"]] if series["error"] is not None else []
        assert all(shape_of(array) == shape for array in arrays)
        assert len(series["dims"]) == len(shape)


def test_a_metric_without_dims_has_one_number_a_step(small: Report) -> None:
    series = to_json(small)["series"]["generalization_gap"]
    assert series["dims"] == ["step"]
    assert series["values"] == [0.05, 0.3]
    assert series["status"] == ["ok", "ok"]


def test_strict_json_even_of_nan_infinity_and_numpy(build: Callable[..., Series]) -> None:
    series = build("m", [0], [[np.inf, -np.inf, np.nan]], coords={"layer": ("a", "b", "c")})
    odd = {"x": np.float64("nan"), "y": (1, {2: float("inf")}), "z": np.arange(2), "none": None}
    content = to_json(Report(odd, {"m": series}))
    json.dumps(content, allow_nan=False)
    assert content["series"]["m"]["values"] == [[None, None, None]]
    assert content["report"]["y"] == [1, {"2": None}]


def test_filters(small: Report) -> None:
    content = to_json(small, metric="layer_rotation", step=50, layer="*[query]")
    assert list(content["series"]) == ["layer_rotation"]
    assert content["series"]["layer_rotation"]["values"] == [[0.5]]
    assert to_json(small, step=0)["series"]["generalization_gap"]["steps"] == []


@pytest.mark.parametrize(
    "filters",
    [
        {"metric": "nope"},
        {"step": 7},
        {"layer": "nope*"},
        {"metric": "generalization_gap", "step": 0},
    ],
)
def test_filters_that_leave_nothing_are_refused(small: Report, filters: dict[str, Any]) -> None:
    with pytest.raises(ReportError):
        to_json(small, **filters)
    with pytest.raises(ReportError):
        to_csv(small, **filters)


def test_csv_is_one_number_a_line(small: Report) -> None:
    lines = list(to_csv(small, metric="spectral_norm", step=100))
    assert lines[0] == "metric,step,layer,quantity,value,status"
    assert lines[1] == "spectral_norm,100,net.0.weight,value,1.5,ok"
    assert {row["quantity"] for row in csv.DictReader(lines)} == {
        *("value", "error", "initial", "ratio_to_initial")
    }


def test_csv_of_all_has_a_column_for_each_dim(realistic: Callable[[int, int], Report]) -> None:
    rows = list(csv.DictReader(to_csv(realistic(1, 2))))
    assert list(rows[0])[:4] == ["metric", "step", "layer", "fraction"]
    assert {row["fraction"] for row in rows if row["metric"] == "layer_rotation"} == {""}


def test_csv_keeps_every_digit_and_quotes_names(build: Callable[..., Series]) -> None:
    series = build("m", [0], [[1 / 3, np.nan]], coords={"layer": ('a,"b"', "c")})
    rows = list(csv.DictReader(to_csv(Report({}, {"m": series}))))
    assert rows[0]["layer"] == 'a,"b"'
    assert float(rows[0]["value"]) == 1 / 3
    assert rows[1]["value"] == ""
    assert rows[1]["status"] == "failed"


def test_an_empty_report_is_valid() -> None:
    assert to_json(Report()) == {
        "report": {"checkpoints": [], "notes": [], "log": None},
        "series": {},
    }
    assert list(to_csv(Report())) == ["metric,step,quantity,value,status"]
