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
_TOO_LARGE = 2**63  # what reports and tables hold has 64 bits
# A number with a decimal point is no step, nor is one whose sign follows a separator: `step--5`.
_WHOLE = r"(\d+)(?!\d|\.\d)"
_PATTERNS: tuple[tuple[StepUnit, re.Pattern[str]], ...] = (
    ("step", re.compile(rf"(?:^|[^a-z])(?:global[_-]?)?steps?[-_=]?{_WHOLE}", re.IGNORECASE)),
    ("step", re.compile(rf"(?:^|[^a-z])iter(?:ation)?s?[-_=]?{_WHOLE}", re.IGNORECASE)),
    ("epoch", re.compile(rf"(?:^|[^a-z])ep(?:och)?s?[-_=]?{_WHOLE}", re.IGNORECASE)),
    ("unknown", re.compile(rf"(?:^|[^a-z])(?:checkpoint|ckpt|model)[-_=]?{_WHOLE}", re.IGNORECASE)),
    ("unknown", re.compile(r"(?:^|[_=]|(?<=[^-_=.+])-|(?<=[A-Za-z])\.)(\d+)$")),
)
_EXTENSIONS = re.compile(r"(\.(pt|pth|bin|ckpt|pkl|tar|safetensors|index|json))+$")


def step_in(values: Mapping[object, object]) -> Step | None:
    """The step a training dictionary states, an epoch if it states no step.

    A step that is stated and can be none (negative, a fraction) has no number: the name of the file
    does not stand in for it.
    """
    stated = [
        step for key in STEP_KEYS if (step := step_of(values.get(key), f"`{key}` in the file"))
    ]
    if stated:
        return next((step for step in stated if step.number is not None), stated[0])
    if (number := _whole(values.get("epoch"))) is not None:
        return Step(number, "epoch", "`epoch` in the file")
    return None


def step_of(value: object, source: str) -> Step | None:
    """The step a stored number is; without a number if it can be none; None for all else."""
    if (number := _whole(value)) is not None:
        return Step(number, "step", source)
    if not isinstance(value, int | float):
        return None
    if abs(value) >= _TOO_LARGE:  # may have thousands of digits
        shown = "2^63 or more" if value > 0 else "-2^63 or less"
        return Step(None, "unknown", f"{source} is {shown}, which is no step")
    return Step(None, "unknown", f"{source} is {value}, not a whole number from 0 on")


def step_in_name(path: Path) -> Step | None:
    """The step in the name of the file, else in the name of its folder."""
    for name, kind in (
        (path.name, "file" if path.suffix else "folder"),
        (path.parent.name, "folder"),
    ):
        bare = _EXTENSIONS.sub("", name)
        for unit, pattern in _PATTERNS:
            found = [n for digits in pattern.findall(bare) if (n := int(digits)) < _TOO_LARGE]
            if found:
                return Step(found[-1], unit, f"{kind} name {name}")
    return None


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    whole = isinstance(value, int) or value.is_integer()
    return int(value) if whole and 0 <= value < _TOO_LARGE else None
