"""The step of a checkpoint, its unit, and where the number was found.

A number is worth little without its unit: Lightning's `global_step` counts optimizer steps, timm's
`checkpoint-3` is an epoch, Accelerate's `checkpoint_3` a save. Inside the file comes before the
name of the file, and that before the names of its folders.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dyntools.checkpoint import StepUnit


@dataclass(frozen=True)
class Step:
    """A number, what it counts, and where it was found."""

    number: int | None
    unit: StepUnit
    source: str


NO_STEP = Step(None, "unknown", "no step in the file or its name")

STEP_KEYS = (
    "global_step",
    "global_steps",
    "iter_num",
    "iteration",
    "iterations",
    "step",
    "steps",
    "num_steps",
    "num_updates",
    "n_iter",
    "iter",
)
_PATTERNS: tuple[tuple[StepUnit, re.Pattern[str]], ...] = (
    ("step", re.compile(r"(?:^|[^a-z])(?:global[_-]?)?steps?[-_=]?(\d+)", re.IGNORECASE)),
    ("step", re.compile(r"(?:^|[^a-z])iter(?:ation)?s?[-_=]?(\d+)", re.IGNORECASE)),
    ("epoch", re.compile(r"(?:^|[^a-z])ep(?:och)?s?[-_=]?(\d+)", re.IGNORECASE)),
    ("unknown", re.compile(r"(?:^|[^a-z])(?:checkpoint|ckpt|model)[-_=]?(\d+)", re.IGNORECASE)),
    ("unknown", re.compile(r"(?:^|[-_.=])(\d+)$")),
)
_EXTENSIONS = re.compile(r"(\.(pt|pth|bin|ckpt|pkl|tar|safetensors|index|json))+$")


def step_in(values: Mapping[object, object]) -> Step | None:
    """The step a training dictionary states, an epoch if it states no step."""
    for key in STEP_KEYS:
        if (number := _whole(values.get(key))) is not None:
            return Step(number, "step", f"`{key}` in the file")
    if (number := _whole(values.get("epoch"))) is not None:
        return Step(number, "epoch", "`epoch` in the file")
    return None


def step_in_name(path: Path) -> Step | None:
    """The step in the name of the file, else in the name of its folder."""
    for name, kind in (
        (path.name, "file" if path.suffix else "folder"),
        (path.parent.name, "folder"),
    ):
        bare = _EXTENSIONS.sub("", name)
        for unit, pattern in _PATTERNS:
            found = pattern.findall(bare)
            if found:
                return Step(int(found[-1]), unit, f"{kind} name {name}")
    return None


def _whole(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and value >= 0 else None
