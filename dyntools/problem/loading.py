"""Loading: the problem that a person's own file or module defines, by `FILE.py:NAME`.

The one place where code of the user is run, and only code that was named for it: nothing is looked
for, and nothing stored in a checkpoint is ever built or run. What was named is a Problem, or a
function that returns one, called with a `Handle` of the run's last checkpoint if it takes one.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from dyntools.errors import ProblemError, nearest
from dyntools.problem.problem import Problem
from dyntools.problem.user_code import module_of_file, place_of, running

if TYPE_CHECKING:
    from dyntools.checkpoint import Checkpoint

NAME = "problem"  # what a file calls it, if the option does not say
FILE = re.compile(r"(?P<file>.+\.py)(:(?P<name>[^:/\\]*))?")
MODULE = re.compile(r"(?P<module>[A-Za-z_][\w.]*):(?P<name>[A-Za-z_][\w.]*)")
FORMS = "--problem FILE.py, --problem FILE.py:NAME or --problem package.module:NAME"


@dataclass(frozen=True)
class Handle:
    """A checkpoint as the user's function sees it, to be read and not changed.

    config: plain values known about the architecture, such as a Hugging Face config.json.
    """

    path: Path
    step: int | None
    config: Mapping[str, object]
    _checkpoint: Checkpoint = field(repr=False)

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Handle:
        return cls(checkpoint.path, checkpoint.step, dict(checkpoint.config), checkpoint)

    def state_dict(self) -> dict[str, Tensor]:
        """The tensors of the model by name, read now."""
        return {name: entry.read() for name, entry in self._checkpoint.tensors.items()}


def load_problem(spec: str, checkpoint: Checkpoint | None = None) -> Problem:
    """The problem named by `file.py`, `file.py:name` or `package.module:name`.

    Raises ProblemError for whatever goes wrong, with the line of the user's code.
    """
    by_file, by_module = FILE.fullmatch(spec), MODULE.fullmatch(spec)
    if by_file:
        path, name = Path(by_file["file"]).expanduser(), by_file["name"] or NAME
        with running(str(path), path.resolve().parent):
            return _problem(module_of_file(path), name, spec, checkpoint)
    if by_module:
        with running(spec, Path.cwd()):
            module = importlib.import_module(by_module["module"])
            return _problem(module, by_module["name"], spec, checkpoint)
    inside = Path(spec) / "problem.py"
    raise ProblemError(
        "The problem is given neither as a file nor as a module.",
        found=spec,
        remedy=f"--problem {inside}" if inside.is_file() else FORMS,
    )


def code_digest(source: str) -> str:
    """A hash of the file that a problem came from, "" where it came from none."""
    parts = FILE.fullmatch(source)
    try:
        file = Path(parts["file"]).expanduser().read_bytes() if parts else b""
    except OSError:
        return ""
    return sha256(file).hexdigest()[:16] if file else ""


def _problem(module: ModuleType, name: str, spec: str, checkpoint: Checkpoint | None) -> Problem:
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise ProblemError(
                f"The module of the problem has no {part!r}.",
                where=getattr(module, "__file__", None) or spec,
                found=nearest(part, _defined(module)) or "it defines nothing",
                remedy=f"the name of one of these after a colon, or def {NAME}() in the file",
            )
        found = getattr(found, part)
    if callable(found) and not isinstance(found, nn.Module):
        positional, named = _arguments(found, name, spec, checkpoint)
        found, name = found(*positional, **named), f"{name}()"
    if not isinstance(found, Problem):
        raise _no_problem(found, name, spec)
    return replace(found, source=spec)


def _defined(module: ModuleType) -> list[str]:
    """The functions and problems that a module defines itself."""
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (isinstance(value, Problem) or getattr(value, "__module__", "") == module.__name__)
    ]


def _arguments(
    function: Callable[..., Any], name: str, spec: str, checkpoint: Checkpoint | None
) -> tuple[tuple[Handle, ...], dict[str, Handle]]:
    """The handle where the function takes one: its one argument, or one called `checkpoint`."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # something compiled, without a signature
        return (), {}
    named = {p.name: p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    required = [p.name for p in named.values() if p.default is p.empty]
    wanted = "checkpoint" if "checkpoint" in named else next(iter(required), None)
    if set(required) - {wanted}:
        raise ProblemError(
            f"{name} asks for more than the checkpoint.",
            where=place_of(function) or spec,
            found=f"{len(required)} arguments without a default: {', '.join(required)}",
            remedy=f"def {name}() or def {name}(checkpoint), and defaults for the others",
        )
    if wanted is None or (checkpoint is None and not required):
        return (), {}
    if checkpoint is None:
        raise ProblemError(
            f"{name} asks for a checkpoint, and there is none.",
            where=place_of(function) or spec,
            remedy=f"def {name}()",
        )
    handle = Handle.of(checkpoint)
    if named[wanted].kind is inspect.Parameter.POSITIONAL_ONLY:
        return (handle,), {}
    return (), {wanted: handle}


def _no_problem(found: object, name: str, spec: str) -> ProblemError:
    what = type(found).__name__
    remedy = "Problem(model, batches, loss); from dyntools import Problem"
    if isinstance(found, nn.Module):
        remedy = "Problem(model, batches, loss) around this model"
    elif isinstance(found, Mapping):
        what += f" with {', '.join(map(str, list(found)[:5]))}"
        remedy = "Problem(**…) of it; the fields are model, batches, loss"
    elif isinstance(found, tuple | list):
        what += f" of {', '.join(type(item).__name__ for item in list(found)[:5])}"
        remedy = "Problem(…) around these; the fields are model, batches, loss"
    elif found is None:
        remedy = "a return statement: return Problem(model, batches, loss)"
    return ProblemError(f"{name} is no Problem.", where=spec, found=what, remedy=remedy)
