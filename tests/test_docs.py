"""The documentation keeps its word: code runs, commands parse, output is real, names exist.

`DYNTOOLS_REFRESH_DOCS=1 python -m pytest tests/test_docs.py` writes the present output of the
commands into the pages, for a person to look at and commit.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer

from dyntools import analyze, cli, make_plan, open_run
from dyntools.findings import RULES
from dyntools.metrics import METRICS
from dyntools.metrics.activations import ACTIVATIONS
from dyntools.metrics.curvature import CURVATURE
from dyntools.metrics.gradients import GRADIENTS
from dyntools.metrics.metric import Metric
from dyntools.plan import parse
from dyntools.problem.loading import load_problem
from dyntools.report import Report
from tests.conftest import Outcome
from tests.metrics.test_contract import measured
from tests.processes import FIXTURES, ROOT, python

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
REPORT_FORMAT = DOCS / "reference/report-format.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def name_of(path: Path) -> str:
    return str(path.relative_to(DOCS))


def blocks(path: Path, language: str) -> list[str]:
    return [body for kind, body in BLOCK.findall(path.read_text()) if kind == language]


RUNNABLE = [p for p in (*(DOCS / "how-to").glob("*.md"), REPORT_FORMAT) if blocks(p, "python")]


def prose(path: Path) -> str:
    return BLOCK.sub("", path.read_text())


def shown(path: Path) -> list[tuple[str, str]]:
    """The commands of a page whose output it shows, with that output."""
    found = []
    for block in blocks(path, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, output = part.partition("\n")
            if output and line.startswith("dyntools ") and "|" not in line:
                found.append((line, output.rstrip("\n")))
    return found


SHOWING = [page for page in PAGES if shown(page)]


def commands() -> Iterator[tuple[Path, str]]:
    for path in PAGES:
        for block in blocks(path, "console"):
            for line in block.splitlines():
                if line.startswith("$ dyntools"):
                    yield path, line.removeprefix("$ ")


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as mkdocs makes them."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", path.read_text()), re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings)
    return {re.sub(r"[\s-]+", "-", heading) for heading in plain}


@pytest.mark.parametrize("page", RUNNABLE, ids=name_of)
def test_python_blocks_run_in_order(page: Path, tmp_path: Path) -> None:
    code = "\n".join(blocks(page, "python"))
    (tmp_path / "fixtures").symlink_to(FIXTURES, target_is_directory=True)
    if page == REPORT_FORMAT:
        made = python(
            "from dyntools import cli; cli.main(['analyze', 'fixtures/runs/digits-mlp',"
            " '--metric', 'layer_rotation'])",
            cwd=tmp_path,
        )
        assert made.returncode == 0, made.stderr
    result = python(code, cwd=tmp_path)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(("page", "line"), list(commands()), ids=str)
def test_commands_parse(page: Path, line: str) -> None:
    words = shlex.split(line)
    words = words[: words.index("|")] if "|" in words else words
    group: Any = typer.main.get_command(cli.app)
    context = group.commands[words[1]].make_context(words[1], words[2:])
    asked = context.params.get("metric") or ()
    for request in (asked,) if isinstance(asked, str) else asked:
        parse(request)


@pytest.mark.parametrize(("page", "line"), list(commands()), ids=str)
def test_files_named_by_commands_exist(page: Path, line: str) -> None:
    for word in shlex.split(line):
        if word.startswith("fixtures/"):
            assert list(ROOT.glob(word)), f"{word} in {name_of(page)}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_and_figures_exist(page: Path) -> None:
    for target in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = target.partition("#")
        found = (page.parent / place).resolve() if place else page
        assert found.is_file(), f"{target} in {name_of(page)}"
        if anchor:
            assert anchor in anchors(found), f"{target} in {name_of(page)}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_paths_in_the_text_exist(page: Path) -> None:
    pattern = r"`(?:python )?((?:dyntools|tests|docs|fixtures|\.ci)/[\w./*-]+)"
    for path in re.findall(pattern, prose(page)):
        assert list(ROOT.glob(path.rstrip("/"))), f"{path} in {name_of(page)}"


def test_navigation_has_every_page() -> None:
    text = (ROOT / ".mkdocs.yml").read_text()
    listed = set(re.findall(r"([\w/-]+\.md)$", text, re.MULTILINE))
    assert listed == {name_of(page) for page in PAGES}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Report]]:
    """The folder in which the commands of the docs are run, with the reports they speak of."""
    folder = tmp_path_factory.mktemp("docs")
    (folder / "fixtures").symlink_to(FIXTURES, target_is_directory=True)
    made = {}
    for name in ("digits-mlp", "tiny-gpt"):
        run = open_run(FIXTURES / "runs" / name)
        made[name] = analyze(run, make_plan(run), folder / f"{name}.h5")
    made["curvature"] = _with_problem("digits-mlp", folder / "curvature.h5", preset="curvature")
    made["gradients"] = _with_problem("tiny-gpt", folder / "gradients.h5", preset="gradients")
    made["activations"] = _with_problem("tiny-gpt", folder / "activations.h5", preset="activations")
    _with_problem("digits-mlp", folder / "collapse.h5", ["neural_collapse"])
    _with_problem("digits-mlp", folder / "gap.h5", ["validation_gap"])
    request = ["block_sharpness:block=kind"]
    _with_problem("tiny-gpt", folder / "tiny-gpt-curvature.h5", request, steps=[10, 300])
    return folder, made


def _with_problem(
    name: str,
    path: Path,
    metrics: Sequence[str] = (),
    preset: str | None = None,
    steps: Sequence[int] | None = None,
) -> Report:
    folder = FIXTURES / "runs" / name
    run = open_run(folder)
    problem = load_problem(str(folder / "problem.py"), run.checkpoints[-1])
    return analyze(run, make_plan(run, metrics, preset=preset, problem=problem), path, steps=steps)


@pytest.mark.parametrize("page", SHOWING, ids=name_of)
def test_output_is_what_the_command_prints(
    page: Path,
    reports: tuple[Path, dict[str, Report]],
    dyntools: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """But for digits, which may differ in the last place from machine to machine."""
    monkeypatch.chdir(reports[0])
    text = page.read_text()
    for line, output in shown(page):
        words = shlex.split(line)[1:]
        if words[0] == "merge":
            _make_parts(dyntools, words)
        outcome = dyntools(*words, *(["--force"] if words[0] in ("analyze", "merge") else []))
        printed = "\n".join(row.rstrip() for row in outcome.out.rstrip().splitlines())
        if os.environ.get("DYNTOOLS_REFRESH_DOCS"):
            text = text.replace(f"$ {line}\n{output}\n```", f"$ {line}\n{printed}\n```")
            page.write_text(text)
        else:
            assert _without_digits(printed) == _without_digits(output), line


def _make_parts(dyntools: Callable[..., Outcome], words: list[str]) -> None:
    for part in words:
        if found := re.fullmatch(r"(.+)\.part-(\d+)-of-(\d+)\.h5", part):
            run, shard = f"fixtures/runs/{found[1]}", f"{found[2]}/{found[3]}"
            assert dyntools("analyze", run, "--shard", shard, "--force").code == 0


def _without_digits(text: str) -> list[str]:
    """Lines with every number, and what belongs to its notation, as #; without columns."""
    plain = re.sub(r"[-+(]?\d[\d.,]*(±[\d.]+\)?)?(e[-+]?\d+)?", "#", text)
    return [" ".join(re.sub("[▁▂▃▄▅▆▇█─]+", "~", line).split()) for line in plain.splitlines()]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_page_of_a_metric_names_paper_settings_and_companions(
    metric: Metric, reports: tuple[Path, dict[str, Report]]
) -> None:
    text = (DOCS / "metrics" / f"{metric.name}.md").read_text()
    for part in metric.paper.split("; "):
        source = re.search(r"arXiv:\S+|doi:\S+|torch\.[\w.]+", part)
        assert (source[0] if source else part) in text, part
    for setting in metric.defaults:
        assert f"`{setting}`" in text, setting
    report = reports[1]["curvature" if metric in CURVATURE else "tiny-gpt"]
    live = metric in (*GRADIENTS, *ACTIVATIONS)  # no checkpoint holds what they need
    for companion in (measured(metric.name) if live else report[metric.name]).beside:
        assert f"`{companion}`" in text, companion
    assert "## When it lies" in text


def test_index_of_metrics_and_findings_are_whole() -> None:
    index, findings = (DOCS / "metrics/index.md").read_text(), (DOCS / "findings.md").read_text()
    for metric in METRICS:
        assert f"[{metric.name}]({metric.name}.md)" in index
    for rule in RULES:
        assert f"\n## {rule.__module__.rsplit('.', 1)[-1]}\n" in findings


def test_every_option_is_in_the_reference() -> None:
    text = (DOCS / "reference/command-line.md").read_text()
    group: Any = typer.main.get_command(cli.app)
    sections = re.split(r"^## ", text, flags=re.MULTILINE)
    shared = next(section for section in sections if section.startswith("inspect\n"))
    for name, command in group.commands.items():
        section = next(section for section in sections if section.startswith(f"{name}\n"))
        for parameter in command.params:
            for option in parameter.opts + parameter.secondary_opts:
                if option.startswith("-") and option != "--help":
                    where = section + (shared if name == "analyze" else "")
                    assert f"`{option}" in where, f"{option} of {name}"
