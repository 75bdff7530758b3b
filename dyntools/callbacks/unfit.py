"""Unfit: models that must not be measured while they train, and processes that leave it to another.

Parameters cut over processes (FSDP, tensor parallel) are not whole in any of them, and measuring
products on them crashes the interpreter (FSDP2) or gives wrong numbers without a warning (tensor
parallel); see docs/decisions/sharded-parameters.md.
"""

from __future__ import annotations

from torch import nn

from dyntools.errors import UsageError
from dyntools.ranks import rank_of_training

CUTTING = ("FullyShardedDataParallel",)  # of torch and of fairscale
MARKS = ("_is_flat_param", "_is_sharded", "ds_id")  # FSDP, ZeRO-3 of DeepSpeed


def refuse_unfit(model: nn.Module) -> None:
    """Raises UsageError for a model whose parameters are not whole here."""
    for name, module in model.named_modules():
        if type(module).__name__ in CUTTING:
            raise _cut(f"{name or 'the model'} is {type(module).__name__}")
    for name, parameter in model.named_parameters():
        kinds = {type(parameter).__name__, type(parameter.data).__name__}
        if "DTensor" in kinds:
            raise _cut(f"{name} is a DTensor")
        if any(hasattr(parameter, mark) for mark in MARKS):
            raise _cut(f"{name} is marked so")


def _cut(found: str) -> UsageError:
    return UsageError(
        "The parameters of this model are cut over processes, which a live recorder must not"
        " touch.",
        found=found,
        remedy="save checkpoints, and `dyntools analyze` them beside the training",
    )


def speaks() -> bool:
    """Whether this process records: rank 0 of a distributed training, or the only one."""
    return rank_of_training() == 0
