"""dyntools init [RUN]: a first problem.py for a run, to be filled in by a person."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dyntools.cli import terminal
from dyntools.errors import UsageError

if TYPE_CHECKING:
    from dyntools.scaffold import Architecture

FILE = Path("problem.py")


def command(
    path: Annotated[
        str | None,
        typer.Argument(metavar="[RUN]", help="Directory of a run, one file, or a quoted glob."),
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE.py", help="Where to write.")
    ] = FILE,
    task: Annotated[
        str | None,
        typer.Option("--task", metavar="NAME", help="classification, regression, language-model."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Write a problem.py for what a run holds, with the places marked that a person fills in.

    Checkpoints are read by their headers; nothing stored in them is imported or run.

    Example: dyntools init runs/my-run
    """
    from dyntools.scaffold import TASKS, blanks, problem_file

    if task not in (None, *TASKS):
        raise UsageError(f"There is no task {task!r}.", remedy="--task " + ", ".join(TASKS))
    if output.suffix != ".py":
        raise UsageError("A problem is a Python file.", found=str(output), remedy="-o problem.py")
    if output.exists() and not force:
        raise UsageError(
            "A file is there already.", where=str(output), remedy="--force, or -o OTHER.py"
        )
    found = None if path is None else _looked_at(path)
    chosen = task or (found.task if found else TASKS[0])
    text = problem_file(found, chosen, output.name)
    output.write_text(text, encoding="utf-8")
    for line in _told(found, path, output, chosen, blanks(text), guessed=task is None):
        terminal.stdout().print(line, soft_wrap=True, markup=False, highlight=False)


def _looked_at(path: str) -> Architecture:
    from dyntools.opening import open_run
    from dyntools.scaffold import architecture_of

    found = architecture_of(open_run(path))
    if found is None:
        raise UsageError(
            "There is a log here and no checkpoint, so nothing tells of the network.",
            where=path,
            remedy="dyntools init, without a run, for a general problem.py",
        )
    return found


def _told(
    found: Architecture | None,
    path: str | None,
    output: Path,
    task: str,
    left: int,
    *,
    guessed: bool,
) -> list[str]:
    """What was written, for what, and which command comes next."""
    run, file = "RUN" if path is None else shlex.quote(path), shlex.quote(str(output))
    places = "1 place" if left == 1 else f"{left} places"
    lines = [f"wrote {output}: {task}, {places} to fill in"]
    if guessed:
        lines[0] += "; --task NAME, if the loss is another"
    if found is not None and found.family == "causal transformers":
        lines.append(
            "a text is enough for this model, without a file:"
            f" dyntools analyze {run} --text FILE --preset sharpness"
        )
    return [*lines, f"next: dyntools analyze {run} --problem {file} --preset sharpness"]
