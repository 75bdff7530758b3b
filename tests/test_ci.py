"""The action, the workflow and the other snippets of docs/how-to/check-in-ci.md do what they say.

Every shell step is run by bash as GitHub's runner would (`bash --noprofile --norc -eo pipefail`),
in a temporary repository made of the files that the page shows. pip is a stand-in, and what GitHub
itself provides (checkout, upload) is only looked at.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from dyntools import cli
from tests.gates import write_report
from tests.processes import ROOT
from tests.views.test_check_junit import validate

PAGE = ROOT / "docs/how-to/check-in-ci.md"
ACTION = ROOT / ".github/actions/dyntools-check/action.yml"
EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")
RANK = "effective_rank@last within 10%"


def block(name: str) -> str:
    """The file that the page shows under this name."""
    found = re.search(rf"^```\w+\n(# {re.escape(name)}\n.*?)^```$", PAGE.read_text(), re.M | re.S)
    assert found, name
    return found[1]


def load(text: str) -> Any:
    return yaml.safe_load(text)


@dataclass
class Runner:
    """A step of a workflow, as GitHub runs it."""

    folder: Path

    def __post_init__(self) -> None:
        tools = self.folder / ".tools"
        tools.mkdir()
        python = f'if [ "$1 $2" = "-m pip" ]; then echo "$@" >> {tools}/pip; else exec '
        for name, body in (
            ("python", f'{python} {sys.executable} "$@"; fi'),
            ("dyntools", f'exec {sys.executable} -m dyntools "$@"'),
        ):
            (tools / name).write_text(f"#!/bin/bash\n{body}\n")
            (tools / name).chmod(0o755)
        for name in ("output", "summary", "env"):
            (tools / name).touch()
        self.tools = tools

    def run(
        self, step: Mapping[str, Any], inputs: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        values = {f"inputs.{key}": value for key, value in (inputs or {}).items()}
        values["runner.temp"] = str(self.tools)

        def filled(text: str) -> str:
            return EXPRESSION.sub(lambda found: values[found[1]], text)

        assert not EXPRESSION.search(step["run"]), "an expression in a script is an injection"
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=self.folder,
            env={
                **os.environ,
                **{key: filled(str(value)) for key, value in step.get("env", {}).items()},
                "PATH": f"{self.tools}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                "OMP_NUM_THREADS": "1",
                "GITHUB_ACTIONS": "true",
                "GITHUB_OUTPUT": str(self.tools / "output"),
                "GITHUB_STEP_SUMMARY": str(self.tools / "summary"),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )

    @property
    def outputs(self) -> dict[str, str]:
        lines = (self.tools / "output").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    @property
    def installed(self) -> str:
        return (self.tools / "pip").read_text() if (self.tools / "pip").exists() else ""


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


def action_steps() -> dict[str, dict[str, Any]]:
    return {step["name"]: step for step in load(ACTION.read_text())["runs"]["steps"]}


def inputs(**given: str) -> dict[str, str]:
    """The inputs of the action, those that are not given at their defaults."""
    declared = load(ACTION.read_text())["inputs"]
    assert {name.replace("_", "-") for name in given} <= set(declared)
    return {
        **{name: one.get("default", "") for name, one in declared.items()},
        **{name.replace("_", "-"): value for name, value in given.items()},
    }


@pytest.mark.parametrize(
    ("scale", "limits", "more", "code", "verdict"),
    [
        (1.02, RANK, {}, 0, "pass"),
        (1.3, f"{RANK}\n\n  hessian_top[0]@last within 10%\n", {}, 1, "fail"),
        (1.0, "hessian_trace@last within 1%", {}, 3, "inconclusive"),
        (1.0, "hessian_trace@last within 1%", {"inconclusive_ok": "true"}, 0, "inconclusive"),
        (1.0, "stable_rank@last within 1%", {}, 3, "not comparable"),
        (1.0, f"{RANK}\nstable_rank@last within 1%", {"allow_missing": "true"}, 0, "pass"),
        (1.0, "nonsense", {}, 2, "error"),
    ],
)
def test_the_check_step(
    scale: float, limits: str, more: dict[str, str], code: int, verdict: str, runner: Runner
) -> None:
    write_report(runner.folder / "before.h5")
    write_report(runner.folder / "now here.h5", scale, seed=1)
    given = inputs(report="now here.h5\n", baseline="before.h5", limits=limits, **more)
    done = runner.run(action_steps()["Check"], given)
    assert done.returncode == code, done.stdout + done.stderr
    assert runner.outputs == {"verdict": verdict, "exit-code": str(code)}
    summary = (runner.tools / "summary").read_text()
    if code == 2:
        assert "nonsense" in done.stderr
        assert not summary
        return
    assert f"### dyntools: {verdict.upper()}: " in summary
    outcome = json.loads((runner.tools / "dyntools-check.json").read_text())
    assert (outcome["verdict"], outcome["exit_code"]) == (verdict, code)
    annotated = [line for line in done.stdout.splitlines() if line.startswith("::error title")]
    assert len(annotated) == (4 if verdict == "fail" else 0)


def test_inputs_are_never_run(runner: Runner) -> None:
    write_report(runner.folder / "now.h5")
    evil = "$(touch owned) `touch owned`; touch owned \"' && touch owned"
    given = inputs(report="now.h5", limits=evil, baseline=evil)
    done = runner.run(action_steps()["Check"], given)
    assert done.returncode == 2
    assert not (runner.folder / "owned").exists()


def test_the_install_step(runner: Runner) -> None:
    step = action_steps()["Install"]
    assert step["if"] == "${{ inputs.install != '' }}"
    assert runner.run(step, inputs(install="dyntools==0.1.0")).returncode == 0
    assert runner.installed == "-m pip install --quiet dyntools==0.1.0\n"


def test_actions_are_pinned_and_the_upload_runs_after_a_failure() -> None:
    upload = action_steps()["Upload"]
    assert upload["if"].startswith("${{ !cancelled()")
    workflow = load(block(".github/workflows/probe.yml"))
    used = [upload["uses"], *(s["uses"] for s in workflow["jobs"]["probe"]["steps"] if "uses" in s)]
    for one in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}|\./\.github/actions/dyntools-check", one)
    assert (ROOT / ".github/actions/dyntools-check").is_dir()
    for step in action_steps().values():
        assert ("run" in step) == (step.get("shell") == "bash")


def test_the_inputs_of_the_page_are_those_of_the_action() -> None:
    steps = load(block(".github/workflows/probe.yml"))["jobs"]["probe"]["steps"]
    declared = set(load(ACTION.read_text())["inputs"])
    assert set(steps[-1]["with"]) <= declared
    text = PAGE.read_text()
    table = text[text.index("| input | meaning |") : text.index("On GitHub, that is")]
    assert set(re.findall(r"`([a-z-]+)`", table.split("\n\n")[0])) >= declared


@pytest.mark.slow
def test_the_whole_workflow(runner: Runner) -> None:
    """Train, measure, check: the first run has no baseline, the second passes, a bug fails."""
    (runner.folder / "train.py").write_text(block("train.py"))
    (runner.folder / "requirements.txt").write_text("dyntools\n")
    steps = load(block(".github/workflows/probe.yml"))["jobs"]["probe"]["steps"]
    shell = [step for step in steps if "run" in step]
    assert [step["name"] for step in shell] == ["Install", "Train the probe run", "Measure it"]
    given = inputs(**{k.replace("-", "_"): v for k, v in steps[-1]["with"].items()})
    for step in shell:
        done = runner.run(step)
        assert done.returncode == 0, done.stdout + done.stderr
    assert runner.installed == "-m pip install -r requirements.txt\n"
    first = runner.run(action_steps()["Check"], given)
    assert first.returncode == 2
    assert "There is no baseline here" in first.stderr
    limits = " ".join(f"--limit '{line}'" for line in given["limits"].splitlines())
    accept = {"run": f"dyntools baseline probe.h5 {limits} -o baseline.json"}
    assert runner.run(accept).returncode == 0
    assert runner.run(action_steps()["Check"], given).returncode == 0
    wrong = block("train.py").replace("lr=1e-2", "lr=3e-2")
    (runner.folder / "train.py").write_text(wrong)
    (runner.folder / "probe.h5").unlink()
    for step in shell[1:]:
        assert runner.run(step).returncode == 0
    bad = runner.run(action_steps()["Check"], given)
    assert bad.returncode == 1, bad.stdout
    assert runner.outputs["verdict"] == "fail"
    assert "::error title=dyntools%3A hessian_top" in bad.stdout


def test_the_script_of_gitlab(runner: Runner) -> None:
    """Its last command, on reports made here; the others are those of the workflow."""
    job = load(block(".gitlab-ci.yml"))["probe"]
    *_, check = job["script"]
    write_report(runner.folder / "before.h5")
    write_report(runner.folder / "probe.h5", 1.3, seed=1)
    limit = re.findall(r"--limit '(.+?)'", check)[0]
    made = {"run": f"dyntools baseline before.h5 --limit '{limit}' -o baseline.json"}
    assert runner.run(made).returncode == 0
    assert runner.run({"run": check}).returncode == 1
    report = runner.folder / job["artifacts"]["reports"]["junit"]
    root = ElementTree.parse(report).getroot()
    validate(root)
    assert root.get("failures") == "3"


def test_the_test_of_the_page_runs_under_pytest(runner: Runner) -> None:
    (runner.folder / "test_probe.py").write_text(block("test_probe.py"))
    write_report(runner.folder / "before.h5")
    limit = "effective_rank@last within 5%"
    assert runner.run(
        {"run": f"dyntools baseline before.h5 --limit '{limit}' -o baseline.json"}
    ).returncode == 0  # fmt: skip
    for scale, code, word in ((1.0, 0, "1 passed"), (1.3, 1, "FAIL: 3 checks failed.")):
        write_report(runner.folder / "probe.h5", scale, seed=1)
        test = {"run": "python -m pytest -q -p no:cacheprovider test_probe.py"}
        done = runner.run(test)
        assert done.returncode == code, done.stdout
        assert word in done.stdout


def test_the_hook_only_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (hook,) = load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert {"id", "name", "entry", "language"} <= set(hook)
    assert hook["pass_filenames"] is False
    (repository,) = load(block(".pre-commit-config.yaml"))["repos"]
    (chosen,) = repository["hooks"]
    assert chosen["id"] == hook["id"]
    monkeypatch.chdir(tmp_path)
    write_report(tmp_path / "probe.h5", seed=1)
    write_report(tmp_path / "before.h5")
    assert cli.run(["baseline", "before.h5", "-o", "baseline.json"]) == 0
    program, command = hook["entry"].split()
    assert program == "dyntools"
    before = sorted(tmp_path.rglob("*"))
    assert cli.run([command, *chosen["args"]]) in (0, 3)
    assert sorted(tmp_path.rglob("*")) == before
    assert "checks" in capsys.readouterr().out
