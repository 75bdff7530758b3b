"""Baseline files: what is written is what is read, the same bytes each time, and nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dyntools.checks.baseline import (
    SCHEMA_VERSION,
    Baseline,
    baseline_of,
    is_baseline,
    read,
    text_of,
    write,
)
from dyntools.checks.judging import judge
from dyntools.checks.limit import parse
from dyntools.checks.quantity import Quantity, Sample
from dyntools.checks.verdict import Verdict
from dyntools.errors import ReportError
from dyntools.measurement import Status
from dyntools.report import Report
from tests.gates import gate_report, lost
from tests.outcomes import HOSTILE
from tests.views.conftest import make_series

LIMITS = tuple(
    parse(f"{subject} within 1")
    for subject in ("effective_rank", "effective_rank@max", "hessian_top[0]", "hessian_trace@slope")
)
SEEDS = [gate_report(seed=i, scatter=0.01) for i in range(3)]


def same(one: Quantity, two: Quantity) -> bool:
    """Equal, with NaN equal to NaN."""

    def told(quantity: Quantity) -> str:
        return repr(replace(quantity, settings=dict(sorted(quantity.settings.items()))))

    return told(one) == told(two)


def written(baseline: Baseline, folder: Path) -> tuple[Baseline, Path]:
    path = folder / "baseline.json"
    write(baseline, path)
    return read(path), path


@pytest.mark.parametrize("reports", [SEEDS[:1], SEEDS])
def test_it_reads_back_bit_for_bit(reports: list[Report], tmp_path: Path) -> None:
    baseline = baseline_of(reports, LIMITS)
    found, path = written(baseline, tmp_path)
    assert len(found.quantities) == 8
    assert found == baseline
    assert text_of(found) == path.read_text() == text_of(baseline)
    assert not list(tmp_path.glob(".*"))


def test_the_same_reports_give_the_same_bytes_in_any_order_of_limits() -> None:
    one, two = baseline_of(SEEDS, LIMITS), baseline_of(SEEDS, LIMITS[::-1])
    assert text_of(one) == text_of(two)


def test_a_change_of_one_number_is_a_change_of_its_lines() -> None:
    first, second = (text_of(baseline_of([gate_report(s)], LIMITS[:1])) for s in (1.0, 1.1))
    differing = [
        line
        for line, other in zip(first.splitlines(), second.splitlines(), strict=True)
        if line != other
    ]
    words = ("value", "error", "identity", "weights")
    assert all(line.split('"')[1] in words for line in differing)
    assert sum("value" in line for line in differing) == 3
    stored = json.loads(first)["quantities"]["effective_rank[layer=2.weight]@last"]
    assert stored == {"value": 15.0, "error": pytest.approx(1.5e-8)}


def test_what_a_metric_shares_stands_once() -> None:
    content = json.loads(text_of(baseline_of(SEEDS, LIMITS)))
    assert content["schema"] == "dyntools-baseline"
    assert content["schema_version"] == SCHEMA_VERSION
    top = content["metrics"]["hessian_top"]
    assert top["error"] == "bound"
    assert top["settings"] == {"seed": 0}
    assert top["probe"].startswith("961e")
    assert top["steps"] == [100]
    assert content["metrics"]["hessian_trace"]["error"] == "standard error"
    assert len(content["quantities"]["hessian_trace@slope"]["samples"]) == 3
    assert [entry["run"] for entry in content["provenance"]["reports"]] == ["probe"] * 3


def test_a_missing_number_is_null_with_its_status(tmp_path: Path) -> None:
    series = SEEDS[0].series["effective_rank"]
    bad = Report(series={"effective_rank": replace(series, **lost(series))})
    for reports in ([bad], [SEEDS[0], bad]):
        baseline = baseline_of(reports, LIMITS[:1])
        found, path = written(baseline, tmp_path)
        for key, quantity in baseline.quantities.items():
            assert same(found.quantities[key], quantity)
            assert found.quantities[key].samples[-1].status == Status.failed
        assert "null" in path.read_text()
        assert "NaN" not in path.read_text()
    absent = baseline_of([Report(), SEEDS[0]], LIMITS[:1])
    for key, quantity in written(absent, tmp_path)[0].quantities.items():
        assert same(quantity, absent.quantities[key])
        assert math.isnan(quantity.samples[0].value)


def test_names_from_hell_read_back(tmp_path: Path) -> None:
    labels = (*HOSTILE, "both \" and '", "two  spaces", " edges ", "[", "a]b", "")
    values = np.arange(1.0, len(labels) + 1)[None]
    series = make_series(
        "effective_rank", (10,), values, coords={"layer": labels}, error=0.1 * values
    )
    baseline = baseline_of([Report(series={"effective_rank": series})], LIMITS[:1])
    assert len(baseline.quantities) == len(labels)
    assert written(baseline, tmp_path)[0] == baseline


def test_an_error_that_is_not_known_reads_back_as_such(tmp_path: Path) -> None:
    for reports in (1, 3):
        given = [
            Report(
                attributes={"run": str(i)},
                series={
                    "effective_rank": make_series(
                        "effective_rank",
                        (10,),
                        np.array([[1.0 + i]]),
                        coords={"layer": ("a",)},
                        error=np.array([[math.nan]]),
                    )
                },
            )
            for i in range(reports)
        ]
        made = baseline_of(given, LIMITS[:1])
        (found,) = written(made, tmp_path)[0].quantities.values()
        assert len(found.samples) == reports
        assert all(math.isnan(sample.bound) for sample in found.samples)


def test_samples_at_different_steps_and_settings_of_their_own(tmp_path: Path) -> None:
    one = Quantity(
        "m",
        "c",
        (),
        "max",
        (Sample(1.0, steps=(0, 10)), Sample(2.0, steps=(0,), missed=(10,))),
        "",
        1,
        {"k": 1},
        "step",
        mixed="The setting k differs.",
    )
    two = replace(one, companion="", settings={"k": [2, 3]}, shape=(4, 5), mixed="")
    three = replace(two, samples=(Sample(1.0, standard_error=0.1, steps=(3,)),), reduction="3")
    baseline = Baseline({q.key: q for q in (one, two, three)})
    assert written(baseline, tmp_path)[0] == baseline


def spoilt(change: Callable[[dict[str, Any]], object]) -> str:
    content = json.loads(text_of(baseline_of(SEEDS, LIMITS)))
    change(content)
    return json.dumps(content)


def each_top(content: dict[str, Any], key: str, value: object) -> None:
    """Replaces a field of the largest eigenvalue; one number of one report if it is `value`."""
    (name,) = (name for name in content["quantities"] if name.startswith("hessian_top"))
    content["quantities"][name][key] = value
    if key == "value":
        for other in ("samples", "sample_errors", "ends"):
            content["quantities"][name].pop(other, None)
        content["metrics"]["hessian_top"].pop("ends")


def without_a_dim(content: dict[str, Any]) -> None:
    """One of several layers under a name that tells no layer."""
    name, stored = next(item for item in content["quantities"].items() if "layer=" in item[0])
    content["quantities"][name] = stored | {
        "name": {
            "metric": "effective_rank",
            "companion": "",
            "labels": {},
            "reduction": "last" if name.endswith("last") else "max",
        }
    }


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no JSON"),
        ("<<<<<<< HEAD\n{}", "no JSON"),
        ("[1, 2]", "no baseline"),
        ("{}", "no baseline"),
        ('{"schema": "dyntools-report"}', "no baseline"),
        (spoilt(lambda c: c.update(schema_version="2.0.0")), "another major version"),
        (spoilt(lambda c: c.pop("schema_version")), "another major version"),
        (spoilt(lambda c: c.pop("quantities")), "damaged"),
        (spoilt(lambda c: c["metrics"].pop("hessian_top")), "damaged"),
        (spoilt(lambda c: c["quantities"].update({"no key": {"value": 1}})), "damaged"),
        (spoilt(lambda c: c["quantities"].update({"hessian_top@last": {}})), "damaged"),
        (
            spoilt(lambda c: c["quantities"].update({"hessian_top@last": {"value": "x"}})),
            "damaged",
        ),
        (
            spoilt(
                lambda c: c["quantities"].update(
                    {"hessian_top@last": {"value": None, "status": "sad"}}
                )
            ),
            "damaged",
        ),
        (spoilt(lambda c: c.update(quantities=[1])), "damaged"),
        *(
            (spoilt(lambda c, key=key, value=value: each_top(c, key, value)), "damaged")
            for key, value in (
                ("version", 10**400),
                ("version", 1e999),
                ("version", 1.5),
                ("shape", [10**400]),
                ("shape", [1e999]),
                ("value", 10**400),
                ("samples", []),
                ("samples", [10**400] * 3),
                ("samples", "123"),
                ("steps", None),
                ("steps", [{}]),
                ("steps", []),
                ("ends", [1]),
                ("ends", [1, 2, "3"]),
            )
        ),
        (spoilt(lambda c: c["provenance"].update(reports=[None])), "damaged"),
        (spoilt(lambda c: c.update(provenance=[1])), "damaged"),
        (spoilt(without_a_dim), "damaged"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_what_is_no_baseline_is_told_apart(text: str, what: str, tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(text)
    with pytest.raises(ReportError, match=what) as raised:
        read(path)
    assert raised.value.where == str(path)


def test_a_later_minor_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(spoilt(lambda c: c.update(schema_version="1.9.0", more={"new": 1})))
    assert len(read(path).quantities) == 8


def test_nothing_but_a_baseline_is_overwritten(tmp_path: Path) -> None:
    baseline = baseline_of(SEEDS, LIMITS)
    found, path = written(baseline, tmp_path)
    write(found, path)
    path.write_text('{"precious": 1}')
    with pytest.raises(ReportError, match="never overwritten"):
        write(baseline, path)
    assert path.read_text() == '{"precious": 1}'
    with pytest.raises(ReportError, match="never overwritten"):
        write(baseline, tmp_path)
    with pytest.raises(ReportError, match="could not be written"):
        write(baseline, path / "below.json")
    with pytest.raises(ReportError, match="could not be read"):
        read(tmp_path / "none.json")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ReportError, match="no JSON"):
        read(path)


def test_what_begins_as_a_baseline(tmp_path: Path) -> None:
    path = written(baseline_of(SEEDS, LIMITS), tmp_path)[1]
    assert is_baseline(path)
    path.write_text("{}")
    assert not is_baseline(path)
    assert not is_baseline(tmp_path / "none")


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("error", [math.inf, math.nan])
def test_an_infinite_bound_is_not_one_that_is_not_known(
    error: float, count: int, tmp_path: Path
) -> None:
    def side(shift: float) -> list[Report]:
        found = []
        for i in range(count):
            value = np.array([[10 + shift + 0.1 * i]])
            series = make_series(
                "hessian_top", (10,), value, dims=("rank",), coords={"rank": (1,)},
                error=np.full((1, 1), error),
            )  # fmt: skip
            found.append(Report(series={"hessian_top": series}))
        return found

    limits = [parse("hessian_top within 25%")]
    stored, _ = written(baseline_of(side(0), limits), tmp_path)
    direct = judge(side(0.5), side(0), limits)
    assert judge(side(0.5), stored, limits) == direct
    passes = count > 1 and math.isnan(error)
    assert (direct.verdict == Verdict.passed) == passes


def test_a_file_of_the_first_schema_knows_no_ends_and_is_compared_by_its_steps(
    tmp_path: Path,
) -> None:
    path = tmp_path / "baseline.json"

    def older(content: dict[str, Any]) -> None:
        content["schema_version"] = "1.0.0"
        for metric in content["metrics"].values():
            metric.pop("ends")

    path.write_text(spoilt(older))
    found = read(path)
    assert {quantity.ends for quantity in found.quantities.values()} == {()}
    assert judge(SEEDS, found, LIMITS[2:3]).checks[0].verdict == Verdict.passed
