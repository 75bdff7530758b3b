"""Which parameter is number 7 of an optimizer: a matter of proof, never of a guess.

torch stores optimizer state by index. The indices run through the groups in the order in which the
optimizer was given its parameters. Orders that people use are tried (below), and one is accepted if
the sizes of the groups and the shapes of all states fit, and no other order that fits says anything
else; only if none does, the names in alphabetical order are tried too. Where the file does not keep
the model's order (safetensors sorts its names), a name is accepted only if no other parameter of
its group has its shape. Else an index stays `param[7] (16, 8)`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dyntools.checkpoint import Entry, is_buffer

Shape = tuple[int, ...]
Groups = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Parameters:
    """Trainable tensors of a model, tied ones once; `order`: why they are in model order, if so."""

    shapes: Mapping[str, Shape]
    order: str | None


@dataclass(frozen=True)
class Naming:
    """Index → name for all indices, and one sentence on how it was found."""

    names: Mapping[int, str]
    sentence: str


# Hugging Face, transformers/trainer.py `get_decay_parameter_names`: no bias, no normalisation. It
# also leaves out LayerNorm modules of any name, which are one-dimensional here.
_NOT_DECAYED = re.compile(r"bias|layernorm|rmsnorm|(?:^|\.)norm(?:$|\.)|_norm(?:$|\.)")


def _hugging_face(name: str, shape: Shape) -> bool:
    return _NOT_DECAYED.search(name.lower()) is None and len(shape) > 1


def _matrices(name: str, shape: Shape) -> bool:
    return len(shape) > 1


def _not_timm(name: str, shape: Shape) -> bool:
    """timm's `param_groups_weight_decay`: what is not decayed comes first."""
    return len(shape) <= 1 or name.endswith(".bias")


# Which parameters are in the first of two groups.
_SPLITS: dict[str, Callable[[str, Shape], bool]] = {
    "weight decay first": _hugging_face,
    "matrices first": _matrices,
    "no weight decay first": _not_timm,
}


def parameters_of(tensors: Mapping[str, Entry], order: str | None) -> Parameters:
    """The parameters among the tensors of a model."""
    shapes: dict[str, Shape] = {}
    seen: set[tuple[object, ...]] = set()
    for name, entry in tensors.items():
        if is_buffer(name, entry.dtype) or (entry.storage is not None and entry.storage in seen):
            continue
        if entry.storage is not None:
            seen.add(entry.storage)
        shapes[name] = entry.shape
    return Parameters(shapes, order)


def name_indices(
    groups: Groups, shapes: Mapping[int, Shape | None], parameters: Parameters
) -> Naming:
    """Names for the indices of `groups`; `shapes` has what the state of an index tells, or None."""
    indices = [index for group in groups for index in group]
    known = {index: shape for index in indices if (shape := shapes.get(index)) is not None}
    if not known:
        return _unnamed(
            indices, shapes, "the optimizer holds no state whose shape could be compared"
        )
    if parameters.order is None:
        return _by_shape(groups, shapes, known, parameters)
    found = by_order(groups, known, parameters)
    if isinstance(found, str):
        return _by_shape(groups, shapes, known, parameters, found)
    return found


def by_order(groups: Groups, known: Mapping[int, Shape], parameters: Parameters) -> Naming | str:
    """Names in the order of the model, or why that is not proved.

    known: the shapes of the states there are.
    """
    if sum(map(len, groups)) != len(parameters.shapes):
        return "no known order fits"
    indices = [index for group in groups for index in group]

    def fitting(orders: Mapping[str, tuple[str, ...]]) -> dict[tuple[str, ...], str]:
        found: dict[tuple[str, ...], str] = {}
        for label, order in orders.items():
            pairs = dict(zip(indices, order, strict=True))
            if all(parameters.shapes[pairs[index]] == shape for index, shape in known.items()):
                found.setdefault(order, label)
        return found

    # An alphabetical order fits many stacks of equal layers by chance and is rare: the last resort.
    alphabetical = {"alphabetically": tuple(sorted(parameters.shapes))}
    found = fitting(_orders(groups, parameters)) or fitting(alphabetical)
    if len(found) != 1:
        return "several orders fit" if found else "no known order fits"
    [(order, label)] = found.items()
    states = f"the only order that fits all {len(known)} states"
    sentence = f"names from {parameters.order}, {label}: {states}"
    return Naming(dict(zip(indices, order, strict=True)), sentence)


