"""Optimizer state whose order the files do not keep, named by the order of a person's model.

A person who gives the loss of the run gives its model, and with it the order of
`named_parameters()` in which an optimizer is given them. It settles what the files left as
`param[7] (16, 8)`, by the same proof as theirs (`optimizer_names`): the one order that fits the
shapes of all states, and every name that was proved before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import cast

from dyntools.checkpoint import OptimizerState
from dyntools.checkpoints.optimizer_names import Naming, Parameters, by_order, is_index
from dyntools.checkpoints.optimizer_state import implied_shape


def named_by_model(
    state: OptimizerState, orders: Callable[[], Sequence[Parameters]]
) -> OptimizerState:
    """The state with names for all of its parameters, or as it is, with the reason in `naming`.

    orders: of what the optimizer may have been given, what is trained or all parameters; asked for
        only where a name is missing.
    """
    groups = [cast("tuple[str, ...]", group.get("params", ())) for group in state.groups]
    members = [name for group in groups for name in group]
    if not any(map(is_index, members)):
        return state
    found = _naming(state, groups, orders())
    if isinstance(found, str):
        why = f"the order of the problem's model does not tell either: {found}"
        return replace(state, naming=f"{state.naming}; {why}")
    names = dict(zip(members, found.names.values(), strict=True))
    return replace(
        state,
        groups=tuple(
            {**group, "params": tuple(names[name] for name in own)}
            for group, own in zip(state.groups, groups, strict=True)
        ),
        state={names.get(name, name): entries for name, entries in state.state.items()},
        naming=found.sentence,
    )


def _naming(
    state: OptimizerState, groups: Sequence[Sequence[str]], orders: Sequence[Parameters]
) -> Naming | str:
    members = [name for group in groups for name in group]
    numbers = iter(range(len(members)))  # torch counts through the groups
    indices = [[next(numbers) for _ in group] for group in groups]
    shapes = {i: implied_shape(state.state.get(name, {})) for i, name in enumerate(members)}
    known = {i: shape for i, shape in shapes.items() if shape is not None}
    if not known:
        return "there is no state whose shape could be compared"
    proved = {i: name for i, name in enumerate(members) if not is_index(name)}
    found = [by_order(indices, known, parameters) for parameters in orders]
    fitting = {
        tuple(naming.names.values()): naming
        for naming in found
        if isinstance(naming, Naming) and _agrees(naming.names, proved)
    }
    if len(fitting) == 1:
        return next(iter(fitting.values()))
    return "several orders fit" if fitting or "several orders fit" in found else "no order fits"


def _agrees(names: Mapping[int, str], proved: Mapping[int, str]) -> bool:
    return all(names[i] == name for i, name in proved.items())
