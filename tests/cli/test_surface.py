"""The surface is frozen here: commands, options, exit codes; none is added by accident."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import typer

from dyntools.cli import app
from tests.conftest import Outcome
from tests.processes import python

SURFACE = {
    "init": "path --output --task --force",
    "inspect": "path --initial --logs --role --kind --kinds --no-mmap --json",
    "analyze": (
        "path --output --metric --preset --initial --steps --every --last --logs --role --kind"
        " --config --device --resume --force --shard --no-mmap --problem --text --tokens"
        " --tokenizer --block --examples --validation --memory --basis-memory --dtype --hvp --mode"
        " --probe-error --estimate-second-moments --shard-parameters"
    ),
    "merge": "parts --output --force",
    "show": "report_path --metric --step --layer --json --csv",
    "plot": "report_path --output --metric",
    "report": "report_paths --output --format --force",
    "watch": "path --layer --sort --reverse --every --once",
    "seal": "journal --output --force",
    "adam-memory": (
        "path --rule --cutoff --max-update-error --steps --from-step --kind --export --json --all"
        " --output --force --initial --logs --role --device --no-mmap --verify --seeds --lr"
        " --batch-size --clip --problem --text --tokens --tokenizer --block --examples --dtype"
        " --estimate-second-moments"
    ),
    "compare": ("reports --group --metric --layer --step --align --view --x --all --format --plot"),
    "baseline": "reports --output --limit --config",
    "check": (
        "reports --baseline --limit --config --level --allow-missing --inconclusive-ok --exit-zero"
        " --format --output"
    ),
    "metrics": "name --json",
    "doctor": "",
}


def test_commands_and_options_are_these() -> None:
    group = typer.main.get_command(app)
    found = {}
    for name, command in group.commands.items():
        words = []
        for parameter in command.params:
            longest = max(parameter.opts, key=len)
            words.append(longest)
        found[name] = " ".join(words)
    assert found == SURFACE


@pytest.mark.parametrize("command", ["", *SURFACE])
def test_help_has_an_example(command: str, dyntools: Callable[..., Outcome]) -> None:
    outcome = dyntools(*command.split(), "--help")
    assert outcome.code == 0
    assert "dyntools" in outcome.out
    assert ("Example:" in outcome.out) or not command


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["analyze", "--help"], ["metrics"], ["metrics", "effective_rank"], ["--version"]],
)
def test_these_do_not_import_torch(arguments: list[str]) -> None:
    code = (
        "import sys; from dyntools.cli import run; code = run(sys.argv[1:]);"
        "assert 'torch' not in sys.modules; sys.exit(code)"
    )
    result = python(code, *arguments)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["analyze"],
        ["analyze", "RUN", "--nonsense"],
        ["show", "missing.h5"],
        ["analyze", "missing"],
        ["analyze", "missing", "--shard", "5/2"],
        ["merge", "missing.h5", "-o", "x.h5"],
        ["check", "missing.h5"],
        ["check"],
        ["baseline", "missing.h5", "-o", "x.json"],
        ["compare", "missing.h5", "missing.h5"],
    ],
)
def test_mistakes_exit_2_without_a_traceback(
    arguments: list[str], dyntools: Callable[..., Outcome]
) -> None:
    outcome = dyntools(*arguments)
    assert outcome.code == 2
    assert "Traceback" not in outcome.err
    assert outcome.err.strip()


def test_python_dash_m_is_the_same_program() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "dyntools", "metrics", "nonsense"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "no metric 'nonsense'" in result.stderr


def test_our_own_mistakes_are_a_sentence_too(
    dyntools: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dyntools import metrics

    def broken(name: str) -> None:
        raise ZeroDivisionError("by us")

    monkeypatch.setattr(metrics, "find", broken)
    outcome = dyntools("metrics", "effective_rank")
    assert outcome.code == 2
    assert "mistake of its own" in outcome.err
    assert "Traceback" not in outcome.err
