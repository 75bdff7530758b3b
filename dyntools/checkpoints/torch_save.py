"""Files of `torch.save`: a state dict, or a training dictionary with one in it; zip or legacy.

The last format asked, for any file that begins like one: what it cannot read is damaged.
"""

from __future__ import annotations

from pathlib import Path

from dyntools.checkpoint import Checkpoint
from dyntools.checkpoints.inert import plain_mapping
from dyntools.checkpoints.torch_file import load
from dyntools.checkpoints.training_file import root_of, training_file

NAME = "torch"

_BEGINNINGS = (b"PK\3\4", b"\x80")  # a zip, a pickle
_CONFIG_KEYS = ("config", "hparams", "hyper_parameters", "args", "cfg")


def recognises(path: Path) -> bool:
    """Whether a file begins like a zip or a pickle."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4).startswith(_BEGINNINGS)


def open(path: Path, *, mmap: bool = True) -> Checkpoint:
    """The checkpoint in a file."""
    root = root_of(load(path))
    stored = next((root[key] for key in _CONFIG_KEYS if key in root), None)
    return training_file(path, NAME, mmap=mmap, config=plain_mapping(stored))
