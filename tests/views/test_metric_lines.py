"""Metrics whose entries have units of their own have no median and no extremes."""

from __future__ import annotations

import io

import numpy as np
from rich.console import Console

from dyntools.assembly import series_of
from dyntools.journal import Row
from dyntools.measurement import Measurement
from dyntools.metrics import find
from dyntools.plan import Task
from dyntools.views.metric_lines import metric_lines


def printed(name: str, dim: str) -> str:
    metric = find(name)
    found = Measurement(np.array([1.0, 3000.0]), (dim,), {dim: ("one", "two")})
    entry = Task(metric, metric.defaults).entry("step") | {"dims": [dim]}
    console = Console(width=100, file=io.StringIO())
    console.print(metric_lines([series_of(entry, [Row(name, 1, 0.0, found)])], 100))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_laws_are_named_and_not_ranked() -> None:
    assert printed("hyperparameters", "law").strip() == "also measured: hyperparameters (law)"
    assert "median" in printed("directional_sharpness", "direction")
