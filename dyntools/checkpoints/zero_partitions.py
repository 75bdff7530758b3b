"""The flat buffers of DeepSpeed's ZeRO and where in them a parameter lies.

Each rank has one file with, for each group, its part of the float32 weights and of every moment.
As in deepspeed/utils/zero_to_fp32.py: in stages 1 and 2 the parts of all ranks end to end are the
group, with optional padding after each parameter; in stage 3 each rank has ceil(n / ranks) elements
of every parameter, one after another through all groups.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, prod
from pathlib import Path
from typing import TypeGuard

from dyntools.checkpoint import Entry
from dyntools.checkpoints.inert import TensorRef
from dyntools.checkpoints.pieces import Stored, from_run, joined
from dyntools.checkpoints.torch_file import TorchFile, load
from dyntools.checkpoints.training_file import root_of
from dyntools.errors import CheckpointError

MODEL_STATES = "_model_states.pt"
_OPTIMIZER_STATES = "_optim_states.pt"
_RANK = re.compile(r"zero_pp_rank_(\d+)_")
_MODEL_PARALLEL = re.compile(r"mp_rank_(\d+)_")

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Rank:
    """One rank: its part of the weights by group, and of the optimizer's state by group."""

    file: TorchFile
    weights: tuple[TensorRef, ...]
    state: tuple[Mapping[object, object], ...]
    groups: tuple[Mapping[object, object], ...]
    paddings: tuple[tuple[int, ...], ...]

    def stored(self, part: str) -> tuple[Stored, ...]:
        """The flat tensors of "fp32" or of a part of the state, by group."""
        refs = self.weights if part == "fp32" else tuple(s.get(part) for s in self.state)
        return tuple(Stored(self.file, ref) for ref in refs if isinstance(ref, TensorRef))


@dataclass(frozen=True)
class ZeroFolder:
    """A folder: model states, ranks in order, and name → shape of each group in their order."""

    path: Path
    stage: int
    models: tuple[TorchFile, ...]
    ranks: tuple[Rank, ...]
    shapes: tuple[Mapping[str, Shape], ...]

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the optimizer's state that are cut like the weights."""
        first = self.ranks[0] if self.ranks else None
        if first is None or not first.state:
            return ()
        size = first.weights[0].shape
        found = first.state[0].items()
        return tuple(str(k) for k, v in found if isinstance(v, TensorRef) and v.shape == size)

    @property
    def groups(self) -> tuple[Mapping[object, object], ...]:
        """Hyper-parameters by group."""
        return self.ranks[0].groups

    def entry(self, part: str, name: str, *, mmap: bool) -> Entry:
        """The weights ("fp32") or a moment of a parameter."""
        if self.stage == 3:
            return self._cut_each(part, name, mmap=mmap)
        return self._cut_once(part, name, mmap=mmap)

    def frozen(self, name: str, *, mmap: bool) -> Entry:
        """A parameter that is not trained: whole in stages 1 and 2, cut in stage 3."""
        parts = []
        for model in self.models:
            fragments = root_of(model).get("frozen_param_fragments")
            ref = fragments.get(name) if isinstance(fragments, dict) else None
            if isinstance(ref, TensorRef):
                parts.append(model.entry(ref, mmap=mmap))
        shapes = root_of(self.models[0]).get("frozen_param_shapes")
        shape = shapes.get(name) if isinstance(shapes, dict) else None
        return joined(parts, shape if _is_shape(shape) else (), self._identity("frozen", name))

    def _cut_once(self, part: str, name: str, *, mmap: bool) -> Entry:
        group = next(i for i, shapes in enumerate(self.shapes) if name in shapes)
        paddings = self.ranks[0].paddings[group] if self.ranks[0].paddings else ()
        begin = 0
        for position, (other, shape) in enumerate(self.shapes[group].items()):
            if other == name:
                break
            begin += prod(shape) + (paddings[position] if position < len(paddings) else 0)
        run = [rank.stored(part)[group] for rank in self.ranks]
        shape = self.shapes[group][name]
        return from_run(run, begin, shape, self._identity(part, name), mmap=mmap)

    def _cut_each(self, part: str, name: str, *, mmap: bool) -> Entry:
        begin = 0
        shapes = {n: shape for group in self.shapes for n, shape in group.items()}
        for other, shape in shapes.items():
            if other == name:
                break
            begin += ceil(prod(shape) / len(self.ranks))
        length, identity = ceil(prod(shapes[name]) / len(self.ranks)), self._identity(part, name)
        parts = [
            from_run(rank.stored(part), begin, (length,), identity, mmap=mmap)
            for rank in self.ranks
        ]
        return joined(parts, shapes[name], identity)

    def _identity(self, part: str, name: str) -> tuple[object, ...]:
        return (str(self.path), part, name)


