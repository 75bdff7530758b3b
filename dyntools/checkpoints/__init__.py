"""Checkpoints on disk, in every format that is read, and how a folder of them is gone through.

Each format is a module with `NAME`, `recognises(path)`, which looks at content and is cheap, and
`open(path, mmap=)`. `FORMATS` lists them, the special before the general: the first that recognises
a path has it. Nothing stored in a file is ever executed (see `unpickle`).
"""

from __future__ import annotations

from pathlib import Path

from dyntools.checkpoint import Checkpoint, Damaged
from dyntools.checkpoints import (
    accelerate,
    dcp,
    deepspeed,
    hf_trainer,
    lightning,
    nanogpt,
    refused,
    safetensors,
    sharded,
    timm,
    torch_save,
    whole_module,
)
from dyntools.checkpoints.fingerprint import fingerprint
from dyntools.checkpoints.folder import Walk
from dyntools.checkpoints.format import Format, format_of, open_as
from dyntools.errors import CheckpointError

__all__ = ["FORMATS", "find", "fingerprint", "open_checkpoint"]

FORMATS: tuple[Format, ...] = (
    refused,
    dcp,
    deepspeed,
    hf_trainer,
    accelerate,
    sharded,
    safetensors,
    lightning,
    timm,
    nanogpt,
    whole_module,
    torch_save,
)


def open_checkpoint(path: Path, *, mmap: bool = True) -> Checkpoint:
    """The checkpoint at a path; for a folder that is none, the only one in it."""
    if not path.exists():
        raise CheckpointError("there is nothing at this path", where=str(path))
    if (format := format_of(path, FORMATS)) is not None:
        return open_as(format, path, mmap=mmap)
    good, damaged = find(path, mmap=mmap)
    if len(good) == 1:
        return good[0]
    found = f"{len(good)} checkpoints in it" if good else "no file a reader recognises"
    if damaged and not good:
        found = damaged[0].reason
    raise CheckpointError("not a checkpoint", where=str(path), found=found)


def find(root: Path, *, mmap: bool = True) -> tuple[list[Checkpoint], list[Damaged]]:
    """Every checkpoint at and below a path, and all that looks like one and cannot be read."""
    if not root.exists():
        raise CheckpointError("there is nothing at this path", where=str(root))
    walk = Walk(FORMATS, mmap=mmap)
    walk.visit(root)
    return walk.good, walk.damaged
