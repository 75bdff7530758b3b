"""Reports for checks: a probe training in miniature, with every number at hand.

Three metrics: `effective_rank` of layers, exact to 1e-9; `hessian_top` with a bound of 0.2 % and a
probe; `hessian_trace` with a standard error of 5 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dyntools import hdf5
from dyntools.measurement import Status
from dyntools.report import CheckpointRow, Report, Series
from tests.conftest import Outcome
from tests.views.conftest import make_series

LAYERS = ("0.weight", "2.weight", "4.weight")
STEPS = (0, 50, 100)
PROBE = "961e3967027e8aa2: 300 examples, eval, float32"
RANK, TOP, TRACE = (
    "effective_rank@last within 10%",
    "hessian_top[0]@last within 10%",
    ("hessian_trace@last within 1%"),
)
LIMITS = ("--limit", RANK, "--limit", TOP)


def gate_report(
    scale: float = 1.0,
    *,
    layers: Sequence[str] = LAYERS,
    steps: Sequence[int] = STEPS,
    probe: str = PROBE,
    seed: int = 0,
    scatter: float = 0.0,
    only: Sequence[str] = ("effective_rank", "hessian_top", "hessian_trace"),
    **series: Any,
) -> Report:
    """Every number times `scale` at the last step. `scatter`: of seeds, relative. `series`: fields
    of `effective_rank` to replace."""
    generator = np.random.default_rng(seed)
    course = np.linspace(2.0, 1.0, len(steps)) if len(steps) else np.ones(0)
    course[-1:] *= scale * (1 + scatter * generator.standard_normal())
    rank = course[:, None] * np.linspace(10, 20, len(layers))[None, :]
    top = 20 * course[:, None] * np.array([1.0, 0.5])
    found = {
        "effective_rank": make_series(
            "effective_rank", steps, rank, coords={"layer": tuple(layers)}, error=1e-9 * rank
        ),
        "hessian_top": make_series(
            "hessian_top", steps, top[:, None, :], error=2e-3 * top[:, None], probe=probe,
            dims=("block", "rank"), coords={"block": ("all",), "rank": (1, 2)}, unit="1 / weight²",
        ),
        "hessian_trace": make_series(
            "hessian_trace", steps, 100 * course, dims=(), error=5 * course, probe=probe
        ),
    }  # fmt: skip
    if series:
        found["effective_rank"] = replace(found["effective_rank"], **series)
    print_of = f"{scale}-{seed}"
    rows = [CheckpointRow(f"{step}.pt", "torch", step, "", "ok", "", print_of) for step in steps]
    attributes = {"run": "probe", "step_unit": "step", "identity": f"{scale}-{seed}"}
    return Report(attributes, {name: found[name] for name in only}, tuple(rows))


def write_report(path: Path, scale: float = 1.0, **more: Any) -> Path:
    hdf5.write(gate_report(scale, **more), path)
    return path


def lost(series: Series, status: Status = Status.failed) -> dict[str, Any]:
    """Fields with which the last row of a series has no number."""
    values, codes = series.values.copy(), series.status.copy()
    values[-1], codes[-1] = np.nan, status
    return {"values": values, "status": codes}


def last(outcome: Outcome) -> str:
    """The last line that a command printed, which is its verdict."""
    return outcome.out.rstrip().splitlines()[-1]
