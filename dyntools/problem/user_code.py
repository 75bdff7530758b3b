"""User code: run a person's own file or module, and tell its mistakes with their file and line."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import torch

from dyntools.errors import DyntoolsError, ProblemError, nearest

if TYPE_CHECKING:
    from dyntools.problem.problem import Problem

RAISED = "The code of the problem raised an error."
REFUSED = "The model of the problem does not take its batches."
OUTPUTS = "outputs"  # the method of a problem that calls the model
LOSS = "loss_of_outputs"  # the method of an evaluation that calls the loss
UNFIT = "The loss of the problem does not take (outputs, batch)."
LOSS_REMEDY = "loss=lambda outputs, batch: cross_entropy(outputs, batch[1])"
LACKING = "The code of the problem imports what is not there."


@contextmanager
def running(where: str, folder: Path) -> Iterator[None]:
    """Run the user's code: modules in `folder` can be imported, and its prints go to stderr.

    Afterwards sys.path and the random state are as before, and modules beside the file have left
    sys.modules, so that another folder's of the same name are found; what uses them keeps them.
    """
    path, modules, bytecode = list(sys.path), set(sys.modules), sys.dont_write_bytecode
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True  # nothing of ours is left in the person's folder
    try:
        with redirect_stdout(sys.stderr), torch.random.fork_rng(devices=[]):
            yield
    except DyntoolsError:
        raise
    except (Exception, SystemExit) as error:
        what = LACKING if isinstance(error, ImportError) else RAISED
        raise _told(what, error, _users_line(error) or where) from error
    finally:
        sys.path[:], sys.dont_write_bytecode = path, bytecode
        for name in set(sys.modules) - modules:
            if _is_beside(name, folder):
                del sys.modules[name]


@contextmanager
def blamed(problem: Problem | None) -> Iterator[None]:
    """Turn an exception that passed through the code of the problem into a ProblemError.

    What dyntools says itself passes, and memory that ran out, and what is no fault of that code.
    """
    try:
        yield
    except (DyntoolsError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if problem is None:
            raise
        if line := _users_line(error):
            raise _told(RAISED, error, line) from error
        where = problem.source or "the problem"
        names = {frame.name for frame in traceback.extract_tb(error.__traceback__)}
        if OUTPUTS in names:
            raise _told(REFUSED, error, where) from error
        if LOSS in names:
            raise _told(UNFIT, error, where, LOSS_REMEDY) from error
        raise


def module_of_file(path: Path) -> ModuleType:
    """A Python file as a module; its own imports are found inside `running` only."""
    if not path.is_file():
        folder = path.parent
        beside = [p.name for p in folder.glob("*.py")] if folder.is_dir() else []
        raise ProblemError(
            "There is no file with the problem.",
            where=str(path),
            remedy=nearest(path.name, beside) or "the path of a Python file",
        )
    path = path.resolve()
    # A name of its own, so that a file called json.py takes nobody's place in sys.modules.
    name = f"_problem_{path.stem}_{sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up while they are made
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def place_of(function: object) -> str | None:
    """file:line of a function's definition."""
    code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
    return f"{code.co_filename}:{code.co_firstlineno}" if code else None


def _is_beside(name: str, folder: Path) -> bool:
    """Whether a module, or the package it is in, lies in the folder itself."""
    top = name.partition(".")[0]
    ends = (".py", "/__init__.py")
    return top != "dyntools" and any((folder / f"{top}{end}").is_file() for end in ends)


def _told(what: str, error: BaseException, where: str, remedy: str | None = None) -> ProblemError:
    text, kind = " ".join(str(error).split()), type(error).__name__
    if isinstance(error, ModuleNotFoundError):
        remedy = "install it where dyntools is installed, or put it beside the file"
    if isinstance(error, SystemExit):
        text, remedy = f"exit({text})", 'if __name__ == "__main__": around what runs the file alone'
    found = f"{kind}: {text}"[:300] if text else kind
    return ProblemError(what, where=where, found=found, remedy=remedy)


def _users_line(error: BaseException) -> str | None:
    """file:line where an exception last passed through code that is in nobody's package."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    ours, library = Path(__file__).parent.parent, Path(inspect.__file__).parent
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        installed = {"site-packages", "dist-packages"} & set(path.parts)
        if not installed and path.exists() and not {ours, library} & set(path.parents):
            return f"{path}:{frame.lineno}"
    return None
