"""False fails and power where the truth is known: a small part of docs/benchmarks/check_truth.py.

The counts are of fixed seeds. A limit on a count is what a share of the level, or of the power that
the table in the docs gives, leaves to chance: exceeded once in a thousand.
"""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any

import pytest
from scipy import stats

from dyntools.checks.verdict import Verdict
from tests.processes import ROOT

SCRIPT = ROOT / "docs" / "benchmarks" / "check_truth.py"


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_truth", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


truth = _script()


@pytest.mark.parametrize(
    ("route", "pairs", "power"),
    [
        (truth.Route("pair", 1, 1), 150, 0.85),
        (truth.Route("pair, heavy tails", 1, 1, tails="heavy"), 150, 0.9),
        (truth.Route("5 seeds", 5, 5), 80, 0.98),
        (truth.Route("10 against one", 10, 1), 80, 0.69),
        (truth.Route("5 seeds, 12 checks", 5, 5, checks=12), 40, 0.7),
    ],
    ids=lambda value: value.name if isinstance(value, truth.Route) else "",
)
def test_unchanged_runs_fail_no_more_often_than_the_level(
    route: Any, pairs: int, power: float
) -> None:
    unchanged = truth.verdicts(route, 0.0, pairs, seed=0)
    assert unchanged[Verdict.fail] <= stats.binom.ppf(0.999, pairs, truth.LEVEL)
    changed = truth.verdicts(route, 3 * route.sigma, pairs, seed=1)
    assert changed[Verdict.fail] >= stats.binom.ppf(0.001, pairs, power)
    assert changed[Verdict.passed] == 0


def test_a_run_at_the_edge_of_its_tolerance() -> None:
    route = truth.Route("5 seeds", 5, 5, relation="within 10%")
    edge = truth.verdicts(route, route.tolerance, 80, seed=0)
    assert edge[Verdict.fail] <= stats.binom.ppf(0.999, 80, truth.LEVEL)
    assert edge[Verdict.passed] <= stats.binom.ppf(0.999, 80, truth.LEVEL)


@pytest.mark.parametrize(
    "route",
    [
        truth.Route("3 seeds, 0.1 σ", 3, 3, relation=truth.NEAR),
        truth.Route("5 seeds, 0.1 σ, 12 checks", 5, 5, checks=12, relation=truth.NEAR),
        truth.Route("one against 10, heavy tails", 10, 1, checks=60, tails="heavy"),
    ],
    ids=lambda route: route.name,
)
def test_few_outcomes_and_far_tails_keep_the_level(route: Any) -> None:
    """A half or a tenth of the ways, or the tails of normal seeds, would fail 10 to 40 %."""
    pairs = 150 if route.checks == 1 else 30
    unchanged = truth.verdicts(route, 0.0, pairs, seed=0)
    assert unchanged[Verdict.fail] <= stats.binom.ppf(0.99, pairs, truth.LEVEL)


def test_the_interval_of_a_share_is_the_exact_one() -> None:
    for count in (0, 3, 50, 100):
        wanted = stats.binomtest(count, 100).proportion_ci(0.95, method="exact")
        assert truth.interval(count, 100) == pytest.approx((wanted.low, wanted.high), abs=1e-12)
