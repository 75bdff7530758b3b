"""The options that more than one command has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dyntools.errors import UsageError

RunPath = Annotated[
    str, typer.Argument(metavar="RUN", help="Directory of a run, one file, or a quoted glob.")
]
ReportPath = Annotated[Path, typer.Argument(metavar="REPORT", help="A report (.h5).")]
Initial = Annotated[
    Path | None,
    typer.Option("--initial", metavar="CKPT", help="The initial weights, if the run lacks them."),
]
Logs = Annotated[
    list[Path] | None,
    typer.Option("--logs", metavar="PATH", help="Training log, if it lies elsewhere."),
]
Roles = Annotated[
    list[str] | None,
    typer.Option("--role", metavar="ROLE=NAME", help="Which logged curve is what."),
]
NoMmap = Annotated[
    bool, typer.Option("--no-mmap", help="Read files instead of mapping them (network drives).")
]
MetricName = Annotated[
    str | None, typer.Option("--metric", metavar="NAME", help="Only this metric.")
]


def roles_of(given: list[str] | None) -> dict[str, str]:
    """`--role train_loss=my/loss` as a mapping. Raises UsageError."""
    roles = {}
    for item in given or ():
        role, equals, name = item.partition("=")
        if not equals:
            raise UsageError(
                f"A role is written ROLE=NAME, not {item!r}.", remedy="--role train_loss=my/loss"
            )
        roles[role.strip()] = name.strip()
    return roles
