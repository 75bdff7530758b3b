"""A pickled `nn.Module`, as `torch.save(model)` writes it: read without its code.

The class of the module is not needed and not looked for. Its parameters, buffers and submodules lie
in the dictionaries `_parameters`, `_buffers` and `_modules` of inert stubs, which are walked.
"""

from __future__ import annotations

from pathlib import Path

from dyntools.checkpoint import Checkpoint
from dyntools.checkpoints.inert import Stub
from dyntools.checkpoints.torch_file import load
from dyntools.checkpoints.training_file import training_file
from dyntools.errors import CheckpointError

NAME = "pickled module"


def recognises(path: Path) -> bool:
    """Whether the object in the file has what every module has."""
    try:
        root = load(path).root if path.is_file() else None
    except CheckpointError:
        return False
    return isinstance(root, Stub) and {"_parameters", "_modules"} <= set(root.attributes())


def open(path: Path, *, mmap: bool = True) -> Checkpoint:
    """The checkpoint of a pickled module."""
    return training_file(path, NAME, mmap=mmap)
