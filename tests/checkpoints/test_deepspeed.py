"""Layouts of ZeRO that the committed runs do not have, written by hand as DeepSpeed writes them."""

from math import ceil

import pytest
import torch

from dyntools.checkpoints import find, open_checkpoint
from dyntools.errors import CheckpointError

SHAPES = [{"a.weight": (3, 5), "b.weight": (2, 2)}, {"a.bias": (7,)}]
RANKS = 2


def truth(seed):
    generator = torch.Generator().manual_seed(seed)
    return {n: torch.randn(s, generator=generator) for g in SHAPES for n, s in g.items()}


WEIGHTS, MOMENTS = truth(0), truth(1)


def cut_once(values, group, padding):
    """The group end to end with padding after each parameter, in equal parts."""
    pieces = [t for n in group for t in (values[n].flatten(), torch.full((padding,), 9.0))]
    flat = torch.cat(pieces)
    flat = torch.cat([flat, torch.full((-len(flat) % RANKS,), 9.0)])
    return flat.chunk(RANKS)


def cut_each(values, group):
    """Every parameter cut among the ranks, the last part padded."""
    parts = [[] for _ in range(RANKS)]
    for name in group:
        flat, size = values[name].flatten(), ceil(values[name].numel() / RANKS)
        flat = torch.cat([flat, torch.full((size * RANKS - len(flat),), 9.0)])
        for rank, part in enumerate(flat.chunk(RANKS)):
            parts[rank].append(part)
    return [torch.cat(part) for part in parts]


def write(folder, stage, padding=0, sub_groups=False):
    """A folder; `sub_groups`: stage 3 with its flat buffers cut elsewhere than at the groups."""
    folder.mkdir()
    cut = cut_each if stage == 3 else lambda values, group: cut_once(values, group, padding)
    model = {
        "module": {"a.weight": torch.zeros(0), "frozen": torch.zeros(0), "mean": torch.ones(4)},
        "buffer_names": ["mean"],
        "param_shapes": [{n: torch.Size(s) for n, s in group.items()} for group in SHAPES],
        "frozen_param_shapes": {"frozen": torch.Size((3,))},
        "shared_params": {"tied.weight": "b.weight"},
        "global_steps": 12,
    }
    for rank in range(RANKS):
        part = slice(2 * rank, 2 * rank + 2) if stage == 3 else slice(0, 3)
        fragment = torch.tensor([1.0, 2.0, 3.0, 9.0])[part]
        name = f"zero_pp_rank_{rank}_" if stage == 3 else ""
        states = model | {"frozen_param_fragments": {"frozen": fragment}}
        torch.save(states, folder / f"{name}mp_rank_00_model_states.pt")
        flat = [[cut(v, group)[rank].clone() for group in SHAPES] for v in (WEIGHTS, MOMENTS)]
        if sub_groups:
            flat = [list(torch.cat(parts).split(4)) for parts in flat]
        weights, moments = flat
        inner = {
            "state": {
                i: {"step": 12, "exp_avg": m, "exp_avg_sq": m * m} for i, m in enumerate(moments)
            },
            "param_groups": [{"lr": 0.1, "params": [i]} for i in range(2)],
        }
        own = {"partition_count": RANKS if stage == 3 else [RANKS, RANKS]}
        if stage == 3:
            own |= {"fp32_flat_groups": weights, "optimizer_state_dict": inner}
        else:
            own |= {"single_partition_of_fp32_groups": weights, "base_optimizer_state": inner}
            own["param_alignment_paddings"] = [[padding] * len(group) for group in SHAPES]
        path = folder / f"zero_pp_rank_{rank}_mp_rank_00_optim_states.pt"
        torch.save({"optimizer_state_dict": own}, path)


@pytest.mark.parametrize(
    ("stage", "padding", "sub_groups"), [(2, 0, False), (2, 3, False), (3, 0, False), (3, 0, True)]
)
def test_every_way_of_cutting(stage, padding, sub_groups, tmp_path, mmap):
    write(tmp_path / "global_step12", stage, padding, sub_groups)
    [checkpoint], damaged = find(tmp_path, mmap=mmap)
    assert not damaged
    assert (checkpoint.step, checkpoint.step_unit) == (12, "step")
    tensors = checkpoint.tensors
    for name, want in WEIGHTS.items():
        assert torch.equal(tensors[name].read(), want), name
    assert tensors["frozen"].read().tolist() == [1, 2, 3]
    assert tensors["mean"].read().tolist() == [1, 1, 1, 1]
    assert torch.equal(tensors["tied.weight"].read(), WEIGHTS["b.weight"])
    assert tensors["tied.weight"].storage == tensors["b.weight"].storage
    state = checkpoint.optimizer()
    for name, want in MOMENTS.items():
        assert torch.equal(state.state[name]["exp_avg"].read(), want)
        assert torch.equal(state.state[name]["exp_avg_sq"].read(), want * want)
        assert state.state[name]["step"].read() == 12
    assert [group["params"] for group in state.groups] == [tuple(group) for group in SHAPES]


def test_more_than_ten_groups_keep_their_order(tmp_path, monkeypatch):
    """As text, group 10 comes before group 2: moments of one parameter were another's."""
    groups = [{f"w{i}": (3,)} for i in range(12)]
    weights = {f"w{i}": torch.full((3,), float(i)) for i in range(12)}
    for name, value in {"SHAPES": groups, "WEIGHTS": weights, "MOMENTS": weights}.items():
        monkeypatch.setitem(globals(), name, value)
    write(tmp_path / "global_step12", 2)
    state = open_checkpoint(tmp_path / "global_step12").optimizer()
    for name, want in weights.items():
        assert torch.equal(state.state[name]["exp_avg"].read(), want), name


def test_without_zero_the_models_file_holds_everything(tmp_path):
    (tmp_path / "global_step4").mkdir()
    stored = {"module": {"w": torch.ones(2)}, "global_steps": 4, "optimizer": None}
    torch.save(stored, tmp_path / "global_step4/mp_rank_00_model_states.pt")
    checkpoint = open_checkpoint(tmp_path / "global_step4")
    assert (checkpoint.step, checkpoint.has_optimizer) == (4, False)
    assert checkpoint.path == tmp_path / "global_step4"
    assert checkpoint.tensors["w"].read().tolist() == [1, 1]


def test_missing_ranks_and_tensor_parallelism_are_refused(tmp_path):
    write(tmp_path / "global_step12", 3)
    for path in (tmp_path / "global_step12").glob("*optim_states.pt"):
        path.unlink()
    with pytest.raises(CheckpointError, match="all ranks are missing"):
        open_checkpoint(tmp_path / "global_step12")
    torch.save({}, tmp_path / "global_step12/mp_rank_01_model_states.pt")
    with pytest.raises(CheckpointError, match="tensor parallelism"):
        open_checkpoint(tmp_path / "global_step12")
