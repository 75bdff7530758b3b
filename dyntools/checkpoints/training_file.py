"""A torch file with a model in it, as a `Checkpoint`: what the formats of one file have in common.

A format says what is special about it (where the step is, what the configuration is called); the
model, its names and its optimizer are found here in the same way for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from dyntools.checkpoint import Checkpoint, Entry, OptimizerState
from dyntools.checkpoints.inert import Stub, TensorRef, walk
from dyntools.checkpoints.names import unwrapped
from dyntools.checkpoints.optimizer_names import parameters_of
from dyntools.checkpoints.optimizer_state import StoredOptimizer, torch_optimizer
from dyntools.checkpoints.state_dict import find_model, find_optimizers
from dyntools.checkpoints.step_numbers import NO_STEP, STEP_KEYS, Step, step_in, step_in_name
from dyntools.checkpoints.torch_file import TorchFile, load
from dyntools.errors import CheckpointError


def keys_of(path: Path) -> frozenset[object]:
    """The keys of the dictionary a torch file holds; none if it is no such file."""
    try:
        root = load(path).root
    except CheckpointError:
        return frozenset()
    return frozenset(root) if isinstance(root, dict) else frozenset()


def root_of(file: TorchFile) -> Mapping[object, object]:
    """The stored dictionary; empty for any other object."""
    return file.root if isinstance(file.root, dict) else {}


def training_file(
    path: Path,
    format: str,
    *,
    mmap: bool,
    step: Step | None = None,
    config: Mapping[str, object] | None = None,
    extra: Mapping[str, object] | None = None,
) -> Checkpoint:
    """The checkpoint in a torch file; `step` overrides what the general rules would find."""
    file = load(path)
    tensors, notes = model_entries(file, mmap=mmap)
    optimizers = find_optimizers(file.root)
    step = step or step_in(_numbers(file)) or step_in_name(path) or NO_STEP

    def optimizer() -> OptimizerState | None:
        return torch_file_optimizer(file, tensors, mmap=mmap)

    return Checkpoint(
        path=path,
        format=format,
        step=step.number,
        step_unit=step.unit,
        step_source=step.source,
        tensors=tensors,
        optimizer=optimizer,
        has_optimizer=bool(optimizers),
        config=config or {},
        notes=notes,
        files=(path,),
        extra=_epoch(root_of(file)) | dict(extra or {}),
    )


def model_entries(file: TorchFile, *, mmap: bool) -> tuple[dict[str, Entry], tuple[str, ...]]:
    """The tensors of the model in a file by their bare names, and what there is to say of them."""
    model = find_model(file.root)
    if model is None:
        raise CheckpointError(
            "no model weights in this file",
            where=str(file.path),
            found=_contents(file.root),
            remedy="store the model's state_dict, alone or under the key `model`",
        )
    tensors, notes = unwrapped(model.tensors)
    entries = {name: file.entry(ref, mmap=mmap) for name, ref in tensors.items()}
    return entries, (*model.notes, *notes, *_inert(file.root))


def torch_file_optimizer(
    file: TorchFile, tensors: Mapping[str, Entry], *, mmap: bool
) -> OptimizerState | None:
    """The optimizers stored in the same file as the model, which keeps the model's order."""
    optimizers = find_optimizers(file.root)
    if not optimizers:
        return None

    stored = [StoredOptimizer(values, partial(file.entry, mmap=mmap)) for values in optimizers]
    return torch_optimizer(stored, parameters_of(tensors, "the order of the weights in the file"))


def _numbers(file: TorchFile) -> dict[object, object]:
    """The stored dictionary with a step that is a tensor as the number in it."""
    numbers = dict(root_of(file))
    for key in STEP_KEYS:
        value = numbers.get(key)
        if isinstance(value, TensorRef) and value.shape == ():
            numbers[key] = file.entry(value, mmap=False).read().item()
    return numbers


def _inert(root: object) -> tuple[str, ...]:
    """What the file asked to have built and was not."""
    origins = dict.fromkeys(v.origin for v in walk(root) if isinstance(v, Stub) and v is not root)
    if not origins or isinstance(root, Stub):
        return ()
    return (f"objects kept inert, nothing of them run: {', '.join(list(origins)[:5])}",)


def _contents(root: object) -> str:
    if not isinstance(root, dict):
        return f"an object of type {getattr(root, 'origin', type(root).__name__)}"
    return "keys " + ", ".join(str(key)[:40] for key in list(root)[:8])


def _epoch(root: Mapping[object, object]) -> dict[str, object]:
    epoch = root.get("epoch")
    return {"epoch": epoch} if isinstance(epoch, int | float) else {}
