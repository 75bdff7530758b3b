"""Formats that are recognised and not read: each with a sentence instead of a misreading.

Weights of an adapter (PEFT) are no model; Megatron cuts tensors among ranks in ways its names do
not tell; Orbax (JAX) holds no torch tensors.
"""

from __future__ import annotations

from pathlib import Path

from dyntools.checkpoint import Checkpoint
from dyntools.errors import CheckpointError

NAME = "not read"

_FILES = {
    "adapter_model.safetensors": "weights of a PEFT adapter, not of a model",
    "adapter_model.bin": "weights of a PEFT adapter, not of a model",
    "model_optim_rng.pt": "a Megatron checkpoint, cut among ranks",
    "model_rng.pt": "a Megatron checkpoint, cut among ranks",
}
_ORBAX = ("_CHECKPOINT_METADATA", "_METADATA", "manifest.ocdbt")


def recognises(path: Path) -> bool:
    """Whether this is one of the formats that are refused."""
    return _what(path) is not None


def open(path: Path, *, mmap: bool = True) -> Checkpoint:
    """Always an error that says what it is."""
    raise CheckpointError(
        f"{_what(path) or 'this format'}: it is not read",
        where=str(path),
        remedy="save the state_dict of the whole model with torch.save or safetensors",
    )


def _what(path: Path) -> str | None:
    if path.is_dir():
        orbax = any((path / name).is_file() for name in _ORBAX)
        return "an Orbax (JAX) checkpoint" if orbax else None
    return _FILES.get(path.name)
