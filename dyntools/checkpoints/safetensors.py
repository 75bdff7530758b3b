"""A single safetensors file, with the `config.json` beside it if there is one.

The format holds tensors and no optimizer; the step is in the name of the file or its folder.
"""

from __future__ import annotations

from pathlib import Path

from dyntools.checkpoint import Checkpoint
from dyntools.checkpoints.folder_weights import open_weights
from dyntools.checkpoints.json_file import read_json_if_there
from dyntools.checkpoints.safetensors_header import has_safetensors_header
from dyntools.checkpoints.step_numbers import NO_STEP, step_in_name

NAME = "safetensors"


def recognises(path: Path) -> bool:
    """Whether a file begins with a length and a JSON object."""
    return path.is_file() and has_safetensors_header(path)


def open(path: Path, *, mmap: bool = True) -> Checkpoint:
    """The checkpoint in a file."""
    config = read_json_if_there(path.with_name("config.json"))
    weights = open_weights(path, config, mmap=mmap)
    step = step_in_name(path) or NO_STEP
    return Checkpoint(
        path=path,
        format=NAME,
        step=step.number,
        step_unit=step.unit,
        step_source=step.source,
        tensors=weights.tensors,
        optimizer=lambda: None,
        has_optimizer=False,
        config=config,
        notes=weights.notes,
        files=weights.files,
    )
