"""Conditions: what holds while a model is evaluated for curvature, and is put back afterwards.

Fused attention has no second derivative, so attention runs under the math backend (equal to 2e-7,
no slower on a CPU); nn.MultiheadAttention and nn.TransformerEncoderLayer leave their fast path;
compiled modules run as they were written, autocast is off, and TF32 too: its ten bits of mantissa
would be the error of every product. Only batch normalisation is ever in training mode: what else
looks at it (dropout, stochastic depth) is random.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from dyntools.problem.problem import Mode, Problem


@contextmanager
def conditions(model: nn.Module, mode: Mode, device: torch.device) -> Iterator[None]:
    """Evaluate `model` inside; every switch is as it was when this ends."""
    with ExitStack() as stack:
        stack.enter_context(_modes(model, mode))
        stack.enter_context(full_precision())
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        stack.enter_context(_no_fast_path())
        stack.enter_context(torch.autocast(device.type, enabled=False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(undisturbed(device))
        if "torch._dynamo" in sys.modules:  # loaded by any use of torch.compile
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield


def uses_batch_statistics(module: nn.Module, mode: Mode) -> bool:
    """Whether the output of a layer for one example depends on the others of its batch."""
    if not _is_batch_normalisation(module):
        return False
    return mode == "train" or getattr(module, "running_mean", None) is None


def is_whole(problem: Problem) -> bool:
    """Whether batches must not be cut: examples of one influence each other by its statistics."""
    return any(uses_batch_statistics(m, problem.mode) for m in problem.model.modules())


@contextmanager
def full_precision() -> Iterator[None]:
    """No TF32 in products and convolutions on a GPU."""
    matmul, cudnn = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = matmul
        torch.backends.cudnn.allow_tf32 = cudnn


@contextmanager
def undisturbed(device: torch.device) -> Iterator[None]:
    """The global random numbers of torch go on afterwards as if nothing had drawn from them."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


@contextmanager
def _modes(model: nn.Module, mode: Mode) -> Iterator[None]:
    """Every module in eval mode, but for batch normalisation in `train`."""
    before = {module: module.training for module in model.modules()}
    for module in before:
        module.training = mode == "train" and _is_batch_normalisation(module)
    try:
        yield
    finally:
        for module, training in before.items():
            module.training = training


@contextmanager
def _no_fast_path() -> Iterator[None]:
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _is_batch_normalisation(module: nn.Module) -> bool:
    """torch's, or one that names itself so."""
    return (
        isinstance(module, nn.modules.batchnorm._BatchNorm) or "BatchNorm" in type(module).__name__
    )
