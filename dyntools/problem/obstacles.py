"""Obstacles: what PyTorch says where a model has no second derivative, in plain words.

Each with its way out; anything else passes unchanged, as it is a bug of ours or of the model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dyntools.errors import ProblemError

if TYPE_CHECKING:
    from torch import Tensor

    from dyntools.problem.problem import Problem

DIFFERENCES = "--hvp differences computes products from gradients alone"

OBSTACLES = (
    (
        r"checkpoint.*(\.grad\(\)|incompatible)|Checkpointing is not compatible with \.grad",
        "Reentrant activation checkpointing has no second derivative.",
        "checkpoint(…, use_reentrant=False), or switch it off for the analysis; "
        "--memory bounds the memory as well",
    ),
    (
        r"double backward|aot_autograd",
        "A compiled part of the model has no second derivative.",
        "give the model as it was before torch.compile",
    ),
    (
        r"_embedding_bag",
        "EmbeddingBag has no second derivative.",
        "Embedding and a mean instead; " + DIFFERENCES,
    ),
    (r"ctc_loss", "The CTC loss has no second derivative.", DIFFERENCES),
    (
        r"scaled_dot_product|flash_attention|efficient_attention",
        "A fused attention kernel has no second derivative.",
        'attn_implementation="eager" in Transformers; ' + DIFFERENCES,
    ),
    (
        r"cudnn|_cudnn_rnn",
        "The cuDNN kernels of recurrent layers have no second derivative.",
        "torch.backends.cudnn.enabled = False in the problem file, or --device cpu; " + DIFFERENCES,
    ),
    (
        r"derivative for (\S+) is not implemented|"
        r"trying to differentiate twice|does not support double|not differentiable twice",
        "An operation of the model has no second derivative.",
        DIFFERENCES,
    ),
    (
        r"does not require grad|does not have a grad_fn",
        "The loss does not depend on any parameter of the checkpoint.",
        "no torch.no_grad(), detach() or item() between the parameters and the loss",
    ),
)


def refuse_reentrant(loss: Tensor, problem: Problem) -> None:
    """Reentrant checkpointing raises nothing: torch.autograd.grad gives zeros for what is in it."""
    seen, waiting = set(), [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if "CheckpointFunction" in node.name():
            what, remedy = next((w, r) for _, w, r in OBSTACLES if w.startswith("Reentrant"))
            raise ProblemError(what, where=problem.source or None, found=node.name(), remedy=remedy)
        waiting += [following for following, _ in node.next_functions]


@contextmanager
def told_plainly(problem: Problem) -> Iterator[None]:
    """Turn PyTorch's error into a ProblemError where it is one of the known obstacles."""
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        for pattern, what, remedy in OBSTACLES:
            if re.search(pattern, text, re.IGNORECASE | re.DOTALL):
                raise ProblemError(
                    what,
                    where=problem.source or None,
                    found=" ".join(text.split())[:160],
                    remedy=remedy,
                ) from error
        raise
