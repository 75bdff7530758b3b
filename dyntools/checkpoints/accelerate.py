"""A folder of Accelerate's `save_state`: weights, `optimizer.bin`, `random_states_R.pkl`, …

The number of `checkpoint_3` counts saves. A step is not stored, but Adam counts its own in the
state of every parameter: that count is the step where there is one.
"""

from __future__ import annotations

import re
from pathlib import Path

from dyntools.checkpoint import Checkpoint, OptimizerState
from dyntools.checkpoints.folder_weights import open_optimizer, open_weights, weight_file
from dyntools.checkpoints.json_file import read_json_if_there
from dyntools.checkpoints.step_numbers import NO_STEP, Step, step_in_name, step_of
from dyntools.errors import CheckpointError

NAME = "accelerate"

_OPTIMIZERS = re.compile(r"^optimizer(_\d+)?\.bin$")
_SAVE = re.compile(r"^checkpoint_(\d+)$")


def recognises(path: Path) -> bool:
    """Whether a folder has what `save_state` writes."""
    if not path.is_dir() or weight_file(path) is None:
        return False
    return any(path.glob("random_states_*.pkl")) or (path / "optimizer.bin").is_file()


def open(path: Path, *, mmap: bool = True) -> Checkpoint:
    """The checkpoint of a folder."""
    config = read_json_if_there(path / "config.json")
    file = weight_file(path)
    if file is None:
        raise CheckpointError("an Accelerate folder without weights", where=str(path))
    weights = open_weights(file, config, mmap=mmap)
    others = sorted(p.name for p in path.glob("model_*.safetensors"))
    notes = (f"further models, not read: {', '.join(others)}",) if others else ()
    stored = tuple(sorted(p for p in path.iterdir() if _OPTIMIZERS.match(p.name)))

    def optimizer() -> OptimizerState | None:
        return open_optimizer(stored, weights, mmap=mmap) if stored else None

    save = _SAVE.match(path.name)
    step = _step(path, optimizer())
    return Checkpoint(
        path=path,
        format=NAME,
        step=step.number,
        step_unit=step.unit,
        step_source=step.source,
        tensors=weights.tensors,
        optimizer=optimizer,
        has_optimizer=bool(stored),
        config=config,
        notes=(*weights.notes, *notes),
        files=(*weights.files, *stored),
        extra={"save": int(save.group(1))} if save else {},
    )


def _step(path: Path, optimizer: OptimizerState | None) -> Step:
    for entries in optimizer.state.values() if optimizer else ():
        if "step" in entries and entries["step"].shape == ():
            number = entries["step"].read().item()
            if stated := step_of(number, "the optimizer's own count of steps"):
                return stated
    if save := _SAVE.match(path.name):
        return Step(int(save.group(1)), "save", f"folder name {path.name}, which counts saves")
    return step_in_name(path) or NO_STEP
