"""A person's file is loaded as it stands, and each of its mistakes is a sentence with its line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from dyntools.checkpoint import Checkpoint, Entry
from dyntools.errors import ProblemError
from dyntools.problem import Problem
from dyntools.problem.loading import code_digest, load_problem
from dyntools.problem.user_code import blamed

GOOD = """
import torch
from dyntools import Problem

def problem():
    return Problem(torch.nn.Linear(2, 1), [torch.ones(3, 2)], lambda out, batch: out.mean())
"""


def checkpoint(path: Path = Path("step-7.pt")) -> Checkpoint:
    entry = Entry((2,), "float32", lambda: torch.tensor([1.0, 2.0]))
    return Checkpoint(
        path, "plain", 7, "step", "", {"w": entry}, lambda: None, False, {"width": 3}, (), ()
    )


def written(folder: Path, text: str, name: str = "problem.py") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def refused(spec: object, given: Checkpoint | None = None) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        load_problem(str(spec), given)
    return caught.value


@pytest.mark.parametrize(
    "definition",
    [
        "def chosen(): return make()",
        "chosen = make()",
        "def chosen(checkpoint): return make(checkpoint)",
        "def chosen(handle): return make(handle)",
        "def chosen(handle, /): return make(handle)",
        "def chosen(*, checkpoint): return make(checkpoint)",
        "def chosen(width=3, checkpoint=None): return make(checkpoint)",
        "class Box:\n    @staticmethod\n    def made(): return make()\nchosen = Box.made",
    ],
)
def test_a_problem_or_what_makes_one_with_the_checkpoint_or_without(
    definition: str, tmp_path: Path
) -> None:
    text = (
        GOOD + "def make(handle=None):\n    made.append(handle)\n    return problem()\nmade = []\n"
    )
    path = written(tmp_path, text + definition)
    found = load_problem(f"{path}:chosen", checkpoint())
    assert isinstance(found, Problem)
    assert found.source == f"{path}:chosen"
    (handle,) = found.loss.__globals__["made"]
    if "checkpoint" in definition or "handle" in definition:
        assert (handle.path.name, handle.step, handle.config) == ("step-7.pt", 7, {"width": 3})
        assert handle.state_dict()["w"].tolist() == [1.0, 2.0]
        with pytest.raises(AttributeError):
            handle.step = 8
    else:
        assert handle is None


def test_a_default_that_is_no_checkpoint_is_left_alone(tmp_path: Path) -> None:
    text = GOOD + "def sized(width=3):\n    assert width == 3\n    return problem()\n"
    load_problem(f"{written(tmp_path, text)}:sized", checkpoint())


def test_the_name_is_problem_unless_given(tmp_path: Path) -> None:
    assert load_problem(str(written(tmp_path, GOOD))).source.endswith("problem.py")


def test_a_module_is_found_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "mine_of_loading"
    package.mkdir()
    (package / "__init__.py").write_text("")
    written(package, GOOD, "loss.py")
    monkeypatch.chdir(tmp_path)
    assert load_problem("mine_of_loading.loss:problem").source == "mine_of_loading.loss:problem"
    assert "lossy" in str(refused("mine_of_loading.loss:lossy"))


def test_neighbours_can_be_imported_and_nothing_stays_behind(tmp_path: Path) -> None:
    """Two runs that both import `network` got the first one's network."""
    text = GOOD.replace("Linear(2, 1)", "Linear(2, WIDTH)") + "from network import WIDTH\n"
    before = list(sys.path), sys.modules.get("json"), sys.dont_write_bytecode
    widths = []
    for width in (3, 4):
        folder = tmp_path / str(width)
        folder.mkdir()
        written(folder, f"WIDTH = {width}", "network.py")
        widths.append(load_problem(str(written(folder, text, "json.py"))).model.out_features)
        assert sorted(path.name for path in folder.iterdir()) == ["json.py", "network.py"]
    assert widths == [3, 4]
    assert (list(sys.path), sys.modules.get("json"), sys.dont_write_bytecode) == before
    assert "network" not in sys.modules


