"""Weights in shards with an index, as `save_pretrained` writes large models.

`model.safetensors.index.json` or `pytorch_model.bin.index.json`, `model-00001-of-00004.safetensors`
…; `config.json` beside them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dyntools.checkpoint import Checkpoint
from dyntools.checkpoints.folder_weights import INDICES, open_weights
from dyntools.checkpoints.json_file import read_json_if_there
from dyntools.checkpoints.step_numbers import NO_STEP, step_in_name

NAME = "sharded"


def recognises(path: Path) -> bool:
    """Whether this is an index of shards, or a folder with nothing but one for its weights."""
    return _index(path) is not None


def open(path: Path, *, mmap: bool = True) -> Checkpoint:
    """The checkpoint of an index."""
    index = _index(path) or path
    config = read_json_if_there(index.with_name("config.json"))
    weights = open_weights(index, config, mmap=mmap)
    step = step_in_name(index.parent) or NO_STEP
    if config and step.unit == "unknown" and step.number is not None:
        step = replace(step, unit="step")  # a folder checkpoint-N of Hugging Face
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


def _index(path: Path) -> Path | None:
    if path.is_file():
        return path if path.name in INDICES else None
    return next((path / name for name in INDICES if (path / name).is_file()), None)
