"""A state dict of torch.optim.AdamW, or of SlimAdamW, as SlimAdamW stores it.

Averaging squared gradients over weights and then over steps is averaging over steps and then over
weights, so that the second moment of AdamW, reduced, is exactly what SlimAdamW would hold had it
seen the same gradients. The way back is closed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from dyntools.errors import UsageError
from dyntools.forms import Form, reduced
from dyntools.optim.named_forms import cached_form

# Settings that torch's groups carry and SlimAdamW has no use for.
TORCH_ONLY = ("amsgrad", "capturable", "differentiable", "fused", "decoupled_weight_decay")


def keys_of(form: Form) -> tuple[str, ...]:
    """Under which keys the second moment is stored, in the order of `forms.reduced`."""
    if form.kind == "factored":
        return "exp_avg_sq_row", "exp_avg_sq_col"
    return ("exp_avg_sq",)


def converted(state_dict: Mapping[str, Any], groups: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The state dict with second moments in the forms of `groups`, those of a SlimAdamW.

    Forms, names and `foreach` stay those of `groups`; the other settings are the state's, as with
    torch. Raises UsageError where the state cannot be brought into these forms.
    """
    saved_groups = state_dict["param_groups"]
    if [len(each["params"]) for each in saved_groups] != [len(each["params"]) for each in groups]:
        raise UsageError(
            "The optimizer state has other groups of parameters than this optimizer.",
            found=f"{[len(g['params']) for g in saved_groups]} parameters, "
            f"here {[len(g['params']) for g in groups]}",
            remedy="the groups that the state was saved with, in their order",
        )
    state = dict(state_dict["state"])
    for saved, group in zip(saved_groups, groups, strict=True):
        _check_group(saved, group)
        for key, name, param, label in zip(
            saved["params"], group["param_names"], group["params"], group["forms"], strict=True
        ):
            if key in state:
                state[key] = _entries(state[key], name, tuple(param.shape), cached_form(label))
    return {
        **state_dict,
        "state": state,
        "param_groups": [
            _group(saved, group) for saved, group in zip(saved_groups, groups, strict=True)
        ],
    }


def _group(saved: Mapping[str, Any], group: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in saved.items() if key not in TORCH_ONLY}
    ours = {key: group[key] for key in ("forms", "param_names", "foreach")}
    return {"maximize": group["maximize"], **kept, **ours}


def _check_group(saved: Mapping[str, Any], group: Mapping[str, Any]) -> None:
    if saved.get("decoupled_weight_decay") is False and saved.get("weight_decay"):
        raise UsageError(
            "The state is of Adam, whose weight decay is in the gradient; SlimAdamW decouples it.",
            found=f"weight_decay {saved['weight_decay']}",
            remedy="set weight_decay to 0 in the groups of the state to go on without",
        )
    names, held = saved.get("param_names"), group["param_names"]
    # torch pairs parameters by position, whatever their names: in another order, wrongly.
    if names is not None and list(names) != held and sorted(names) == sorted(held):
        raise UsageError(
            "The optimizer state has the parameters in another order.",
            found=", ".join(names[:3]) + " …",
            remedy="the order of model.named_parameters() that the state was saved with",
        )


def _entries(
    saved: Mapping[str, Any], name: str, shape: tuple[int, ...], form: Form
) -> dict[str, Any]:
    """The state of one parameter."""
    if "max_exp_avg_sq" in saved:
        raise UsageError(
            f"The state of {name} is of AMSGrad, whose largest second moment no form replaces.",
            remedy="a state saved with amsgrad=False",
        )
    if not ("exp_avg" in saved and any("exp_avg_sq" in key for key in saved)):
        raise UsageError(
            f"The state of {name} is not AdamW's.",
            found=", ".join(saved) or "nothing",
            remedy="a state of torch.optim.AdamW or of SlimAdamW",
        )
    wanted = dict(zip(keys_of(form), form.shapes(shape), strict=True))
    second = saved.get("exp_avg_sq")
    if second is not None and tuple(second.shape) == shape and wanted != {"exp_avg_sq": shape}:
        kept = dict(zip(wanted, reduced(form, second), strict=True))
    else:
        kept = {key: saved[key] for key in saved if key.startswith("exp_avg_sq")}
    found = {key: tuple(value.shape) for key, value in kept.items()}
    if found != wanted or tuple(saved["exp_avg"].shape) != shape:
        raise UsageError(
            f"The second moment of {name} is stored in another form than {form.label!r}.",
            found=", ".join(f"{key} {shape}" for key, shape in found.items()),
            remedy="the plan it was saved with, or the state of an AdamW that has all of it",
        )
    # Copies, which torch does not make: else two optimizers that go on from one state share it.
    copied = {key: value.clone() for key, value in {"exp_avg": saved["exp_avg"], **kept}.items()}
    return {"step": _step(saved.get("step", 0.0)), **copied}


def _step(saved: object) -> Tensor:
    """t on the CPU, where torch leaves it unless it is fused: reading it then waits for nothing."""
    step = float(saved) if isinstance(saved, Tensor | int | float) else math.nan
    return torch.tensor(step)