def test_dataclasses_in_the_file_work(tmp_path: Path) -> None:
    text = "from __future__ import annotations\nfrom dataclasses import dataclass\n" + GOOD
    load_problem(str(written(tmp_path, text + "\n@dataclass\nclass Sizes:\n    width: int = 3\n")))


def test_what_it_prints_does_not_mix_with_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load_problem(str(written(tmp_path, GOOD + "print('loading data')\n")))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "loading data" in captured.err


def test_random_numbers_it_draws_are_not_taken_from_the_caller(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_problem(str(written(tmp_path, GOOD + "torch.rand(100)\n")))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("import torch\n\nimport no_such_module_at_all\n", ("problem.py:3", "no_such_module")),
        ("def problem():\n    return 1 / 0\n", ("problem.py:2", "ZeroDivisionError")),
        ("x = 1\ndef problem(:\n", ("problem.py:2", "SyntaxError")),
        ("raise SystemExit(3)\n", ("exit(3)", "__main__")),
        ("def problem():\n    pass\n", ("NoneType", "return")),
        ("def problem():\n    return {'model': 1}\n", ("dict with model", "Problem(**")),
        ("def problem():\n    return 1, len\n", ("tuple of int", "Problem(")),
        ("import torch\nproblem = torch.nn.Linear(1, 1)\n", ("Linear", "around this model")),
        ("problem = 3\n", ("int",)),
        ("def problem(model, data): pass\n", ("model, data", "problem.py:1")),
        ("def problem(checkpoint, data): pass\n", ("checkpoint, data",)),
        ("def problme(): pass\nimport os\n", ("no 'problem'", "problme")),
        ("", ("no 'problem'", "nothing")),
    ],
)
def test_each_mistake_is_a_sentence(text: str, sentences: tuple[str, ...], tmp_path: Path) -> None:
    before = set(sys.modules)
    error = refused(written(tmp_path, text), checkpoint())
    for sentence in sentences:
        assert sentence in str(error)
    if text.startswith(("x = 1", "raise", "import torch\n\nimport")):
        assert set(sys.modules) == before


def test_a_missing_file_is_answered_with_the_nearest(tmp_path: Path) -> None:
    written(tmp_path, GOOD, "problem.py")
    assert "problem.py" in (refused(tmp_path / "problm.py").remedy or "")
    assert f"{tmp_path / 'problem.py'}" in (refused(tmp_path).remedy or "")
    assert "FILE.py:NAME" in (refused("problem").remedy or "")


def test_a_function_that_wants_a_checkpoint_where_there_is_none(tmp_path: Path) -> None:
    text = GOOD + "def late(checkpoint): return problem()\n"
    assert "no" in refused(f"{written(tmp_path, text)}:late").what


def test_the_digest_is_that_of_the_code(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    first = code_digest(f"{path}:problem")
    assert first == code_digest(str(path))
    path.write_text(GOOD + "\n# changed\n")
    assert code_digest(str(path)) != first
    assert code_digest("package.module:name") == code_digest("") == ""


def test_a_mistake_in_the_loss_is_told_with_its_line_and_ours_is_not(tmp_path: Path) -> None:
    text = GOOD.replace("out.mean()", "out.nonsense()")
    problem = load_problem(str(written(tmp_path, text)))
    outputs, loss = blamed(problem)(problem.outputs), blamed(problem)(problem.loss)
    with pytest.raises(ProblemError, match="raised an error") as caught:
        loss(outputs(problem.model, torch.ones(3, 2)), None)
    assert "problem.py:6" in str(caught.value)
    with pytest.raises(ProblemError, match="does not take") as caught:
        outputs(problem.model, torch.ones(3, 5))
    assert str(tmp_path) in str(caught.value)
    for ours in (ZeroDivisionError, torch.OutOfMemoryError, MemoryError):
        with pytest.raises(ours):
            blamed(problem)(_raising)(ours)


# As from an installed package: code without a file of the user's.
_found: dict[str, Any] = {}
exec(compile("def raising(kind): raise kind", "<nowhere>", "exec"), _found)
_raising = _found["raising"]
