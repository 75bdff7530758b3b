"""Parallel: models that are themselves spread over processes are refused, by the names of classes.

FSDP1 has no gradients of gradients, FSDP2's second gradient is a segmentation fault, and products
through tensor-parallel layers in a residual network are wrong by 42 % without an error (measured,
torch 2.13). A plain model spread by dyntools is exact.
"""

from __future__ import annotations

from torch import nn

from dyntools.errors import ProblemError

FSDP = ("FullyShardedDataParallel", "FSDPModule")
OTHERS = ("DeepSpeedEngine", "ColumnParallelLinear", "RowParallelLinear", "VocabParallelEmbedding")
REMEDY = (
    "the model as it is without fully_shard, parallelize_module or an engine around it: dyntools"
    " spreads the examples over torchrun's processes itself, and the parameters with"
    " --shard-parameters"
)


def refuse_parallel(model: nn.Module, where: str | None) -> None:
    """Raise ProblemError for FSDP modules, DTensor parameters and tensor-parallel layers."""
    for name, module in model.named_modules():
        kinds = [kind.__name__ for kind in type(module).__mro__]
        if any(kind in FSDP for kind in kinds):
            what = "A model under FSDP has no usable second derivative."
            raise ProblemError(what, where=where, found=_named(name, module), remedy=REMEDY)
        if any(kind in OTHERS for kind in kinds):
            what = "Products through a model that is itself split over processes may be wrong."
            raise ProblemError(what, where=where, found=_named(name, module), remedy=REMEDY)
    for name, parameter in model.named_parameters():
        kinds = [kind.__name__ for one in (parameter, parameter.data) for kind in type(one).__mro__]
        if "DTensor" in kinds or hasattr(parameter, "ds_id"):
            raise ProblemError(
                "Products through distributed parameters may be wrong without an error.",
                where=where,
                found=f"{name}: {type(parameter.data).__name__}",
                remedy=REMEDY,
            )


def _named(name: str, module: nn.Module) -> str:
    return f"{name or 'the model'}: {type(module).__name__}"
