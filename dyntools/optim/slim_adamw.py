"""AdamW that keeps the second moment of each parameter in the form that a plan gives it.

The update is in `dyntools.optim.update`; here are the conventions of torch.optim.Optimizer. A form
is stored nowhere but in the group of its parameter, as a word, beside "param_names".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim import Optimizer

from dyntools.errors import UsageError
from dyntools.forms import Form
from dyntools.optim.conversion import converted, keys_of
from dyntools.optim.named_forms import (
    Plan,
    cached_form,
    group_labels,
    labels_of,
    refuse_other_shapes,
    refuse_unknown,
)
from dyntools.optim.pieces import Part
from dyntools.optim.update import Settings, update

NAMED = 'SlimAdamW(model.named_parameters(), …), or groups with "params": [(name, tensor), …]'

NamedGroups = Iterable[tuple[str, Tensor]] | Iterable[dict[str, Any]]


class SlimAdamW(Optimizer):
    """AdamW with a second moment in less memory.

    params: model.named_parameters(), or groups of named parameters; a group may have its own lr,
        betas, eps, weight_decay, maximize and forms.
    forms: of each parameter by name, a Form or its label; or the path of a plan.toml or rules.json
        that `dyntools adam-memory` exported. What is not named is kept in full.
    lr, betas, eps, weight_decay: as in torch.optim.AdamW, whose defaults they have; the decay is
        decoupled. maximize: go up the gradient.
    foreach: whether small tensors share calls; by default they do. The numbers are the same.

    State of a parameter, in its dtype: step, exp_avg, and exp_avg_sq in the shape of the form
    (axes: the averaged ones of length one; blocks: one number each), or, factored, exp_avg_sq_row
    (…, r, 1) and exp_avg_sq_col (…, 1, c). `load_state_dict` takes a state of torch.optim.AdamW too
    and converts it exactly: the mean over weights and the running mean over steps commute.

    Raises UsageError for parameters without names, names that are not there, forms that do not fit
    or that it does not execute (8-bit), settings out of range, complex parameters and sparse
    gradients.
    """

    def __init__(
        self,
        params: NamedGroups,
        forms: Plan,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
    ) -> None:
        labels = labels_of(forms)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "forms": labels,
        }
        super().__init__(params, defaults)
        refuse_unknown(
            labels, (name for group in self.param_groups for name in group["param_names"])
        )
        refuse_other_shapes(forms, self.param_groups)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As torch's; `params` named, `forms` the constructor's unless the group has its own."""
        group = dict(param_group)
        named = _named(group["params"])
        own = labels_of(group["forms"]) if "forms" in group else None
        names, tensors = [name for name, _ in named], [tensor for _, tensor in named]
        if own is not None:
            refuse_unknown(own, names)
        group["forms"] = group_labels(
            self.defaults["forms"] if own is None else own, names, tensors
        )
        group["params"] = named
        _check({**self.defaults, **group})
        super().add_param_group(group)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One update of every parameter that has a gradient; returns the closure's loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            update(self._parts(group), _settings(group))
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As torch's, of a state of SlimAdamW with the same forms, or of torch.optim.AdamW.

        The forms and names stay those of this optimizer. Raises UsageError for a state kept in
        other forms, of AMSGrad, or of another optimizer.
        """
        super().load_state_dict(converted(state_dict, self.param_groups))

    def _parts(self, group: dict[str, Any]) -> Iterator[tuple[Form, Part]]:
        for name, param, label in zip(
            group["param_names"], group["params"], group["forms"], strict=True
        ):
            if param.grad is None or param.numel() == 0:
                continue
            if param.grad.layout != torch.strided:
                raise UsageError(
                    f"The gradient of {name} is sparse; SlimAdamW averages dense gradients only.",
                    found=str(param.grad.layout),
                    remedy="sparse=False in the embedding, or torch.optim.SparseAdam for it",
                )
            form, state = cached_form(label), self.state[param]
            if not state:
                state.update(fresh_state(form, param))
            state["step"] += 1
            kept = tuple(state[key] for key in keys_of(form))
            yield form, Part(param, param.grad, state["exp_avg"], kept, state["step"].item())


def fresh_state(form: Form, param: Tensor) -> dict[str, Tensor]:
    """The state before the first step: zeros."""
    kept = form.shapes(param.shape)
    return {
        "step": torch.tensor(0.0),
        "exp_avg": torch.zeros_like(param, memory_format=torch.preserve_format),
        **{key: param.new_zeros(shape) for key, shape in zip(keys_of(form), kept, strict=True)},
    }


def _settings(group: dict[str, Any]) -> Settings:
    beta1, beta2 = group["betas"]
    return Settings(
        lr=float(group["lr"]),
        beta1=float(beta1),
        beta2=float(beta2),
        eps=float(group["eps"]),
        weight_decay=float(group["weight_decay"]),
        maximize=group["maximize"],
        together=group["foreach"] is not False,
    )


def _named(params: Any) -> list[tuple[str, Tensor]]:
    """The (name, tensor) pairs of a group. Raises UsageError for tensors without names."""
    named: list[Any] = [params] if isinstance(params, Tensor) else list(params)
    for each in named:
        if not (isinstance(each, tuple) and len(each) == 2 and isinstance(each[0], str)):
            raise UsageError(
                "SlimAdamW finds the form of a parameter by its name; these have none.",
                found=f"a {type(each).__name__} among the parameters",
                remedy=NAMED,
            )
        if isinstance(each[1], Tensor) and each[1].is_complex():
            raise UsageError(f"{each[0]} is complex; SlimAdamW trains real parameters only.")
    return named


def _check(group: dict[str, Any]) -> None:
    """Raises UsageError for settings out of range; the negations refuse NaN too."""
    for key in ("lr", "eps", "weight_decay"):
        if not 0 <= float(group[key]) < math.inf:
            raise UsageError(f"{key} must be 0 or more, and finite.", found=str(group[key]))
    betas = group["betas"]
    if len(betas) != 2 or not all(0 <= float(beta) < 1 for beta in betas):
        raise UsageError(
            "betas must be two numbers from 0 up to, not including, 1.", found=str(betas)
        )
