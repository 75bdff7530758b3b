"""The truth of the curvature benchmarks: eigenvalues by bare torch, NumPy and ARPACK."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from curvature_models import Task

Product = Callable[[Any], Any]  # NumPy (n,) → (n,)


def double_backward(task: Task) -> Product:
    """v → H v by reverse over reverse on one kept graph of the gradient."""
    parameters = task.parameters()
    sizes = [p.numel() for p in parameters]
    gradients = torch.autograd.grad(task.loss(), parameters, create_graph=True)

    def product(v: Any) -> Any:
        parts = torch.from_numpy(v.reshape(-1)).split(sizes)
        shaped = [part.view(p.shape) for part, p in zip(parts, parameters, strict=True)]
        found = torch.autograd.grad(gradients, parameters, shaped, retain_graph=True)
        return torch.cat([part.reshape(-1) for part in found]).numpy()

    return product


def arpack(product: Product, task: Task, k: int, rtol: float) -> list[float]:
    """The k largest eigenvalues by SciPy's eigsh, from a fixed start; descending."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    parameters = task.parameters()
    size = sum(p.numel() for p in parameters)
    dtype = torch.empty(0, dtype=parameters[0].dtype).numpy().dtype
    operator = LinearOperator((size, size), matvec=product, dtype=dtype)
    start = np.random.default_rng(0).standard_normal(size).astype(dtype)
    values, _ = eigsh(operator, k=k, which="LA", tol=rtol, v0=start)
    found: list[float] = values[::-1].tolist()
    return found


def reference(task: Task, k: int, file: Path) -> list[float]:
    """The k largest eigenvalues of a float64 task; kept in the file.

    ARPACK's tolerance is on the residual; the error of a value is about the square of that.
    """
    if not file.exists():
        file.write_text(json.dumps(arpack(double_backward(task), task, k, 1e-8)))
    kept: list[float] = json.loads(file.read_text())
    return kept[:k]
