"""AdamW with a second moment in a form, in NumPy and float64, from the formulas alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def second_moment(squares: list[Array], form: str, beta2: float) -> Array:
    """ν̂ of the full shape after the squared gradients of all steps, written as a weighted sum."""
    count = len(squares)
    weights = [(1 - beta2) * beta2 ** (count - 1 - i) for i in range(count)]
    full = np.sum([w * s for w, s in zip(weights, squares, strict=True)], axis=0)
    kind, _, rest = form.partition(" ")
    if kind == "axes":
        axes = tuple(int(axis) for axis in rest.split(","))
        full = np.broadcast_to(full.mean(axes, keepdims=True), full.shape)
    elif kind == "blocks":
        runs = full.reshape(int(rest), -1)
        full = np.broadcast_to(runs.mean(1, keepdims=True), runs.shape).reshape(full.shape)
    elif kind == "factored":
        total = full.sum((-1, -2), keepdims=True)
        full = full.sum(-1, keepdims=True) * full.sum(-2, keepdims=True) / total
    return np.asarray(full / (1 - beta2**count))


def trained(
    start: Array,
    grads: list[Array],
    form: str,
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> Array:
    """The parameter after a step along each gradient."""
    param, first = start.copy(), np.zeros_like(start)
    for index, grad in enumerate(grads):
        first = betas[0] * first + (1 - betas[0]) * grad
        second = second_moment([g**2 for g in grads[: index + 1]], form, betas[1])
        unbiased = first / (1 - betas[0] ** (index + 1))
        param = param - lr * weight_decay * param - lr * unbiased / (np.sqrt(second) + eps)
    return param
