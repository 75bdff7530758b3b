"""A folder of the Hugging Face Trainer: `checkpoint-N/` with `trainer_state.json` and the weights.

`trainer_state.json` is written last, so a folder without it was not finished. Its `global_step`
counts optimizer steps. The optimizer lies in `optimizer.pt`, parameters with weight decay first.
"""

from __future__ import annotations

from pathlib import Path

from dyntools.checkpoint import Checkpoint, OptimizerState
from dyntools.checkpoints.folder_weights import open_optimizer, open_weights, weight_file
from dyntools.checkpoints.json_file import read_json, read_json_if_there
from dyntools.checkpoints.step_numbers import NO_STEP, Step, step_in_name, step_of
from dyntools.errors import CheckpointError

NAME = "hf-trainer"


def recognises(path: Path) -> bool:
    """Whether a folder has a trainer's state and weights."""
    return (path / "trainer_state.json").is_file() and weight_file(path) is not None


def open(path: Path, *, mmap: bool = True) -> Checkpoint:
    """The checkpoint of a folder."""
    state = read_json(path / "trainer_state.json")
    config = read_json_if_there(path / "config.json")
    file = weight_file(path)
    if file is None:
        raise CheckpointError("a trainer's folder without weights", where=str(path))
    weights = open_weights(file, config, mmap=mmap)
    step = _step(state, path)
    stored = path / "optimizer.pt"
    has_optimizer = stored.is_file()
    parts = (path / "trainer_state.json", path / "config.json", stored)

    def optimizer() -> OptimizerState | None:
        return open_optimizer((stored,), weights, mmap=mmap) if has_optimizer else None

    return Checkpoint(
        path=path,
        format=NAME,
        step=step.number,
        step_unit=step.unit,
        step_source=step.source,
        tensors=weights.tensors,
        optimizer=optimizer,
        has_optimizer=has_optimizer,
        config=config,
        notes=weights.notes,
        files=(*weights.files, *(part for part in parts if part.is_file())),
        extra={"epoch": state["epoch"]} if isinstance(state.get("epoch"), int | float) else {},
    )


def _step(state: dict[str, object], path: Path) -> Step:
    stated = step_of(state.get("global_step"), "trainer_state.json: global_step")
    return stated or step_in_name(path) or NO_STEP
