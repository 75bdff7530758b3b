"""The weights in a Hugging Face folder: one file or shards with an index, safetensors or torch.

An index names for each tensor the file it is in; only files of the same folder are accepted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dyntools.checkpoint import Entry, OptimizerState
from dyntools.checkpoints.json_file import read_json
from dyntools.checkpoints.model_order import model_order
from dyntools.checkpoints.names import unwrapped
from dyntools.checkpoints.optimizer_names import parameters_of
from dyntools.checkpoints.optimizer_state import StoredOptimizer, torch_optimizer
from dyntools.checkpoints.safetensors_header import safetensors_entries
from dyntools.checkpoints.state_dict import find_model, is_optimizer
from dyntools.checkpoints.torch_file import load
from dyntools.errors import CheckpointError

# In the order in which transformers looks for them.
WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
INDICES = tuple(name for name in WEIGHT_FILES if name.endswith(".index.json"))


@dataclass(frozen=True)
class Weights:
    """Tensors by bare name, the files they are in, and why they are in model order, if they are."""

    tensors: Mapping[str, Entry]
    files: tuple[Path, ...]
    notes: tuple[str, ...]
    order: str | None


def weight_file(folder: Path) -> Path | None:
    """The file or index with the weights of a folder."""
    return next((folder / name for name in WEIGHT_FILES if (folder / name).is_file()), None)


def open_weights(path: Path, config: Mapping[str, object], *, mmap: bool) -> Weights:
    """The weights in a file, or in the files an index names."""
    indexed = path.name.endswith(".index.json")
    shards = _shards(path) if indexed else {path: set()}
    tensors: dict[str, Entry] = {}
    for shard, names in shards.items():
        found = _entries(shard, mmap=mmap)
        if missing := names - set(found):
            raise CheckpointError(
                "a shard without a tensor the index promises",
                where=str(shard),
                found=f"no {min(missing)}",
            )
        tensors |= {name: found[name] for name in found if name in names or not indexed}
    tensors, notes = unwrapped(tensors)
    files = (path, *(shard for shard in shards if shard != path))
    known = model_order(tensors, config)
    if known is not None:
        ordered = {name: tensors[name] for name in known}
        return Weights(ordered, files, notes, f"the layout of {config['model_type']} models")
    torch_order = path.name == "pytorch_model.bin"  # shards are filled by size, not in order
    return Weights(tensors, files, notes, "the order of the weights" if torch_order else None)


def open_optimizer(paths: Iterable[Path], weights: Weights, *, mmap: bool) -> OptimizerState:
    """The optimizer in files of its own, several as one."""
    stored = []
    for path in paths:
        file = load(path)
        if not is_optimizer(file.root):
            raise CheckpointError("not the state of an optimizer", where=str(path))
        stored.append(StoredOptimizer(file.root, partial(file.entry, mmap=mmap)))
    return torch_optimizer(stored, parameters_of(weights.tensors, weights.order))


def _entries(path: Path, *, mmap: bool) -> dict[str, Entry]:
    if path.suffix == ".safetensors":
        return safetensors_entries(path, mmap=mmap)
    file = load(path)
    model = find_model(file.root)
    if model is None:
        raise CheckpointError("no model weights in this file", where=str(path))
    return {name: file.entry(ref, mmap=mmap) for name, ref in model.tensors.items()}


def _shards(index: Path) -> dict[Path, set[str]]:
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise CheckpointError("an index without a `weight_map`", where=str(index))
    shards: dict[Path, set[str]] = {}
    for name, file in sorted(places.items(), key=lambda item: str(item[1])):
        if not isinstance(file, str) or Path(file).name != file:
            raise CheckpointError(
                "an index that names files outside its folder", where=str(index), found=str(file)
            )
        if not (index.parent / file).is_file():
            raise CheckpointError("a shard is missing", where=str(index), found=f"no {file}")
        shards.setdefault(index.parent / file, set()).add(name)
    return shards
