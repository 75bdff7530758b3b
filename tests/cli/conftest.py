"""Shared by tests of checks: the baseline of a probe training, on a machine that is not GitHub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Outcome
from tests.gates import LIMITS, TRACE, write_report


@pytest.fixture(autouse=True)
def _no_github(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def baseline(tmp_path: Path, dyntools: Callable[..., Outcome]) -> Path:
    """Of the three metrics of a probe training."""
    write_report(tmp_path / "before.h5")
    made = dyntools("baseline", "before.h5", *LIMITS, "--limit", TRACE, "-o", "baseline.json")
    assert made.code == 0, made.err
    return tmp_path / "baseline.json"
