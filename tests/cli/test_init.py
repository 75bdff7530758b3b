"""dyntools init: the written file runs once its blanks are filled in, and says so until then."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from dyntools import hdf5
from dyntools.problem.loading import load_problem
from tests.conftest import Outcome
from tests.processes import FIXTURES

Command = Callable[..., Outcome]
RUNS = FIXTURES / "runs"
MLP = RUNS / "digits-mlp"
BLANK = re.compile(r'^ +raise NotImplementedError\("FILL IN: (\w+)\(\)"\)$', re.MULTILINE)


def fill(file: Path, **code: str) -> None:
    """What a person does: their own lines in place of each blank."""
    text, count = BLANK.subn(lambda found: f"    {code.pop(found[1])}", file.read_text())
    assert count
    assert not code
    file.write_text(text)


def test_the_file_is_the_problem_once_it_is_filled_in(dyntools: Command) -> None:
    outcome = dyntools("init", MLP)
    assert outcome.code == 0
    assert "wrote problem.py: classification, 2 places to fill in" in outcome.out
    following = outcome.out.splitlines()[-1].removeprefix("next: dyntools ")
    assert following == f"analyze {MLP} --problem problem.py --preset sharpness"
    outcome = dyntools(*following.split(), "--last")
    assert outcome.code == 2
    assert "FILL IN: network()" in outcome.err
    assert "problem.py:" in outcome.err
    own = f"import sys; sys.path.insert(0, {str(RUNS)!r}); from importlib import util; "
    own += f"s = util.spec_from_file_location('own', {str(MLP / 'problem.py')!r}); "
    own += "m = util.module_from_spec(s); s.loader.exec_module(m); "
    fill(Path("problem.py"), network=own + "return m.network()", data=own + "return [m.data()[0]]")
    outcome = dyntools(*following.split(), "--last", "-o", "new.h5")
    assert outcome.code == 0, outcome.err
    theirs = MLP / "problem.py"
    dyntools("analyze", MLP, "--problem", theirs, "--preset", "sharpness", "--last", "-o", "old.h5")
    new, old = hdf5.read(Path("new.h5")), hdf5.read(Path("old.h5"))
    assert "hessian_top" in new.series
    assert list(new.series) == list(old.series)
    found, known = new["hessian_top"], old["hessian_top"]
    assert found.values.tolist() == known.values.tolist()
    assert float(found.values.ravel()[0]) > 0


def test_every_sort_of_run_gets_a_file_that_python_takes(dyntools: Command) -> None:
    for run in ("digits-cnn", "nanogpt", "tiny-gpt", "timm", "dcp", "whole-module"):
        outcome = dyntools("init", RUNS / run, "-o", f"{run}.py")
        assert outcome.code == 0, outcome.err
        compile(Path(f"{run}.py").read_text(), run, "exec")
        assert "    # validation=" in Path(f"{run}.py").read_text()
    assert "net.9.weight  (10, 64)" in Path("digits-cnn.py").read_text()


@pytest.mark.parametrize("task", ["classification", "regression", "language-model"])
def test_a_general_file_needs_no_run(task: str, dyntools: Command) -> None:
    outcome = dyntools("init", "--task", task)
    assert outcome.code == 0
    assert f"problem.py: {task}, 2 places to fill in\n" in outcome.out
    fill(
        Path("problem.py"),
        network="return nn.Sequential(nn.Embedding(5, 1), nn.Flatten(0), nn.Linear(1, 1))",
        data="import torch; return torch.zeros(4096, dtype=torch.long)"
        if task == "language-model"
        else "import torch; return [(torch.zeros(3), torch.zeros(3))]",
    )
    assert load_problem("problem.py").batches


def test_for_a_language_model_of_hugging_face_a_text_is_enough(dyntools: Command) -> None:
    outcome = dyntools("init", RUNS / "tiny-gpt")
    assert "a text is enough for this model" in outcome.out
    assert f"dyntools analyze {RUNS / 'tiny-gpt'} --text FILE" in outcome.out
    pytest.importorskip("transformers", reason="the extra `text` is not installed")
    text = Path("problem.py").read_text()
    text = re.sub('"FILL IN[^"]*"', repr(str(RUNS / "tiny-gpt/text.txt")), text)
    Path("problem.py").write_text(text)
    outcome = dyntools(
        *("analyze", RUNS / "tiny-gpt", "--problem", "problem.py", "--last"),
        *("--metric", "gradient_norm", "-o", "r.h5"),
    )
    assert outcome.code == 0, outcome.err


def test_a_file_that_is_there_stays_without_force(dyntools: Command) -> None:
    Path("problem.py").write_text("mine")
    outcome = dyntools("init", MLP)
    assert outcome.code == 2
    assert "--force" in outcome.err
    assert Path("problem.py").read_text() == "mine"
    assert dyntools("init", MLP, "--force").code == 0
    assert Path("problem.py").read_text() != "mine"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--task", "poetry"], "no task 'poetry'"),
        (["-o", "problem.txt"], "Python file"),
        (["nowhere"], "nothing at this path"),
        ([str(MLP / "log.jsonl")], "no checkpoint"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(
    arguments: list[str], sentence: str, dyntools: Command
) -> None:
    outcome = dyntools("init", *arguments)
    assert outcome.code == 2
    assert sentence in outcome.err
    assert not list(Path().glob("problem.*"))


def test_nothing_stored_is_run(dyntools: Command) -> None:
    """Files that would run code when they are unpickled the usual way."""
    for path in sorted((FIXTURES / "hostile").iterdir()):
        outcome = dyntools("init", path, "--force")
        assert outcome.code in (0, 2)
        assert "Traceback" not in outcome.err
    assert not [p for p in Path().iterdir() if p.name != "problem.py"]


def test_a_path_with_a_blank_is_quoted(dyntools: Command, tmp_path: Path) -> None:
    (tmp_path / "my run").symlink_to(MLP, target_is_directory=True)
    outcome = dyntools("init", "my run")
    assert "dyntools analyze 'my run' --problem problem.py" in outcome.out
