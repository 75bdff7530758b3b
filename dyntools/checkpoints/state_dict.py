"""Finding the model and the optimizer in whatever a training script stored.

A file may be the state dict itself, a dictionary that has it under one of many names, or a pickled
module, of which only stubs remain: their `_parameters`, `_buffers` and `_modules` are walked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeGuard, TypeVar

from dyntools.checkpoints.inert import Stub, TensorRef

T = TypeVar("T")

MODEL_KEYS = (
    "model",
    "state_dict",
    "model_state_dict",
    "model_state",
    "module",
    "net",
    "network",
    "net_state_dict",
    "weights",
    "params",
)
OPTIMIZER_KEYS = (
    "optimizer",
    "optimizer_state_dict",
    "optimizer_states",
    "optimizers",
    "optimizer_state",
    "optim",
    "optim_state_dict",
    "opt",
    "opt_state_dict",
    "last_optimizer_state",
)
_AVERAGES = ("ema", "average", "swa", "shadow")
# Bounds for modules that contain themselves, which only a forged file does. Chosen.
_MOST_MODULES = 200_000
_DEEPEST_MODULE = 100


@dataclass(frozen=True)
class Model:
    """The tensors of a model by name, and sentences on how they were found."""

    tensors: Mapping[str, TensorRef]
    notes: tuple[str, ...] = ()


def find_model(root: object) -> Model | None:
    """The model of a stored object, or None."""
    if isinstance(root, Stub):
        return _module(root)
    if not isinstance(root, dict):
        return None
    notes = _averages(root)
    for key in MODEL_KEYS:
        if isinstance(root.get(key), dict | Stub) and (found := _state_dict(root[key])):
            return Model(found.tensors, notes + found.notes)
    if found := _state_dict(root):
        return found
    return _several(root, notes)


def find_optimizers(root: object) -> tuple[Mapping[object, object], ...]:
    """The state dicts of the optimizers in a training dictionary: one, a list, or one by name."""
    stored = root if isinstance(root, dict) else {}
    for key in OPTIMIZER_KEYS:
        value = stored.get(key)
        listed: list[object] = value if isinstance(value, list) else [value]
        if isinstance(value, dict) and not is_optimizer(value):
            listed = list(value.values())
        if found := tuple(v for v in listed if is_optimizer(v)):
            return found
    return ()


def is_optimizer(value: object) -> TypeGuard[Mapping[object, object]]:
    """Whether a value is the `state_dict()` of a torch optimizer."""
    return isinstance(value, dict) and {"state", "param_groups"} <= set(value)


def _state_dict(value: object) -> Model | None:
    if isinstance(value, Stub):
        return _module(value)
    if not isinstance(value, dict):
        return None
    tensors = {k: v for k, v in value.items() if isinstance(k, str) and isinstance(v, TensorRef)}
    # A training dictionary may hold a tensor or two, such as the best loss; a state dict holds
    # little else.
    if not tensors or 2 * len(tensors) < len(value):
        return None
    odd = [str(k) for k, v in value.items() if not isinstance(v, TensorRef) and not _extra(k)]
    notes = (f"not plain tensors, left out: {', '.join(odd[:5])}",) if odd else ()
    return Model(tensors, notes)


def _extra(key: object) -> bool:
    return isinstance(key, str) and key.endswith("_extra_state")


def _several(root: dict[object, object], notes: tuple[str, ...]) -> Model | None:
    """Several models side by side, such as a generator and a discriminator."""
    models = {
        str(key): found
        for key, value in root.items()
        if key not in OPTIMIZER_KEYS and not _is_average(key) and (found := _state_dict(value))
    }
    if not models:
        return None
    note = f"models found under {', '.join(models)}; their names begin with these"
    tensors = {f"{key}.{n}": t for key, found in models.items() for n, t in found.tensors.items()}
    return Model(tensors, (*notes, note))


def _averages(root: Mapping[object, object]) -> tuple[str, ...]:
    keys = [str(key) for key, value in root.items() if _is_average(key) and _state_dict(value)]
    return tuple(f"averaged weights under `{key}` are present and not used" for key in keys)


def _is_average(key: object) -> bool:
    return isinstance(key, str) and any(word in key.lower() for word in _AVERAGES)


def _module(root: Stub) -> Model | None:
    tensors: dict[str, TensorRef] = {}
    waiting, visited = [("", root)], 0
    while waiting and visited < _MOST_MODULES:
        prefix, module = waiting.pop()
        visited += 1
        attributes = module.attributes()
        tensors |= _named(prefix, attributes.get("_parameters"), TensorRef)
        hidden = attributes.get("_non_persistent_buffers_set")
        buffers = _named(prefix, attributes.get("_buffers"), TensorRef)
        left_out = {f"{prefix}{n}" for n in hidden} if isinstance(hidden, set) else set()
        tensors |= {name: t for name, t in buffers.items() if name not in left_out}
        if prefix.count(".") > _DEEPEST_MODULE:
            continue
        children = _named(prefix, attributes.get("_modules"), Stub)
        # a stack: reversed, so that the first child and all below it come first
        waiting += [(f"{name}.", child) for name, child in reversed(children.items())]
    if not tensors:
        return None
    return Model(tensors, (f"a pickled module of class {root.origin}, read without its code",))


def _named(prefix: str, value: object, kind: type[T]) -> dict[str, T]:
    items = value.items() if isinstance(value, dict) else ()
    return {prefix + k: v for k, v in items if isinstance(k, str) and isinstance(v, kind)}
