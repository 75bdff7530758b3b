"""The `state_dict()` of a torch optimizer as state by parameter name.

Several optimizers of one run, as a generator's and a discriminator's, are read as one: their groups
one after another, their indices counted on. Values stay on disk until they are read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from dyntools.checkpoint import Entry, OptimizerState
from dyntools.checkpoints.constants import constant
from dyntools.checkpoints.inert import TensorRef
from dyntools.checkpoints.optimizer_names import Naming, Parameters, Shape, name_indices
from dyntools.checkpoints.quantised import NESTING, dequantised, is_quantised
from dyntools.errors import CheckpointError

Open = Callable[[TensorRef], Entry]

_FULL_SHAPE = (
    "exp_avg",
    "exp_avg_sq",
    "momentum_buffer",
    "square_avg",
    "sum",
    "state2",
    "state1",
    "m",
)
# Keys beside moments that are not those of single weights: of projected gradients (GaLore, Zhao et
# al. 2024; APOLLO, Zhu et al. 2024), or of rotated ones (SOAP, Vyas et al. 2024).
_PROJECTED = frozenset(("projector", "Q", "QL"))


@dataclass(frozen=True)
class StoredOptimizer:
    """A `state_dict()` in a file, and how its tensors are opened there."""

    values: Mapping[object, object]
    open_entry: Open


@dataclass(frozen=True)
class _Merged:
    """Groups with their values, the running indices in them, and the state of each index."""

    groups: tuple[Mapping[str, object], ...]
    members: tuple[tuple[object, ...], ...]
    listed: tuple[str, ...]  # `param_names` of all groups
    state: Mapping[object, Mapping[str, Entry]]
    marks: Mapping[object, frozenset[str]]


def torch_optimizer(stored: Sequence[StoredOptimizer], parameters: Parameters) -> OptimizerState:
    """The state of the optimizers of a run by parameter name."""
    merged = _merge(stored)
    naming = _naming(merged, parameters)
    groups = tuple(
        {**group, "params": tuple(_name(naming, member) for member in members)}
        for group, members in zip(merged.groups, merged.members, strict=True)
    )
    named = {_name(naming, member): entries for member, entries in merged.state.items()}
    family = family_of(named, groups, {mark for own in merged.marks.values() for mark in own})
    return OptimizerState(family, groups, named, naming.sentence)


def state_entries(values: Mapping[object, object], open_entry: Open) -> dict[str, Entry]:
    """The state of one parameter, dequantised."""
    entries: dict[str, Entry] = {}
    for name, value in _flat(values).items():
        if isinstance(value, TensorRef):
            entries[str(name)] = open_entry(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            entries[str(name)] = constant(value)
    return parts_of(entries)


def parts_of(entries: dict[str, Entry]) -> dict[str, Entry]:
    """The state of one parameter as it is stored, as the numbers it stands for."""
    return dequantised(entries) if is_quantised(entries) else entries


def marks_of(values: Mapping[object, object]) -> frozenset[str]:
    """What the keys of one parameter's state tell that its tensors do not: `8-bit`, `projected`."""
    flat = _flat(values)
    marks = {"8-bit": "qmap1" in flat, "projected": bool(_PROJECTED & set(flat))}
    return frozenset(mark for mark, told in marks.items() if told)


def group_values(group: Mapping[object, object], open_entry: Open) -> dict[str, object]:
    """The hyper-parameters of a group as plain values; small tensors are read."""
    result: dict[str, object] = {}
    for name, value in group.items():
        if isinstance(value, TensorRef) and value.shape in ((), (1,)):
            result[str(name)] = open_entry(value).read().item()
        elif isinstance(value, TensorRef) and value.shape == (2,):  # both betas
            result[str(name)] = tuple(open_entry(value).read().tolist())
        elif value is None or isinstance(value, bool | int | float | str):
            result[str(name)] = value
        elif isinstance(value, tuple | list) and all(map(_is_number, value)):
            result[str(name)] = tuple(
                open_entry(v).read().item() if isinstance(v, TensorRef) else v for v in value
            )
    return {name: value for name, value in result.items() if name not in ("params", "param_names")}


def family_of(
    state: Mapping[str, Mapping[str, Entry]],
    groups: Sequence[Mapping[str, object]],
    marks: Collection[str] = (),
) -> str:
    """The kind of optimizer, by the names of its state; by its settings when it has none yet.

    marks: of any of its parameters (`marks_of`).
    """
    names = [set(entries) for entries in state.values() if set(entries) - {"step"}]
    kinds = set(map(_kind, names))
    settings = {name for group in groups for name in group}
    if "projected" in marks:
        return "projected"
    if kinds == {"adam"}:
        return "adam8bit" if "8-bit" in marks else "adam"
    if kinds and kinds <= {"adam", "adafactor"}:
        # Rows and columns beside a first moment: SlimAdamW's, or those of Adafactor with momentum.
        adam = "betas" in settings and any("exp_avg" in own for own in names)
        return "adam" if adam else "adafactor"
    if len(kinds) == 1 or "adam-mini" in kinds:  # Adam-mini keeps some tensors as `m` and `v`
        return "adam-mini" if "adam-mini" in kinds else kinds.pop()
    if not kinds and {"betas", "eps", "amsgrad"} <= settings:
        return "adam"
    return "sgd" if not kinds and {"momentum", "nesterov"} <= settings else "unknown"


