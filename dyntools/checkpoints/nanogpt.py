"""nanoGPT's `ckpt.pt`: `model`, `optimizer`, `model_args`, `iter_num`, `best_val_loss`, `config`.

One file, overwritten at each evaluation that improves. train.py of
https://github.com/karpathy/nanoGPT.
"""

from __future__ import annotations

from pathlib import Path

from dyntools.checkpoint import Checkpoint
from dyntools.checkpoints.inert import plain_mapping
from dyntools.checkpoints.torch_file import load
from dyntools.checkpoints.training_file import keys_of, root_of, training_file

NAME = "nanogpt"


def recognises(path: Path) -> bool:
    """Whether a file holds the keys nanoGPT writes."""
    return path.is_file() and {"model", "model_args", "iter_num"} <= keys_of(path)


def open(path: Path, *, mmap: bool = True) -> Checkpoint:
    """The checkpoint; `model_args` is its configuration."""
    config = plain_mapping(root_of(load(path))["model_args"])
    return training_file(path, NAME, mmap=mmap, config=config)
