"""Folders of torch.distributed.checkpoint: FSDP2, torchtitan, and what Accelerate writes with FSDP.

`.metadata` and `__R_i.distcp`; a folder without `.metadata` was not finished. The model is under
the key `model`, or, as in torchtitan, its tensors are at the top beside `optimizer`, `train_state`,
…. Accelerate has two such folders side by side, `pytorch_model_fsdp_0` and `optimizer_0`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dyntools.checkpoint import Checkpoint, OptimizerState
from dyntools.checkpoints.dcp_chunks import check_files, item_tensor, item_value
from dyntools.checkpoints.dcp_metadata import Item, read_metadata
from dyntools.checkpoints.dcp_optimizer import dcp_optimizer
from dyntools.checkpoints.names import unwrapped
from dyntools.checkpoints.step_numbers import NO_STEP, Step, step_in, step_in_name
from dyntools.errors import CheckpointError

NAME = "dcp"

_METADATA = ".metadata"
_FSDP_MODEL, _FSDP_OPTIMIZER = "pytorch_model_fsdp_", "optimizer_"  # folders of Accelerate
_NOT_MODEL = (
    "optimizer",
    "optimizers",
    "optim",
    "lr_scheduler",
    "lr_schedulers",
    "dataloader",
    "train_state",
    "extra_state",
    "rng_state",
)


def recognises(path: Path) -> bool:
    """Whether a folder has the metadata or the chunks of a distributed checkpoint."""
    if not path.is_dir():
        return False
    return (path / _METADATA).is_file() or any(path.glob("__*.distcp"))


def open(path: Path, *, mmap: bool = True) -> Checkpoint:
    """The checkpoint of a folder."""
    if not (path / _METADATA).is_file():
        raise CheckpointError("no .metadata: the checkpoint was never finished", where=str(path))
    items = read_metadata(path / _METADATA)
    check_files(path, items)
    nested = any(item.path[0] == "model" and len(item.path) > 1 for item in items.values())
    model = {
        ".".join(item.path[1:] if nested else item.path): item_tensor(path, item, mmap=mmap)
        for item in items.values()
        if item.dtype is not None
        and (item.path[0] == "model" if nested else item.path[0] not in _NOT_MODEL)
    }
    if not model:
        raise CheckpointError("no model weights in this checkpoint", where=str(path))
    tensors, notes = unwrapped(model)
    place, stored = _optimizer_items(path, items)
    step = _step(path, items, mmap=mmap)
    names = {chunk.file for item in items.values() for chunk in item.places.values()}

    def optimizer() -> OptimizerState | None:
        return dcp_optimizer(place, stored, mmap=mmap) if stored else None

    return Checkpoint(
        path=path,
        format=NAME,
        step=step.number,
        step_unit=step.unit,
        step_source=step.source,
        tensors=tensors,
        optimizer=optimizer,
        has_optimizer=bool(stored),
        config={},
        notes=notes,
        files=(path / _METADATA, *(path / name for name in sorted(names))),
    )


def _step(path: Path, items: Mapping[str, Item], *, mmap: bool) -> Step:
    numbers: dict[object, object] = {}
    for item in items.values():
        top = item.path[-1] if item.path[0] == "train_state" else item.path[0]
        if len(item.path) == (2 if item.path[0] == "train_state" else 1) and "step" in top:
            numbers[top] = item_value(path, item, mmap=mmap)
    folder = path.parent if path.name.startswith(_FSDP_MODEL) else path
    return step_in(numbers) or step_in_name(folder) or NO_STEP


def _optimizer_items(path: Path, items: Mapping[str, Item]) -> tuple[Path, dict[str, Item]]:
    """Items of the optimizer by their name below it, and the folder they are in."""
    if path.name.startswith(_FSDP_MODEL):
        sibling = path.with_name(_FSDP_OPTIMIZER + path.name.removeprefix(_FSDP_MODEL))
        if not (sibling / _METADATA).is_file():
            return path, {}
        path, items = sibling, read_metadata(sibling / _METADATA)
        check_files(path, items)
    below = {
        ".".join(item.path[1:]): item
        for item in items.values()
        if item.path[0] in ("optimizer", "optim") and len(item.path) > 1
    }
    return path, below
