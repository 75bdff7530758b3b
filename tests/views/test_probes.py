"""Numbers of different probes are told apart, and never put side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dyntools.errors import ReportError
from dyntools.report import Report, Series
from dyntools.views.probes import probe_of, same_probe, told


def test_the_probe_of_a_series(curvature: Report, build: Callable[..., Series]) -> None:
    series = curvature["hessian_top"]
    assert probe_of(series) == "961e3967027e8aa2: 300 examples, eval, float32"
    assert told(series) == f"probe {probe_of(series)}"
    assert told(build("weight_norm", [0], [1.0], dims=())) == ""


def test_the_same_probe_and_none_agree(curvature: Report, build: Callable[..., Series]) -> None:
    same_probe([])
    same_probe([*curvature.series.values(), build("weight_norm", [0], [1.0], dims=())])


@pytest.mark.parametrize(
    "other",
    [
        "0000000000000000: 300 examples, eval, float32",
        "961e3967027e8aa2: 64 examples, eval, float32",
        "961e3967027e8aa2: 300 examples, train, float32",
        "961e3967027e8aa2: 300 examples, eval, float64",
    ],
)
def test_different_probes_are_refused(curvature: Report, other: str) -> None:
    series = curvature["hessian_top"]
    moved = replace(series, settings={**series.settings, "probe": other})
    with pytest.raises(ReportError) as raised:
        same_probe([series, curvature["sam_sharpness"], moved])
    assert raised.value.what == (
        "Numbers of hessian_top were measured on different probes and cannot be compared."
    )
    assert other in str(raised.value)
    assert "961e3967027e8aa2: 300 examples, eval, float32" in str(raised.value)


def test_two_metrics_are_both_named(curvature: Report) -> None:
    sam = curvature["sam_sharpness"]
    moved = replace(sam, settings={"probe": "0: 1 examples, eval, float32"})
    with pytest.raises(ReportError, match="hessian_top and sam_sharpness"):
        same_probe([curvature["hessian_top"], moved])
