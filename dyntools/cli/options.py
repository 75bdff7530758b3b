"""The options that more than one command has, and those that give the loss of a run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dyntools import layer_kinds
from dyntools.errors import UsageError

if TYPE_CHECKING:
    from dyntools.problem.second_moments import Estimate

RunPath = Annotated[
    str, typer.Argument(metavar="RUN", help="Directory of a run, one file, or a quoted glob.")
]
ReportPath = Annotated[Path, typer.Argument(metavar="REPORT", help="A report (.h5) or a journal.")]
SeedReports = Annotated[
    list[str],
    typer.Argument(
        metavar="REPORT…", help="Reports (.h5) or journals; several are seeds of one recipe."
    ),
]
Limits = Annotated[
    list[str] | None,
    typer.Option("--limit", metavar="LIMIT", help="'hessian_top[0]@last within 10%'; repeat."),
]
ChecksConfig = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Default: the nearest dyntools.toml or pyproject.toml upward that has limits.",
    ),
]
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
Kinds = Annotated[
    list[str] | None,
    typer.Option("--kind", metavar="GLOB=KIND", help="What kind of layer these tensors are."),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="What the files lack: batch size, tokens, …"),
]
NoMmap = Annotated[
    bool, typer.Option("--no-mmap", help="Read files instead of mapping them (network drives).")
]
MetricName = Annotated[
    str | None, typer.Option("--metric", metavar="NAME", help="Only this metric.")
]
Problem = Annotated[
    str | None,
    typer.Option(
        "--problem",
        metavar="FILE.py:NAME",
        help="The loss of the run; this runs the code in FILE.py.",
    ),
]
Text = Annotated[
    Path | None,
    typer.Option("--text", metavar="FILE", help="Or: a text, for a Hugging Face language model."),
]
Tokens = Annotated[
    str | None,
    typer.Option("--tokens", metavar="FILE", help="Or: its token ids, .npy or .bin[:uint32]."),
]
Tokenizer = Annotated[
    Path | None, typer.Option("--tokenizer", metavar="PATH", help="If the checkpoint has none.")
]
Block = Annotated[
    int | None,
    typer.Option("--block", metavar="N", min=2, help="Tokens of an example; default: the context."),
]
Examples = Annotated[
    int | None, typer.Option("--examples", metavar="N", min=1, help="Of a text; default 64.")
]
Validation = Annotated[
    str | None,
    typer.Option("--validation", metavar="FILE", help="As --text or --tokens, not trained on."),
]
Memory = Annotated[
    str | None,
    typer.Option("--memory", metavar="4GiB", help="For products; default: half of what is free."),
]
BasisMemory = Annotated[
    str | None,
    typer.Option("--basis-memory", metavar="2GiB", help="For the vectors of the solver."),
]
Dtype = Annotated[
    str | None, typer.Option("--dtype", help="float32 (the default), float64 or bfloat16.")
]
Hvp = Annotated[
    str | None,
    typer.Option("--hvp", help="autograd (the default) or differences of gradients."),
]
Mode = Annotated[str | None, typer.Option("--mode", help="eval (the default) or train.")]
ProbeError = Annotated[
    bool, typer.Option("--probe-error", help="Also what another sample of examples would change.")
]

SecondMoments = Annotated[
    str | None,
    typer.Option(
        "--estimate-second-moments",
        metavar="N[:batch=B,beta2=…]",
        help="From N gradients, where no state of Adam was saved; needs the loss.",
    ),
]

SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([KMGT])(i?)(B?)|B?)", re.IGNORECASE)


def size_of(text: str, option: str) -> int:
    """`4GiB`, `512MB`, `2G` (taken as GiB) or a number of bytes. Raises UsageError."""
    found = SIZE.fullmatch(text.strip())
    if found is None or float(found[1]) == 0:
        raise UsageError(
            f"{option} takes an amount of memory.", found=text, remedy=f"{option} 4GiB, 512MiB, 2GB"
        )
    if not found[2]:
        return int(float(found[1]))
    decimal = found[4] and not found[3]
    power = "KMGT".index(found[2].upper()) + 1
    return int(float(found[1]) * (1000 if decimal else 1024) ** power)


def estimate_of(text: str | None, loss: object) -> Estimate | None:
    """`200` or `200:batch=32,beta1=0.9,beta2=0.95,seed=1`. Raises UsageError."""
    if text is None:
        return None
    option = "--estimate-second-moments"
    if loss is None:
        raise UsageError(
            f"{option} takes gradients of the loss of the run, and none is given.",
            remedy="--problem FILE.py:NAME",
        )
    from dyntools.problem.second_moments import Estimate

    kinds = {"batch": int, "beta1": float, "beta2": float, "seed": int}
    count, colon, rest = text.partition(":")
    pairs = [item.partition("=") for item in rest.split(",")] if colon else []
    try:
        values = {key.strip(): kinds[key.strip()](value) for key, _, value in pairs}
        if len(values) < len(pairs):
            raise ValueError("a setting is given twice")
        return Estimate(int(count), **values)
    except (ValueError, KeyError) as error:
        raise UsageError(
            f"{option} takes a number of gradients and settings of Adam, within their ranges.",
            found=text,
            remedy=f"{option} 200:batch=32,beta1=0.9,beta2=0.999,seed=0",
        ) from error


def roles_of(given: list[str] | None) -> dict[str, str]:
    """`--role train_loss=my/loss` as a mapping. Raises UsageError."""
    roles = {}
    for item in given or ():
        role, equals, name = item.partition("=")
        if not equals:
            raise UsageError(
                f"A role is written ROLE=NAME, not {item!r}.", remedy="--role train_loss=my/loss"
            )
        if role.strip() in roles:
            raise UsageError(
                f"The role {role.strip()} is given twice.", remedy="once --role ROLE=NAME"
            )
        roles[role.strip()] = name.strip()
    return roles


def kinds_of(given: list[str] | None) -> layer_kinds.Kinds:
    """`--kind 'blocks.*.to_q.weight=query'`, the first that fits decides. Raises UsageError."""
    lines = []
    for item in given or ():
        pattern, equals, kind = (part.strip() for part in item.rpartition("="))
        if not (pattern and equals):
            raise UsageError(
                f"A kind is written GLOB=KIND, not {item!r}.", remedy="--kind '*.to_q.weight=query'"
            )
        if kind not in layer_kinds.NAMES:
            raise UsageError(
                f"There is no kind of layer called {kind!r}.",
                found=item,
                remedy="kinds: " + ", ".join(layer_kinds.NAMES),
            )
        lines.append((pattern, kind))
    return layer_kinds.Kinds(tuple(lines))
