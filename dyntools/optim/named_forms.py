"""Which form each parameter of an optimizer has: a plan, read and checked against the parameters.

Forms travel as their labels, so that a state dict holds nothing but numbers and words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor

from dyntools.errors import UsageError, nearest
from dyntools.forms import FULL, Form, form_of

Plan = Mapping[str, Form | str] | str | Path

cached_form = cache(form_of)


def labels_of(plan: Plan) -> dict[str, str]:
    """Name → label of a plan, or of the plan.toml or rules.json that it is the path of.

    Raises UsageError for a file that is no plan, and for what is no form.
    """
    if isinstance(plan, str | Path):
        from dyntools.adam_memory.exports import read_forms

        plan = read_forms(Path(plan))
    return {name: _label(name, form) for name, form in plan.items()}


def group_labels(
    labels: Mapping[str, str], names: Sequence[str], tensors: Sequence[Tensor]
) -> list[str]:
    """The label of each parameter; `full` for one that the plan does not name.

    Raises UsageError for a form that does not fit its parameter.
    """
    found = []
    for name, tensor in zip(names, tensors, strict=True):
        form = cached_form(labels.get(name, FULL.label))
        if not form.fits(tuple(tensor.shape)):
            raise UsageError(
                f"The second moment of {name} cannot be kept as {form.label!r}.",
                found=f"a tensor of shape {tuple(tensor.shape)}",
                remedy="a form that divides the tensor, or no form for it: it is then kept in full",
            )
        found.append(form.label)
    return found


def refuse_other_shapes(plan: Plan, groups: Iterable[Mapping[str, Any]]) -> None:
    """Raises UsageError where a plan.toml was made for a tensor of another shape.

    Rows of one layout are columns of the other (`nn.Linear` and GPT-2's `Conv1D`), so that a form
    may fit and mean something else.
    """
    if not isinstance(plan, str | Path):
        return
    from dyntools.adam_memory.exports import read_plan

    made_for = {name: shape for name, (_, shape) in read_plan(Path(plan)).items()}
    for group in groups:
        for name, tensor in zip(group["param_names"], group["params"], strict=True):
            shape = made_for.get(name)
            if shape is not None and _trimmed(shape) != _trimmed(tuple(tensor.shape)):
                raise UsageError(
                    f"The plan was made for another shape of {name}.",
                    where=str(plan),
                    found=f"{shape}, here {tuple(tensor.shape)}",
                    remedy="a plan from a run of this model",
                )


def _trimmed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Without axes of length one at the end, which a trace does not tell."""
    while shape and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def refuse_unknown(labels: Mapping[str, str], names: Iterable[str]) -> None:
    """Raises UsageError for a form whose parameter the optimizer does not hold."""
    held = set(names)
    unknown = [name for name in labels if name not in held]
    if not unknown:
        return
    raise UsageError(
        f"The plan names {len(unknown)} parameters that the optimizer does not hold.",
        found=", ".join(unknown[:5]),
        remedy=f"the names of model.named_parameters(): {nearest(unknown[0], held)}",
    )


def _label(name: str, form: object) -> str:
    try:
        # By its label even where it is a Form, whose axes nobody has checked.
        known = form_of(form.label if isinstance(form, Form) else str(form))
    except ValueError as error:
        raise UsageError(
            f"The plan gives {name} a form that does not exist.",
            found=repr(form),
            remedy="full, axes 0, axes 0,1, blocks 12, or factored",
        ) from error
    if known.kind == "8-bit":
        raise UsageError(
            f"SlimAdamW keeps no 8-bit second moment, as the plan asks for {name}.",
            remedy="bitsandbytes.optim.AdamW8bit for those parameters",
        )
    return known.label
