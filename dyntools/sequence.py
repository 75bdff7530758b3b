"""Sequence: which of the checkpoints found make up the run, and in what order.

- Steps come from the files themselves; a checkpoint without a number is step 0 if its name says
  "init", and otherwise set aside (alone in a run it is step 0).
- Of several checkpoints of one step the one with optimizer state is taken, then the one with more
  tensors, then the first in path order; the others are set aside with this reason.
- Checkpoints that count in another unit than most (epochs among steps), or that hold another
  model, are set aside.

Whoever is set aside keeps the reason.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dyntools.checkpoint import Checkpoint
from dyntools.checkpoints.fingerprint import fingerprint
from dyntools.errors import CheckpointError, UsageError

Aside = list[tuple[Checkpoint, str]]
SAME_MODEL = 0.5  # share of equal (name, shape) pairs; chosen: fine-tuned heads differ, models do
RULE = "with optimizer state before without, then more tensors, then path order"


def in_order(found: Sequence[Checkpoint], root: Path) -> tuple[list[Checkpoint], Aside, str]:
    """One checkpoint a step, ascending; those set aside with their reason; the unit of steps."""
    aside: Aside = []
    found = _of_one_model(found, aside, root)
    found, unit = _of_one_unit(_with_steps(found, aside), aside)
    _refuse_several_runs(found, root)
    by_step: dict[int, Checkpoint] = {}
    for checkpoint in sorted(found, key=_preference):
        step = step_of(checkpoint)
        if step in by_step:
            kept = shown(by_step[step].path, root)
            aside.append((checkpoint, f"also step {step}; {kept} is taken ({RULE})"))
        else:
            by_step[step] = checkpoint
    return [by_step[step] for step in sorted(by_step)], aside, unit


def _refuse_several_runs(found: Sequence[Checkpoint], root: Path) -> None:
    """Raises UsageError when two folders hold series of one model that differ at a common step.

    Seeds side by side would otherwise be woven into one run, and every change between neighbouring
    checkpoints would be a change of seed.
    """
    folders: dict[Path, dict[int, Checkpoint]] = {}
    for checkpoint in found:
        folders.setdefault(checkpoint.path.parent, {})[step_of(checkpoint)] = checkpoint
    series = [folder for folder, steps in folders.items() if len(steps) > 1]
    for one, other in itertools.combinations(series, 2):
        common = folders[one].keys() & folders[other].keys()
        if any(_differ(folders[one][step], folders[other][step]) for step in common):
            raise UsageError(
                "There are several runs here.",
                where=str(root),
                found=f"{shown(one, root)} and {shown(other, root)} differ at the same steps",
                remedy=f"give one of them: {one}",
            )


def _differ(one: Checkpoint, other: Checkpoint) -> bool:
    try:
        return fingerprint(one) != fingerprint(other)
    except CheckpointError:
        return False  # a file that vanished says nothing about runs


def _preference(checkpoint: Checkpoint) -> tuple[bool, int, str]:
    return not checkpoint.has_optimizer, -len(checkpoint.tensors), str(checkpoint.path)


def _with_steps(found: Sequence[Checkpoint], aside: Aside) -> list[Checkpoint]:
    numbered = []
    for checkpoint in found:
        name = checkpoint.path.stem.lower()
        if checkpoint.step is not None:
            numbered.append(checkpoint)
        elif name.startswith("init") or name.endswith("init"):
            numbered.append(replace(checkpoint, step=0, step_source="named as the initial weights"))
        elif len(found) == 1:
            numbered.append(
                replace(checkpoint, step=0, step_source="the only checkpoint, without a number")
            )
        else:
            aside.append((checkpoint, checkpoint.step_source))
    return numbered


def _of_one_unit(found: list[Checkpoint], aside: Aside) -> tuple[list[Checkpoint], str]:
    # Zero is zero in any unit; a number of unknown unit is taken for a step.
    units = ["step" if c.step_unit == "unknown" else c.step_unit for c in found]
    counts = Counter(unit for c, unit in zip(found, units, strict=True) if c.step != 0)
    if not counts:
        return found, "step"
    unit = max(counts, key=lambda u: (counts[u], u == "step"))
    kept = []
    for checkpoint, own in zip(found, units, strict=True):
        if own == unit or checkpoint.step == 0:
            kept.append(checkpoint)
        else:
            reason = f"counts in {own}s ({checkpoint.step}), the others in {unit}s"
            aside.append((checkpoint, reason))
    return kept, unit


def _of_one_model(found: Sequence[Checkpoint], aside: Aside, root: Path) -> list[Checkpoint]:
    """The checkpoints of the model that most of them hold. Raises UsageError without a majority."""
    groups: list[list[Checkpoint]] = []
    for checkpoint in found:
        for group in groups:
            if same_model(group[0], checkpoint):
                group.append(checkpoint)
                break
        else:
            groups.append([checkpoint])
    if len(groups) <= 1:
        return list(found)
    groups.sort(key=len, reverse=True)
    if len(groups[0]) <= len(found) / 2:
        folders = list(dict.fromkeys(str(group[0].path.parent) for group in groups))
        raise UsageError(
            "The checkpoints here belong to several models, so they are not one run.",
            where=str(root),
            found=f"{len(groups)} models in {len(folders)} folders",
            remedy="give one of: " + ", ".join(folders[:6]),
        )
    for group in groups[1:]:
        aside += [(checkpoint, "holds another model than the others") for checkpoint in group]
    return groups[0]


def same_model(a: Checkpoint, b: Checkpoint) -> bool:
    one = {(name, entry.shape) for name, entry in a.tensors.items()}
    two = {(name, entry.shape) for name, entry in b.tensors.items()}
    return len(one & two) >= SAME_MODEL * max(min(len(one), len(two)), 1)


def step_of(checkpoint: Checkpoint) -> int:
    """The step of a checkpoint of a run (they all have one)."""
    assert checkpoint.step is not None
    return checkpoint.step


def shown(path: Path, root: Path) -> str:
    try:
        return str(path.relative_to(root)) or path.name
    except ValueError:
        return str(path)
