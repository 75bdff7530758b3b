"""Every metric says what its error is."""

from __future__ import annotations

import re

import pytest

from dyntools.checks.error_kinds import BOUNDS, EXACT, STANDARD_ERRORS, is_bound
from dyntools.metrics import METRICS
from tests.processes import ROOT

PAGES = ROOT / "docs" / "metrics"


def test_every_metric_is_of_one_kind() -> None:
    listed = [*BOUNDS, *STANDARD_ERRORS, *EXACT]
    assert sorted(listed) == sorted(metric.name for metric in METRICS)


@pytest.mark.parametrize("name", [*BOUNDS, *STANDARD_ERRORS, *EXACT])
def test_the_page_of_the_metric_says_the_same(name: str) -> None:
    row = re.search(r"^\| error \| (.*) \|$", (PAGES / f"{name}.md").read_text(), re.MULTILINE)
    assert row is not None
    says_none = row[1].startswith("none")
    says_chance = "standard error" in row[1]
    assert (name in EXACT) == says_none
    assert (name in STANDARD_ERRORS) == says_chance
    assert is_bound(name) == (not says_none and not says_chance)