def _kind(names: set[str]) -> str:
    if "exp_avg_res_row" in names:  # CAME, Luo et al. 2023
        return "unknown"
    if {"exp_avg", "exp_avg_sq"} <= names or names - {"step"} == {"exp_avg_sq"}:
        return "adam"  # the latter without momentum
    if names & {"exp_avg_sq_row", "row_var", "variance"} or names == {"exp_avg_sq", "step", "RMS"}:
        return "adafactor"
    if "vmean" in names:
        return "adam-mini"
    if "momentum_buffer" in names:
        return "sgd"
    return "lion" if names - {"step"} == {"exp_avg"} else "unknown"


def _flat(values: Mapping[object, object]) -> Mapping[object, object]:
    nested = values.get(NESTING)
    return {**values, **nested} if isinstance(nested, dict) else values


def _merge(stored: Sequence[StoredOptimizer]) -> _Merged:
    groups: list[Mapping[str, object]] = []
    members: list[tuple[object, ...]] = []
    listed: list[str] = []
    state: dict[object, Mapping[str, Entry]] = {}
    marks: dict[object, frozenset[str]] = {}
    for optimizer in stored:
        own_groups, own_state = optimizer.values["param_groups"], optimizer.values["state"]
        if not isinstance(own_groups, list) or not isinstance(own_state, dict):
            raise CheckpointError("an optimizer whose groups or state are not as torch stores them")
        offset = sum(map(len, members))
        for group in own_groups:
            params = group.get("params") if isinstance(group, dict) else None
            if not isinstance(params, list):
                raise CheckpointError("an optimizer group without its parameters")
            groups.append(group_values(group, optimizer.open_entry))
            members.append(tuple(_shifted(member, offset) for member in params))
            listed += _listed_names(group)
        for key, values in own_state.items():
            if isinstance(values, dict):
                state[_shifted(key, offset)] = state_entries(values, optimizer.open_entry)
                marks[_shifted(key, offset)] = marks_of(values)
    if len({m for group in members for m in group}) < sum(map(len, members)):
        raise CheckpointError("an optimizer with one parameter in two groups")
    return _Merged(tuple(groups), tuple(members), tuple(listed), state, marks)


def _shifted(member: object, offset: int) -> object:
    return member + offset if isinstance(member, int) else str(member)


def _naming(merged: _Merged, parameters: Parameters) -> Naming:
    members = [member for group in merged.members for member in group]
    if any(isinstance(member, str) for member in members):
        return Naming({}, "the optimizer is stored by parameter name")
    if merged.listed and len(members) == len(merged.listed) == len(set(merged.listed)):
        pairs = {_index(m): name for m, name in zip(members, merged.listed, strict=True)}
        return Naming(pairs, "names from `param_names` in the optimizer's groups")
    shapes = {
        _index(key): None if "projected" in merged.marks[key] else implied_shape(entries)
        for key, entries in merged.state.items()
    }
    groups = [[_index(member) for member in group] for group in merged.members]
    return name_indices(groups, shapes, parameters)


def _is_number(value: object) -> bool:
    if isinstance(value, TensorRef):  # a setting of a capturable optimizer
        return value.shape in ((), (1,))
    return isinstance(value, int | float)


def _listed_names(group: Mapping[object, object]) -> list[str]:
    names = group.get("param_names")
    return [str(name) for name in names] if isinstance(names, list) else []


def _index(member: object) -> int:
    return member if isinstance(member, int) else -1


def _name(naming: Naming, member: object) -> str:
    return naming.names.get(_index(member), str(member))


def implied_shape(state: Mapping[str, Entry]) -> Shape | None:
    """The shape of the parameter whose state this is, as far as the state tells."""
    for name in _FULL_SHAPE:
        if name in state:
            return state[name].shape
    if {"exp_avg_sq_row", "exp_avg_sq_col"} <= set(state):  # transformers' and fairseq's Adafactor
        return (*state["exp_avg_sq_row"].shape, *state["exp_avg_sq_col"].shape[-1:])
    if {"row_var", "col_var"} <= set(state):  # torch.optim.Adafactor keeps axes of length one
        return (*state["row_var"].shape[:-1], *state["col_var"].shape[-1:])
    return state["variance"].shape if "variance" in state else None
