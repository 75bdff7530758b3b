"""Models that are spread over processes themselves are refused with the way out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dyntools.errors import ProblemError
from dyntools.problem.parallel import refuse_parallel


class DTensor(Tensor):
    """Stands for torch's own, which needs a process group."""


class FSDPModule:
    """Stands for torch's own, which fully_shard puts into the class of a module."""


class FSDPLinear(FSDPModule, nn.Linear):
    """What fully_shard makes of nn.Linear."""


class ColumnParallelLinear(nn.Linear):
    """Named as Megatron's."""


def test_plain_models_pass() -> None:
    refuse_parallel(nn.Sequential(nn.Linear(2, 3), nn.LSTM(3, 2)), None)


def test_distributed_parameters_are_refused() -> None:
    model = nn.Linear(2, 3)
    model.weight = nn.Parameter(torch.ones(3, 2).as_subclass(DTensor))
    with pytest.raises(ProblemError, match="may be wrong without an error") as caught:
        refuse_parallel(model, "problem.py")
    assert "weight: DTensor" in str(caught.value)
    assert "--shard-parameters" in str(caught.value)


@pytest.mark.parametrize(
    ("layer", "message"),
    [(FSDPLinear, "no usable second derivative"), (ColumnParallelLinear, "may be wrong")],
)
def test_modules_split_over_processes_are_refused(layer: type[nn.Module], message: str) -> None:
    model = nn.Sequential(nn.Linear(2, 2), layer(2, 3))
    with pytest.raises(ProblemError, match=message) as caught:
        refuse_parallel(model, None)
    assert f"1: {layer.__name__}" in str(caught.value)
