"""Matching: which tensor of a checkpoint is which parameter of the user's model.

Names agree, or differ by the parts that wrappers put into them on either side, by a prefix of the
whole (`model.`, Lightning's `net.`), or by the name of a tied tensor; shapes must agree. Parameters
of the model that need no gradient, and its buffers, are constants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dyntools.errors import ProblemError

# What wrappers put in front or in between: DataParallel and DDP, torch.compile, FSDP.
WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
SHOWN = 5  # names listed in an error

Shapes = Mapping[str, tuple[int, ...]]
Prefix = tuple[str, str]  # to strip from the model's names, to put in front of them


@dataclass(frozen=True)
class Match:
    """names: of the trainable parameters, as in the checkpoint → as in the model, in model order.

    constants: frozen parameters and buffers that the checkpoint holds, model → checkpoint.
    tied: pairs of the checkpoint's names that are one tensor in the model.
    """

    names: Mapping[str, str]
    constants: Mapping[str, str]
    tied: tuple[tuple[str, str], ...] = ()


def match(model: nn.Module, shapes: Shapes, buffers: Shapes, where: str | None = None) -> Match:
    """Find each parameter of `model` among the tensors of a checkpoint.

    shapes: of its parameters. buffers: of what else it holds.
    Raises ProblemError listing what is missing, of another shape, or left over.
    """
    known = {**buffers, **shapes}
    parameters, own = dict(model.named_parameters()), dict(model.named_buffers())
    found = _found(_aliases(model), known, own)
    _refuse_others({**parameters, **own}, parameters, found, known, shapes, where)
    if not any(p.requires_grad for p in parameters.values()):
        raise ProblemError(
            "No parameter of the model requires a gradient.",
            where=where,
            remedy="leave requires_grad=True for what is trained",
        )
    trainable = {found[n][0]: n for n, p in parameters.items() if p.requires_grad}
    fixed = {n: names[0] for n, names in found.items() if names[0] not in trainable}
    tied = tuple((names[0], other) for names in found.values() for other in names[1:])
    return Match(trainable, fixed, tied)


def constants(model: nn.Module, found: Match, read: Callable[[str], Tensor]) -> dict[str, Tensor]:
    """Frozen parameters and buffers by the model's names; what is not stored, as in the model.

    Raises ProblemError when the checkpoint holds two tensors for what the model ties.
    """
    for one, other in found.tied:
        if not torch.equal(read(one), read(other)):
            raise ProblemError(
                "The model of the problem ties two tensors that differ in the checkpoint.",
                found=f"{one} and {other}",
                remedy="build the model in the problem with the settings of the run",
            )
    own: dict[str, Tensor] = dict(model.named_buffers())
    return {name: tensor.detach() for name, tensor in own.items()} | {
        name: read(other) for name, other in found.constants.items()
    }


def bare(name: str) -> str:
    """A name without the parts that wrappers add."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def _aliases(model: nn.Module) -> dict[str, list[str]]:
    """Every name of each parameter, tied ones together, under the first."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return {group[0]: group for group in names.values()}


def _found(
    aliases: Mapping[str, list[str]], known: Shapes, buffers: Mapping[str, Tensor]
) -> dict[str, list[str]]:
    """The names in the checkpoint of each tensor of the model that it holds."""
    stored = {bare(name): name for name in known} | {name: name for name in known}
    prefix = _prefix(list(aliases), stored)
    groups = {**aliases, **{name: [name] for name in buffers}}
    found = {
        name: list(dict.fromkeys(stored[n] for g in group if (n := _renamed(g, prefix)) in stored))
        for name, group in groups.items()
    }
    return {name: names for name, names in found.items() if names}


def _prefix(names: list[str], stored: Mapping[str, str]) -> Prefix:
    """The change of prefix by which most names of the model are known."""
    candidates = {("", "")}
    for name in {bare(names[0]), bare(names[-1])} if names else ():
        ends = [(_common_end(name, bare(other)), bare(other)) for other in stored]
        longest = max((end for end, _ in ends), key=len, default="")
        if longest:
            candidates |= {
                (name.removesuffix(longest), other.removesuffix(longest))
                for end, other in ends
                if end == longest
            }
    return max(sorted(candidates), key=lambda p: sum(_renamed(n, p) in stored for n in names))


def _common_end(a: str, b: str) -> str:
    """The last parts that two names share."""
    shared: list[str] = []
    for one, other in zip(reversed(a.split(".")), reversed(b.split(".")), strict=False):
        if one != other:
            break
        shared.insert(0, one)
    return ".".join(shared)


def _renamed(name: str, prefix: Prefix) -> str:
    return prefix[1] + bare(name).removeprefix(prefix[0])


def _refuse_others(
    own: Mapping[str, Tensor],
    parameters: Mapping[str, Tensor],
    found: Mapping[str, list[str]],
    known: Shapes,
    shapes: Shapes,
    where: str | None,
) -> None:
    missing = [name for name in parameters if name not in found]
    wrong = [
        f"{name}: {tuple(own[name].shape)} in the model, {tuple(known[other])} in the checkpoint"
        for name, names in found.items()
        for other in names
        if tuple(own[name].shape) != tuple(known[other])
    ]
    extra = sorted(set(shapes) - {other for names in found.values() for other in names})
    if missing or wrong or not parameters:
        told = [
            _listed("missing from the checkpoint", missing),
            _listed("of another shape", wrong),
            _listed("only in the checkpoint", extra) if missing else "",
        ]
        raise ProblemError(
            "The model of the problem is not the model of the checkpoint.",
            where=where,
            found="; ".join(filter(None, told)) or "a model without parameters",
            remedy="build the model in the problem with the settings of the run",
        )
    if extra:
        raise ProblemError(
            "The checkpoint holds parameters that the model of the problem lacks.",
            where=where,
            found=_listed("only in the checkpoint", extra),
            remedy="build the whole model in the problem: curvature of a part would be reported"
            " under the name of the whole",
        )


def _listed(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)} {what} ({', '.join(names[:SHOWN])}{more})"
