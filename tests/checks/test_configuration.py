"""Limits and options of a project: where they are found, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from dyntools.checks.baseline import baseline_of
from dyntools.checks.configuration import (
    DEFAULT_LIMITS,
    Configuration,
    defaults_for,
    nearest_configuration,
    read,
)
from dyntools.checks.limit import parse
from dyntools.errors import UsageError
from dyntools.metrics import METRICS
from dyntools.report import Report
from tests.gates import gate_report

LINE = "hessian_top[0]@last within 10%"
TABLE = f"""
[tool.dyntools.check]
limits = ["{LINE}", "effective_rank above 2"]
level = 0.01
allow-missing = true
baseline = "ci/baseline.json"
"""


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_all_keys(tmp_path: Path) -> None:
    path = written(tmp_path / "pyproject.toml", TABLE)
    assert read(path) == Configuration(
        limits=(parse(LINE), parse("effective_rank above 2")),
        level=0.01,
        allow_missing=True,
        baseline=(tmp_path / "ci" / "baseline.json",),
        source=str(path),
    )


def test_a_table_of_limits_and_no_other_key(tmp_path: Path) -> None:
    text = '[check.limits]\n"hessian_top[0]@last" = "within 10%"\nweight_norm = "below 3"\n'
    found = read(written(tmp_path / "dyntools.toml", text))
    assert found is not None
    assert found.limits == (parse(LINE), parse("weight_norm below 3"))
    assert (found.level, found.allow_missing, found.baseline) == (None, None, ())
    assert read(written(tmp_path / "dyntools.toml", TABLE)) is not None  # the long form too


def test_the_nearest_file_upward_that_has_the_table(tmp_path: Path) -> None:
    far = written(tmp_path / "pyproject.toml", TABLE)
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    written(tmp_path / "a" / "pyproject.toml", "[tool.ruff]\nline-length = 100\n")
    found = nearest_configuration(inner)
    assert found is not None
    assert found.source == str(far)
    near = written(tmp_path / "a" / "dyntools.toml", f"[check]\nlimits = ['{LINE}']\n")
    found = nearest_configuration(inner)
    assert found is not None
    assert found.source == str(near)


def test_none_where_there_is_none(tmp_path: Path) -> None:
    assert read(written(tmp_path / "pyproject.toml", "[project]\nname = 'x'\n")) is None
    assert read(written(tmp_path / "pyproject.toml", "tool = 3\n")) is None


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[check", "cannot be read"),
        ("check = 3", "must be a table"),
        ("[check]\nlimit = []", "no key 'limit'"),
        ("[check]\nlimits = 'x'", "list of limits"),
        ("[check]\nlimits = [1]", "list of limits"),
        ("[check]\nlimits = ['x around 3']", "cannot be read: expected"),
        ("[check]\nlimits = {x = 3}", "cannot be read: expected"),
        ("[check]\nlevel = 5", "between 0 and 1"),
        ("[check]\nlevel = true", "between 0 and 1"),
        ("[check]\nlevel = '0.05'", "between 0 and 1"),
        ("[check]\nallow-missing = 1", "true or false"),
        ("[check]\nbaseline = 1", "a path or a list of paths"),
        ("[check]\nbaseline = [1]", "a path or a list of paths"),
    ],
)
def test_what_is_refused(text: str, what: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=what):
        read(written(tmp_path / "dyntools.toml", text))
    with pytest.raises(UsageError) as raised:
        read(written(tmp_path / "dyntools.toml", "[check]\nallow_missing = true"))
    assert str(raised.value.remedy).startswith("allow-missing")


def test_the_defaults_are_on_metrics_that_exist() -> None:
    known = {metric.name for metric in METRICS}
    assert {limit.metric for limit in DEFAULT_LIMITS} <= known
    assert len({limit.subject for limit in DEFAULT_LIMITS}) == len(DEFAULT_LIMITS)


def test_defaults_are_those_that_either_side_holds() -> None:
    ranks = gate_report(only=["effective_rank"])
    assert [limit.metric for limit in defaults_for([ranks])] == ["effective_rank"]
    both = ["hessian_top", "hessian_trace", "effective_rank"]
    assert [limit.metric for limit in defaults_for([ranks], [gate_report()])] == both
    stored = baseline_of([gate_report()], defaults_for([gate_report()]))
    assert [limit.metric for limit in defaults_for([ranks], stored)] == both
    assert defaults_for([Report()]) == ()
