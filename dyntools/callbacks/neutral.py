"""Neutral: what a measurement must leave as it was in the process that trains.

Random numbers of torch on the CPU and on the model's device, of NumPy and of Python, gradient and
inference mode, autocast, the number of threads. Metrics touch neither parameters nor their
gradients (tests/metrics/test_contract.py); problems restore modes and flags of their own model
(`problem.conditions`).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch


@contextmanager
def neutral(device: torch.device) -> Iterator[None]:
    """Measure inside; training goes on afterwards as if nothing had happened."""
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng([device] if device.type == "cuda" else []))
        stack.callback(np.random.set_state, np.random.get_state())  # noqa: NPY002
        stack.callback(random.setstate, random.getstate())
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in {"cpu", device.type}:
            stack.enter_context(torch.autocast(kind, enabled=False))
        yield
