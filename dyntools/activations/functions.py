"""Functions: the activation functions that are seen, as calls and as classes of modules.

    signed     the output has the sign of the input, so that `output > 0` tells which inputs were
    low, high  the bounds of the output, NaN where it has none

A call is seen whoever makes it: `nn.ReLU` calls `F.relu`. Classes are listed whose formula is put
together of other operations, such as `NewGELUActivation` of Transformers; nothing inside them
counts for itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Kind:
    """One activation function."""

    name: str
    signed: bool = True
    low: float = math.nan
    high: float = math.nan

    @property
    def is_gate(self) -> bool:
        """Whether a unit whose input is negative passes nothing on, or next to nothing."""
        return self.name in GATES

    @property
    def is_bounded(self) -> bool:
        return math.isfinite(self.low) and math.isfinite(self.high)


GATES = (
    *("relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "selu", "celu"),
    *("gelu", "silu", "mish", "hardswish"),
)
TANH, SIGMOID = Kind("tanh", low=-1.0, high=1.0), Kind("sigmoid", signed=False, low=0.0, high=1.0)
SOFTPLUS = Kind("softplus", signed=False)

FUNCTIONS: Mapping[Callable[..., Any], Kind] = {
    **dict.fromkeys(
        (F.relu, torch.relu, torch.relu_, F.relu_, Tensor.relu, Tensor.relu_), Kind("relu")
    ),
    F.relu6: Kind("relu6"),
    **dict.fromkeys((F.leaky_relu, F.leaky_relu_), Kind("leaky_relu")),
    **dict.fromkeys((F.prelu, torch.prelu, Tensor.prelu), Kind("prelu")),
    **dict.fromkeys((F.rrelu, F.rrelu_, torch.rrelu, torch.rrelu_), Kind("rrelu")),
    **dict.fromkeys((F.elu, F.elu_), Kind("elu")),
    **dict.fromkeys((F.selu, F.selu_, torch.selu, torch.selu_), Kind("selu")),
    **dict.fromkeys((F.celu, F.celu_, torch.celu, torch.celu_), Kind("celu")),
    F.gelu: Kind("gelu"),
    F.silu: Kind("silu"),
    F.mish: Kind("mish"),
    F.hardswish: Kind("hardswish"),
    **dict.fromkeys((F.tanh, torch.tanh, torch.tanh_, Tensor.tanh, Tensor.tanh_), TANH),
    **dict.fromkeys((F.hardtanh, F.hardtanh_), Kind("hardtanh", low=-1.0, high=1.0)),
    F.softsign: Kind("softsign", low=-1.0, high=1.0),
    **dict.fromkeys(
        (F.sigmoid, torch.sigmoid, torch.sigmoid_, Tensor.sigmoid, Tensor.sigmoid_), SIGMOID
    ),
    F.hardsigmoid: Kind("hardsigmoid", signed=False, low=0.0, high=1.0),
    F.softplus: SOFTPLUS,
}

CLASSES: Mapping[str, Kind] = {  # those of transformers.activations, and of old codes
    **dict.fromkeys(
        (
            *("NewGELUActivation", "NewGELU", "FastGELUActivation", "QuickGELUActivation"),
            *("QuickGELU", "AccurateGELUActivation", "ClippedGELUActivation", "BertGELU"),
        ),
        Kind("gelu"),
    ),
    **dict.fromkeys(("ReLUSquaredActivation", "SquaredReLU"), Kind("relu")),
    **dict.fromkeys(("Swish", "MemoryEfficientSwish"), Kind("silu")),
}

# Which axis counts the units of what follows an operation: of images the first behind the
# examples, of vectors the last.
FIRST, LAST = 1, -1
AXES: Mapping[Callable[..., Any], int] = {
    **dict.fromkeys(
        (
            *(F.conv1d, F.conv2d, F.conv3d, F.batch_norm, F.group_norm, F.instance_norm),
            *(F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d),
        ),
        FIRST,
    ),
    **dict.fromkeys(
        (
            *(F.linear, F.bilinear, F.layer_norm, F.embedding, torch.addmm, torch.matmul, torch.mm),
            *(Tensor.matmul, Tensor.__matmul__, Tensor.mm, torch.bmm, Tensor.bmm),
        ),
        LAST,
    ),
}

# Products with a matrix: which argument enters, which one is the matrix, and whether it stands as
# (d, k) there. Other than of `linear`, it must be a weight of the model.
PRODUCTS: Mapping[Callable[..., Any], tuple[int, int, bool]] = {
    F.linear: (0, 1, False),
    torch.addmm: (1, 2, True),
    **dict.fromkeys(
        (torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.mm, Tensor.mm), (0, 1, True)
    ),
}