def read_folder(path: Path) -> ZeroFolder:
    """The structure of a folder; every rank must be there."""
    models = tuple(load(file) for file in sorted(path.glob(f"*{MODEL_STATES}"), key=_rank_of))
    files = sorted(path.glob(f"*{_OPTIMIZER_STATES}"), key=_rank_of)
    names = [file.path.name for file in models] + [file.name for file in files]
    if len({found.group(1) for n in names if (found := _MODEL_PARALLEL.search(n))}) > 1:
        raise CheckpointError(
            "a DeepSpeed checkpoint cut by tensor parallelism is not read",
            where=str(path),
            remedy="merge it with DeepSpeed's universal checkpoint and save the state_dict",
        )
    if any(name.startswith("layer_") for name in names):
        raise CheckpointError("a DeepSpeed pipeline checkpoint is not read", where=str(path))
    shapes = _shapes(root_of(models[0]).get("param_shapes"))
    loaded = [load(file) for file in files]
    if not loaded:
        if _cut(models[0], shapes):
            raise CheckpointError("the files of all ranks are missing", where=str(path))
        return ZeroFolder(path, 0, models, (), shapes)
    ranks = tuple(_rank(file) for file in loaded)
    expected = _count(loaded[0])
    if len(ranks) != expected:
        raise CheckpointError(
            "files of some ranks are missing",
            where=str(path),
            found=f"{len(ranks)} of {expected} optimizer files",
        )
    if any(len(rank.weights) < (1 if _is_stage_3(loaded[0]) else len(shapes)) for rank in ranks):
        raise CheckpointError("a rank without weights of every group", where=str(path))
    stage = 3 if _is_stage_3(loaded[0]) else 2
    return ZeroFolder(path, stage, models, ranks, shapes)


def _rank_of(path: Path) -> int:
    found = _RANK.search(path.name)
    return int(found.group(1)) if found else 0


def _own(file: TorchFile) -> Mapping[object, object]:
    own = root_of(file).get("optimizer_state_dict")
    if not isinstance(own, dict):
        raise CheckpointError("not the optimizer states of DeepSpeed", where=str(file.path))
    return own


def _is_stage_3(file: TorchFile) -> bool:
    return "fp32_flat_groups" in _own(file)


def _cut(model: TorchFile, shapes: tuple[Mapping[str, Shape], ...]) -> bool:
    """Whether the model's file leaves its weights to the ranks (stage 3)."""
    module = root_of(model).get("module")
    refs = module if isinstance(module, dict) else {}
    whole = {name: shape for group in shapes for name, shape in group.items()}
    return any(
        isinstance(r, TensorRef) and r.shape != whole.get(n, r.shape) for n, r in refs.items()
    )


def _count(file: TorchFile) -> int:
    count = _own(file).get("partition_count")
    count = max(count, default=0) if isinstance(count, list) else count
    return count if isinstance(count, int) else 0


def _rank(file: TorchFile) -> Rank:
    own = _own(file)
    weights = own.get("fp32_flat_groups", own.get("single_partition_of_fp32_groups"))
    base = own.get("optimizer_state_dict", own.get("base_optimizer_state"))
    base = base if isinstance(base, dict) else {}
    state = base.get("state")
    states = [state[key] for key in sorted(state, key=_in_order)] if isinstance(state, dict) else []
    groups = base.get("param_groups")
    paddings = own.get("param_alignment_paddings")
    return Rank(
        file,
        tuple(ref for ref in weights if isinstance(ref, TensorRef))
        if isinstance(weights, list)
        else (),
        tuple(values for values in states if isinstance(values, dict)),
        tuple(group for group in groups if isinstance(group, dict))
        if isinstance(groups, list)
        else (),
        tuple(tuple(group) for group in paddings if _is_shape(tuple(group)))
        if isinstance(paddings, list)
        else (),
    )


def _in_order(key: object) -> tuple[int, str]:
    """By number: as text, group 10 would come before group 2."""
    return len(str(key)), str(key)


def _shapes(value: object) -> tuple[Mapping[str, Shape], ...]:
    groups = value if isinstance(value, list) else [value]
    return tuple(
        {str(name): shape for name, shape in group.items() if _is_shape(shape)}
        for group in groups
        if isinstance(group, dict)
    )


def _is_shape(value: object) -> TypeGuard[Shape]:
    return isinstance(value, tuple) and all(isinstance(n, int) and n >= 0 for n in value)
