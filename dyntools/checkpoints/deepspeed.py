"""Folders `global_stepN/` of DeepSpeed, ZeRO stages 0 to 3, as one model.

ZeRO lays the parameters of a group end to end in float32 and cuts that run among the ranks. Stages
1 and 2 cut the whole run once; stage 3 cuts every parameter, its last part padded. The moments of
Adam are laid and cut in the same way, so weights and state come from the same arithmetic. What is
read are the float32 master weights, as DeepSpeed's own zero_to_fp32 gives them; frozen parameters
and buffers come from the model's file. Without ZeRO the model's file holds everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from dyntools.checkpoint import Checkpoint, Entry, OptimizerState
from dyntools.checkpoints.constants import constant
from dyntools.checkpoints.inert import TensorRef
from dyntools.checkpoints.names import unwrapped
from dyntools.checkpoints.optimizer_state import family_of, group_values
from dyntools.checkpoints.step_numbers import NO_STEP, step_in_name, step_of
from dyntools.checkpoints.torch_file import TorchFile
from dyntools.checkpoints.training_file import root_of, training_file
from dyntools.checkpoints.zero_partitions import MODEL_STATES, ZeroFolder, read_folder

NAME = "deepspeed"


def recognises(path: Path) -> bool:
    """Whether a folder holds the model states DeepSpeed writes."""
    return path.is_dir() and any(path.glob(f"*{MODEL_STATES}"))


def open(path: Path, *, mmap: bool = True) -> Checkpoint:
    """The checkpoint of a folder."""
    zero = read_folder(path)
    model = root_of(zero.models[0])
    stated = step_of(model.get("global_steps"), "`global_steps` in the file")
    step = stated or step_in_name(path) or NO_STEP
    if not zero.ranks:
        return replace(training_file(zero.models[0].path, NAME, mmap=mmap, step=step), path=path)
    tensors, notes = unwrapped(_tensors(zero, mmap=mmap))
    stored = bool(zero.parts)

    def optimizer() -> OptimizerState | None:
        return _optimizer(zero, mmap=mmap) if stored else None

    return Checkpoint(
        path=path,
        format=NAME,
        step=step.number,
        step_unit=step.unit,
        step_source=step.source,
        tensors=tensors,
        optimizer=optimizer,
        has_optimizer=stored,
        config={},
        notes=(f"float32 master weights of ZeRO stage {zero.stage}", *notes),
        files=tuple(file.path for file in (*zero.models, *(rank.file for rank in zero.ranks))),
    )


def _tensors(zero: ZeroFolder, *, mmap: bool) -> dict[str, Entry]:
    """All tensors in the order of the module: partitioned, frozen, buffers, and tied names."""
    model = root_of(zero.models[0])
    module, buffers = _mapping(model.get("module")), _names(model.get("buffer_names"))
    frozen, tied = (
        _mapping(model.get("frozen_param_fragments")),
        _mapping(model.get("shared_params")),
    )
    trained = {name for group in zero.shapes for name in group}
    result: dict[str, Entry] = {}
    for name in dict.fromkeys((*module, *trained, *frozen, *tied)):
        source = str(tied.get(name, name))
        if source in trained:
            result[name] = zero.entry("fp32", source, mmap=mmap)
        elif source in frozen:
            result[name] = zero.frozen(source, mmap=mmap)
        elif source in buffers and isinstance(ref := module.get(source), TensorRef):
            result[name] = zero.models[0].entry(ref, mmap=mmap)
    return result


def _optimizer(zero: ZeroFolder, *, mmap: bool) -> OptimizerState:
    short = {
        full: name for name, full in unwrapped({n: n for g in zero.shapes for n in g})[0].items()
    }
    state: dict[str, dict[str, Entry]] = {}
    for index, group in enumerate(zero.shapes):
        for name in group:
            parts = {part: zero.entry(part, name, mmap=mmap) for part in zero.parts}
            state[short[name]] = parts | _counts(zero.ranks[0].file, zero, index, mmap=mmap)
    groups = tuple(
        {
            **group_values(values, partial(zero.ranks[0].file.entry, mmap=mmap)),
            "params": tuple(short[name] for name in names),
        }
        for values, names in zip(zero.groups, zero.shapes, strict=False)
    )
    sentence = "names from `param_shapes` in DeepSpeed's model states"
    return OptimizerState(family_of(state, groups), groups, state, sentence)


def _counts(file: TorchFile, zero: ZeroFolder, index: int, *, mmap: bool) -> dict[str, Entry]:
    state = zero.ranks[0].state
    step = state[min(index, len(state) - 1)].get("step")
    if isinstance(step, TensorRef):
        return {"step": file.entry(step, mmap=mmap)}
    return {"step": constant(step)} if isinstance(step, int | float) else {}


def _mapping(value: object) -> Mapping[str, object]:
    return {k: v for k, v in value.items() if isinstance(k, str)} if isinstance(value, dict) else {}


def _names(value: object) -> frozenset[str]:
    return frozenset(map(str, value)) if isinstance(value, list) else frozenset()
