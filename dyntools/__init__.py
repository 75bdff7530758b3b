"""dyntools: what a training run is doing, and what to do about it.

    from dyntools import open_run, make_plan, analyze, read_report

Each public name is loaded on its first use, so that importing the package, asking for help or
showing a report does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dyntools.analysis import analyze
    from dyntools.errors import DyntoolsError
    from dyntools.findings import find as find_findings
    from dyntools.gathering import read as read_report
    from dyntools.live import snapshot_of
    from dyntools.measurement import Measurement, Status
    from dyntools.measuring import measure
    from dyntools.opening import open_run
    from dyntools.plan import make_plan
    from dyntools.problem import Engine, Problem
    from dyntools.recipe import Recipe
    from dyntools.report import Report, Series
    from dyntools.run import Run, snapshots
    from dyntools.snapshot import Snapshot, Tensors

_HOMES = {
    "DyntoolsError": ("errors", "DyntoolsError"),
    "Engine": ("problem", "Engine"),
    "Measurement": ("measurement", "Measurement"),
    "Problem": ("problem", "Problem"),
    "Recipe": ("recipe", "Recipe"),
    "Report": ("report", "Report"),
    "Run": ("run", "Run"),
    "Series": ("report", "Series"),
    "Snapshot": ("snapshot", "Snapshot"),
    "Status": ("measurement", "Status"),
    "Tensors": ("snapshot", "Tensors"),
    "analyze": ("analysis", "analyze"),
    "find_findings": ("findings", "find"),
    "make_plan": ("plan", "make_plan"),
    "measure": ("measuring", "measure"),
    "open_run": ("opening", "open_run"),
    "read_report": ("gathering", "read"),
    "snapshot_of": ("live", "snapshot_of"),
    "snapshots": ("run", "snapshots"),
}

__all__ = [
    "DyntoolsError",
    "Engine",
    "Measurement",
    "Problem",
    "Recipe",
    "Report",
    "Run",
    "Series",
    "Snapshot",
    "Status",
    "Tensors",
    "analyze",
    "find_findings",
    "make_plan",
    "measure",
    "open_run",
    "read_report",
    "snapshot_of",
    "snapshots",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'dyntools' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(f"dyntools.{module}"), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
