"""8-bit states of bitsandbytes in the layouts of its releases."""

import pytest
import torch

from dyntools.checkpoints import open_checkpoint
from dyntools.errors import CheckpointError


def quantised(shape, block, seed):
    """Codes, table and block scales, and the numbers they stand for, written out."""
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    table = torch.linspace(-1, 1, 256)
    scales = torch.rand(-(-codes.numel() // block), generator=generator)
    flat = [table[c] * scales[i // block] for i, c in enumerate(codes.flatten().tolist())]
    return codes, table, scales, torch.stack(flat).reshape(shape)


def saved(tmp_path, state, nested):
    kept = {"step": 3}
    kept |= {"__bnb_optimizer_quant_state__": state} if nested else state
    groups = [{"lr": 0.1, "params": [0]}]
    weights = {"weight": torch.zeros(70, 90)}
    stored = {"model": weights, "optimizer": {"state": {0: kept}, "param_groups": groups}}
    torch.save(stored, tmp_path / "a.pt")
    return open_checkpoint(tmp_path / "a.pt").optimizer()


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("block", [256, 2048])
def test_the_numbers_of_both_layouts_and_block_sizes(block, nested, tmp_path):
    first, second = (quantised((70, 90), block, seed) for seed in (0, 1))
    state = {
        "state1": first[0],
        "qmap1": first[1],
        "absmax1": first[2],
        "state2": second[0],
        "qmap2": second[1],
        "absmax2": second[2],
    }
    optimizer = saved(tmp_path, state, nested)
    assert optimizer.family == "adam8bit"
    parts = optimizer.state["weight"]
    assert set(parts) == {"step", "exp_avg", "exp_avg_sq"}
    assert torch.equal(parts["exp_avg"].read(), first[3])
    assert torch.equal(parts["exp_avg_sq"].read(), second[3])
    assert parts["step"].read() == 3


def test_one_state_keeps_its_name(tmp_path):
    """Lion and momentum look alike in 8 bits: neither is claimed."""
    codes, table, scales, want = quantised((70, 90), 256, 0)
    optimizer = saved(tmp_path, {"state1": codes, "qmap1": table, "absmax1": scales}, True)
    assert optimizer.family == "unknown"
    assert torch.equal(optimizer.state["weight"]["state1"].read(), want)


def test_other_quantisations_are_refused(tmp_path):
    codes, table, scales, _ = quantised((70, 90), 256, 0)
    with pytest.raises(CheckpointError, match="block size"):
        saved(tmp_path, {"state1": codes, "qmap1": table, "absmax1": scales[:7]}, True)
    with pytest.raises(CheckpointError, match="not block-wise"):
        saved(tmp_path, {"state1": codes, "qmap1": table, "max1": scales[:1]}, False)