def _orders(groups: Groups, parameters: Parameters) -> dict[str, tuple[str, ...]]:
    orders = {"taken as it is": tuple(parameters.shapes)}
    if len(groups) == 2:
        for label, (first, second) in _splits(groups, parameters).items():
            orders[label] = (*first, *second)
    return orders


def _splits(groups: Groups, parameters: Parameters) -> dict[str, tuple[list[str], list[str]]]:
    result = {}
    for label, is_first in _SPLITS.items():
        first = [name for name, shape in parameters.shapes.items() if is_first(name, shape)]
        second = [name for name in parameters.shapes if name not in set(first)]
        if len(groups) == 2 and [len(first), len(second)] == [len(group) for group in groups]:
            result[label] = (first, second)
    return result


def _by_shape(
    groups: Groups,
    shapes: Mapping[int, Shape | None],
    known: Mapping[int, Shape],
    parameters: Parameters,
    why: str = "the file does not keep the order of the model",
) -> Naming:
    """Names that the shapes leave no choice for, in every division into groups that fits."""
    solutions = [
        _unique([list(parameters.shapes)], [[i for g in groups for i in g]], known, parameters)
    ]
    solutions += [
        _unique(split, groups, known, parameters)
        for split in _splits(groups, parameters).values()
        if _same_shapes(split, groups, known, parameters)
    ]
    found: dict[int, str] = {}
    for solution in solutions:
        found |= solution
    agreed = {
        index: name
        for index, name in found.items()
        if all(solution.get(index, name) == name for solution in solutions)
    }
    unnamed = _unnamed([index for group in groups for index in group], shapes, why)
    taken = Counter(agreed.values())
    names = {
        i: agreed[i] if taken.get(agreed.get(i, ""), 0) == 1 else n
        for i, n in unnamed.names.items()
    }
    named = sum(names[i] != n for i, n in unnamed.names.items())
    if not named:
        return unnamed
    sentence = f"{named} of {len(names)} names from shapes that only one parameter has: {why}"
    return Naming(names, sentence)


def _unique(
    names: Sequence[Sequence[str]],
    groups: Groups,
    known: Mapping[int, Shape],
    parameters: Parameters,
) -> dict[int, str]:
    found = {}
    for candidates, indices in zip(names, groups, strict=True):
        if any(index not in known for index in indices):
            continue  # an index of unknown shape might be any of them
        by_shape = Counter(parameters.shapes[name] for name in candidates)
        uses = Counter(known[index] for index in indices)
        for index in indices:
            if by_shape[known[index]] == uses[known[index]] == 1:
                [name] = [n for n in candidates if parameters.shapes[n] == known[index]]
                found[index] = name
    return found


def _same_shapes(
    split: Sequence[Sequence[str]],
    groups: Groups,
    known: Mapping[int, Shape],
    parameters: Parameters,
) -> bool:
    for names, indices in zip(split, groups, strict=True):
        available = Counter(parameters.shapes[name] for name in names)
        if Counter(known[index] for index in indices if index in known) - available:
            return False
    return True


def is_index(name: str) -> bool:
    """Whether this stands for a name that is not known: `param[7] (16, 8)`."""
    return name.startswith("param[")


def _unnamed(indices: Sequence[int], shapes: Mapping[int, Shape | None], why: str) -> Naming:
    names = {index: f"param[{index}] {shapes.get(index) or ''}".rstrip() for index in indices}
    return Naming(names, f"indices are not names here: {why}")
