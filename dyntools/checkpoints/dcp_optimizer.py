"""The optimizer of a distributed checkpoint: stored by parameter name, so nothing is to be guessed.

`state.<name>.exp_avg` and, as the optimizer was flattened or not, `param_groups.<name>.lr` for each
parameter or `param_groups.0.lr` with the names in `param_groups.0.params`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dyntools.checkpoint import Entry, OptimizerState
from dyntools.checkpoints.dcp_chunks import item_tensor, item_value
from dyntools.checkpoints.dcp_metadata import Item
from dyntools.checkpoints.names import unwrapped
from dyntools.checkpoints.optimizer_state import family_of


def dcp_optimizer(path: Path, items: Mapping[str, Item], *, mmap: bool) -> OptimizerState:
    """The state of `items`, named from the optimizer down, in the folder `path`."""
    state: dict[str, dict[str, Entry]] = {}
    groups: dict[str, dict[str, object]] = {}
    for key, item in items.items():
        kind, _, rest = key.partition(".")
        owner, _, part = rest.rpartition(".")
        if kind == "state" and item.dtype is not None:
            state.setdefault(owner, {})[part] = item_tensor(path, item, mmap=mmap)
        elif kind == "param_groups":
            groups.setdefault(owner, {})[part] = item_value(path, item, mmap=mmap)
    names, _ = unwrapped({name: name for name in state})
    short = {full: name for name, full in names.items()}
    merged = _groups(groups, short)
    named = {short[name]: parts for name, parts in state.items()}
    sentence = "the optimizer is stored by parameter name"
    return OptimizerState(family_of(named, merged), merged, named, sentence)


def _groups(
    stored: Mapping[str, Mapping[str, object]], short: Mapping[str, str]
) -> tuple[dict[str, object], ...]:
    """Groups with a list of names, or settings for each name, of which equal ones are merged."""
    merged: dict[str, dict[str, object]] = {}
    for owner, values in stored.items():
        listed = values.get("params")
        members = [str(name) for name in listed] if isinstance(listed, list) else [owner]
        settings = {
            name: value
            for name, value in values.items()
            if name not in ("params", "param_names") and _is_plain(value)
        }
        group = merged.setdefault(repr(sorted(settings.items())), {**settings, "params": ()})
        known = group["params"] if isinstance(group["params"], tuple) else ()
        group["params"] = (*known, *(short.get(name, name) for name in members))
    return tuple(merged.values())


def _is_plain(value: object) -> bool:
    if isinstance(value, tuple | list):
        return all(isinstance(part, int | float) for part in value)
    return value is None or isinstance(value, bool | int | float | str)
