"""The README keeps its word: its code runs, its output is real, its links lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from dyntools.metrics import METRICS
from tests.conftest import Outcome
from tests.processes import FIXTURES, ROOT, python

README = (ROOT / "README.md").read_text()
CI = (ROOT / ".ci/run").read_text()


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_two_commands_are_what_ci_runs() -> None:
    main, tests = (line for block in blocks("console")[:2] for line in block.splitlines())
    install, _, job = main.removeprefix("$ ").partition(" && ")
    assert install == "python -m pip install -c .ci/constraints.txt ."
    assert job == "dyntools analyze fixtures/runs/digits-mlp"
    assert job in CI
    assert tests.removeprefix("$ ") in CI


def test_its_python_runs(tmp_path: Path) -> None:
    (tmp_path / "fixtures").symlink_to(FIXTURES)
    (code,) = blocks("python")
    result = python(code, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "0.weight" in result.stdout


def test_the_output_it_shows_is_real(dyntools: Callable[..., Outcome]) -> None:
    (shown,) = blocks("text")
    outcome = dyntools("analyze", FIXTURES / "runs/digits-mlp")
    assert shown.strip() in outcome.out


def test_its_links_lead_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert len(links) > 5
    for link in links:
        assert (ROOT / link).exists(), link


def test_it_names_metrics_in_words_that_exist() -> None:
    words = " ".join(metric.name.replace("_", " ") for metric in METRICS)
    for phrase in ("layer rotation", "spectral norm", "condition number", "loss spikes", "plateau"):
        assert phrase in README
        assert phrase in words
