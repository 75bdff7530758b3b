"""timm's `checkpoint-E.pth.tar`, a zip and no tar: `state_dict`, `optimizer`, `epoch`, `arch` …

The number is an epoch; no step is stored. `last` and `model_best` are hard links to other files.
https://github.com/huggingface/pytorch-image-models, timm/utils/checkpoint_saver.py.
"""

from __future__ import annotations

from pathlib import Path

from dyntools.checkpoint import Checkpoint
from dyntools.checkpoints.inert import plain_mapping
from dyntools.checkpoints.torch_file import load
from dyntools.checkpoints.training_file import keys_of, root_of, training_file

NAME = "timm"


def recognises(path: Path) -> bool:
    """Whether a file holds the keys timm's CheckpointSaver writes."""
    return path.is_file() and {"state_dict", "epoch", "arch", "version"} <= keys_of(path)


def open(path: Path, *, mmap: bool = True) -> Checkpoint:
    """The checkpoint; the command-line arguments are its configuration."""
    root = root_of(load(path))
    config = plain_mapping(root.get("args")) | plain_mapping({"arch": root.get("arch")})
    return training_file(path, NAME, mmap=mmap, config=config)
