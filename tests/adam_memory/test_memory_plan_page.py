"""From a run to a plan, and the page on it: its examples are what dyntools writes and reads."""

from __future__ import annotations

import json
import math
import re
import tomllib
from pathlib import Path

import pytest

from dyntools import analyze, make_plan, open_run
from dyntools.adam_memory import Evidence, decide, evidence_of
from dyntools.adam_memory.exports import plan_toml, read_forms, rules_json
from dyntools.adam_memory.hindsight import hindsight
from dyntools.adam_memory.optimizers import compare
from dyntools.adam_memory.trust import limits
from dyntools.report import Report
from dyntools.run import parameters
from tests.processes import FIXTURES, ROOT, python

PAGE = (ROOT / "docs/reference/memory-plan.md").read_text()


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plans")


@pytest.fixture(scope="module")
def report(folder: Path) -> Report:
    run = open_run(FIXTURES / "runs" / "tiny-gpt")
    return analyze(run, make_plan(run, ["second_moment_snr"]), folder / "tiny-gpt.h5")


@pytest.fixture(scope="module")
def evidence(report: Report) -> Evidence:
    return evidence_of(report)


def test_shapes_are_those_of_the_model(evidence: Evidence) -> None:
    """Found from the numbers kept, they are those of the checkpoint."""
    checkpoint = open_run(FIXTURES / "runs" / "tiny-gpt").checkpoints[-1]
    shapes = {name: entry.shape for name, entry in parameters(checkpoint)[0].items()}
    assert {tensor.name: tensor.shape for tensor in evidence.tensors} == shapes
    assert evidence.size == sum(math.prod(shape) for shape in shapes.values())


def test_a_run_becomes_a_decision(report: Report, evidence: Evidence) -> None:
    decision = decide(evidence)
    assert evidence.steps == (10, 100, 200, 300)
    assert 0.9 < decision.saved < 1
    assert len(compare(decision)) == 13
    assert {one.label for one in hindsight(report, decision)} >= {"last only", "first 50 %"}
    assert any("peak learning rate" in sentence for sentence in limits(report, evidence))


def test_the_toml_of_the_page_is_what_is_written(evidence: Evidence, tmp_path: Path) -> None:
    written, shown = tomllib.loads(plan_toml(decide(evidence))), tomllib.loads(block("toml"))
    for key, value in shown["provenance"].items():
        assert written["provenance"][key] == pytest.approx(value), key
    for name, entry in shown["tensors"].items():
        found = written["tensors"][name]
        assert found.keys() == entry.keys()
        for key, value in entry.items():
            assert found[key] == (pytest.approx(value) if isinstance(value, float) else value), key
    assert shown["schema"] == written["schema"]
    path = tmp_path / "plan.toml"
    path.write_text(block("toml"))
    assert read_forms(path)["transformer.wte.weight"].label == "axes 1"


def test_every_key_that_is_written_is_on_the_page(evidence: Evidence) -> None:
    plan = tomllib.loads(plan_toml(decide(evidence)))
    keys = {*plan["provenance"], *(key for entry in plan["tensors"].values() for key in entry)}
    for key in keys:
        assert re.search(rf"[`.]{key}`", PAGE), key


def test_the_json_of_the_page_is_what_is_written(evidence: Evidence, tmp_path: Path) -> None:
    shown = json.loads(block("json"))
    written = json.loads(rules_json(decide(evidence))[0])
    assert {name: written[name] for name in shown} == shown
    assert json.dumps(shown, indent=4) == block("json").rstrip()
    path = tmp_path / "rules.json"
    path.write_text(block("json"))
    assert len(read_forms(path)) == 2


def test_the_code_of_the_page_runs(report: Report, folder: Path) -> None:
    result = python(block("python"), cwd=folder)
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("axes 1\n")
