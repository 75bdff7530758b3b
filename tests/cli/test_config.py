"""What a person tells of a run with --config, from the file to the report."""

from __future__ import annotations

from pathlib import Path

import pytest

from dyntools import hdf5
from tests.cli.test_commands import Command
from tests.small_run import write_small_run

ANALYZE = ("analyze", "run", "--metric", "hyperparameters", "-o", "r.h5")


def test_the_report_keeps_the_recipe_and_the_metric_uses_it(
    dyntools: Command, tmp_path: Path
) -> None:
    write_small_run(tmp_path / "run")
    (tmp_path / "told.toml").write_text("tokens_per_step = 1000\nbeta2 = 0.5\nbeta1 = 0\n")
    outcome = dyntools(*ANALYZE, "--config", "told.toml")
    assert outcome.code == 0, outcome.err
    report = hdf5.read(tmp_path / "r.h5")
    assert report.attributes["recipe"] == {"tokens_per_step": 1000, "beta2": 0.5, "beta1": 0}
    series = report["hyperparameters"]
    at = series.coords["law"].index("beta2_half_life_tokens")
    assert series.values[-1, at] == 1000


def test_another_recipe_is_another_analysis(dyntools: Command, tmp_path: Path) -> None:
    write_small_run(tmp_path / "run")
    (tmp_path / "told.json").write_text('{"beta2": 0.5}')
    assert dyntools(*ANALYZE).code == 0
    refused = dyntools(*ANALYZE, "--resume", "--config", "told.json")
    assert refused.code == 2
    assert dyntools(*ANALYZE, "--force", "--config", "told.json").code == 0
    again = dyntools(*ANALYZE, "--resume", "--config", "told.json")  # it is there already
    assert again.code == 0, again.err


@pytest.mark.parametrize(
    ("text", "what"),
    [("betta2 = 0.9", "keys: beta2"), ("beta2 = 2", "below 1"), ("beta2", "not TOML")],
)
def test_slips_of_the_pen_are_refused_before_anything_is_read(
    dyntools: Command, tmp_path: Path, text: str, what: str
) -> None:
    (tmp_path / "told.toml").write_text(text)
    outcome = dyntools("analyze", "there-is-no-run", "--config", "told.toml")
    assert outcome.code == 2
    assert what in outcome.err
    assert "told.toml" in outcome.err
