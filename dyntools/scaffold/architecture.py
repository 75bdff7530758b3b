"""Architecture: what a checkpoint tells of its network, by names, shapes and plain values alone.

What was stored is text of strangers that goes into a file which is run later: a name becomes part
of the code only if it is that of a class, and any text part of a comment only on one line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from dyntools.run import Run

Family = Literal["torch", "lightning", "transformers", "causal transformers"]
TASKS = ("classification", "regression", "language-model")
CAUSAL = ("ForCausalLM", "LMHeadModel")
CLASS_PATHS = ("_class_path", "class_path", "_target_", "_instantiator")
SHOWN = 8  # settings in a comment; chosen
LONGEST = 80  # characters of one stored text in a comment; chosen
CONTEXTS = ("block_size", "n_positions", "max_position_embeddings")
NAME = re.compile(r"[A-Z][A-Za-z0-9]*(For[A-Z][A-Za-z]*|Model)")  # of Transformers' classes

Tensor = tuple[str, tuple[int, ...]]


@dataclass(frozen=True)
class Architecture:
    """run: its name. path, step, format: of the last checkpoint.

    first, last: weights of two or more axes, in the order of the file. parameters: their number in
    all tensors. class_name: what a config.json names as the model's class, or "".
    settings: plain values stored beside the weights, as text for a comment.
    hint: the class that the settings name, as text for a comment.
    context: the most tokens of an example, if they tell.
    """

    run: str
    path: Path
    step: int | None
    format: str
    family: Family
    first: Tensor | None
    last: Tensor | None
    tensors: int
    parameters: int
    task: str
    class_name: str = ""
    settings: tuple[str, ...] = ()
    hint: str = ""
    context: int | None = None


def architecture_of(run: Run) -> Architecture | None:
    """Of the last checkpoint of a run, from headers alone; None for a run without checkpoints."""
    from dyntools.run import parameters

    if not run.checkpoints:
        return None
    checkpoint = run.checkpoints[-1]
    kept, _ = parameters(checkpoint)
    weights = [(name, entry.shape) for name, entry in kept.items() if len(entry.shape) > 1]
    first, last = (weights[0], weights[-1]) if weights else (None, None)
    class_name = _class_name(checkpoint.config)
    family = _family(checkpoint.format, checkpoint.config, class_name)
    embedded = first is not None and run.kinds.of(*first) in ("embedding", "position")
    return Architecture(
        run=on_one_line(run.name),
        path=checkpoint.path,
        step=checkpoint.step,
        format=checkpoint.format,
        family=family,
        first=first,
        last=last,
        tensors=len(kept),
        parameters=sum(math.prod(entry.shape) for entry in kept.values()),
        task=_task(family, class_name, last, embedded=embedded),
        class_name=class_name,
        settings=_settings(checkpoint.config),
        hint=_hint(checkpoint.config),
        context=_context(checkpoint.config),
    )


def on_one_line(text: object) -> str:
    """A stored text as part of a comment or a docstring: printable, one line, no quotes' end."""
    plain = "".join(c if c.isprintable() and c not in '"\\' else "?" for c in str(text))
    return plain if len(plain) <= LONGEST else plain[: LONGEST - 1] + "…"


def _family(format: str, config: Mapping[str, object], class_name: str) -> Family:
    if format == "lightning":
        return "lightning"
    if "model_type" in config and class_name:
        return "causal transformers" if class_name.endswith(CAUSAL) else "transformers"
    return "torch"


def _class_name(config: Mapping[str, object]) -> str:
    named = config.get("architectures")
    first = named[0] if isinstance(named, list) and named else None
    return first if isinstance(first, str) and NAME.fullmatch(first) else ""


def _task(family: Family, class_name: str, last: Tensor | None, *, embedded: bool) -> str:
    """A guess: ids come in by an embedding; one output is a number; several are classes."""
    if "Classification" in class_name:
        return "classification"
    if family == "causal transformers" or embedded:
        return "language-model"
    return "regression" if last is not None and last[1][0] == 1 else "classification"


def _settings(config: Mapping[str, object]) -> tuple[str, ...]:
    plain = {k: v for k, v in config.items() if isinstance(v, bool | int | float | str)}
    return tuple(on_one_line(f"{key}={value!r}") for key, value in plain.items())[:SHOWN]


def _hint(config: Mapping[str, object]) -> str:
    named = (config.get(key) for key in CLASS_PATHS)
    return next((on_one_line(value) for value in named if isinstance(value, str)), "")


def _context(config: Mapping[str, object]) -> int | None:
    told = (config.get(key) for key in CONTEXTS)
    return next((value for value in told if isinstance(value, int) and value > 1), None)
