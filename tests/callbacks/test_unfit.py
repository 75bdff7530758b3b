"""Models whose parameters are not whole are refused before anything else is done."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dyntools.callbacks.unfit import refuse_unfit, speaks
from dyntools.errors import UsageError


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 2))


def refused(model: nn.Module) -> str:
    with pytest.raises(UsageError, match="cut over processes") as told:
        refuse_unfit(model)
    assert "dyntools analyze" in str(told.value)
    return str(told.value)


def test_whole_models_pass() -> None:
    refuse_unfit(network())
    refuse_unfit(torch.compile(network(), backend="eager"))
    refuse_unfit(nn.Module())
    half = network().bfloat16()
    half[0].weight.requires_grad_(False)
    refuse_unfit(half)


def test_fsdp_is_known_by_its_name_wherever_it_is() -> None:
    class FullyShardedDataParallel(nn.Module): ...

    model = network()
    model[2] = FullyShardedDataParallel()
    assert "2 is FullyShardedDataParallel" in refused(model)
    assert "the model is FullyShardedDataParallel" in refused(FullyShardedDataParallel())


@pytest.mark.parametrize("mark", ["_is_flat_param", "_is_sharded", "ds_id"])
def test_a_marked_parameter_is_found_behind_others(mark: str) -> None:
    model = network()
    setattr(model[2].bias, mark, 0)
    assert "2.bias" in refused(model)


def test_distributed_tensors_are_found_as_parameter_and_as_data() -> None:
    class DTensor(torch.Tensor): ...

    model = network()
    model[1].weight = nn.Parameter(torch.zeros(2).as_subclass(DTensor))
    assert "1.weight is a DTensor" in refused(model)


def test_only_the_first_process_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = torch.distributed
    assert speaks()
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    for rank in (0, 1, 5):
        monkeypatch.setattr(distributed, "get_rank", lambda *_, rank=rank: rank)
        assert speaks() == (rank == 0)
