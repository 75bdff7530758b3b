"""One trained state of AdamW, written in every layout that dyntools reads.

The model has the names and the order of a Llama of transformers, and groups as its Trainer makes
them. The moments of large tensors lie on the grid of an 8-bit optimizer, so that 8 bits hold them
exactly; all layouts then hold the same numbers.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

STEP, RANKS, BLOCK, LEAST = 20, 2, 256, 4096  # LEAST: values that bitsandbytes keeps in 8 bits
VOCABULARY, WIDTH, LAYERS = 128, 32, 2
TABLES = {1: torch.linspace(-1, 1, 256), 2: torch.linspace(0, 1, 256) ** 3}
MOMENTS = {1: "exp_avg", 2: "exp_avg_sq"}


class Small(nn.Module):
    """Attention without softmax, and a gated MLP: (batch, time) to (batch, time, vocabulary)."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)

        def linear(*widths: int) -> nn.Linear:
            return nn.Linear(*widths, bias=False)

        def layer() -> nn.ModuleDict:
            attention = {f"{part}_proj": linear(WIDTH, WIDTH) for part in "qkvo"}
            gated = {f"{part}_proj": linear(WIDTH, 4 * WIDTH) for part in ("gate", "up")}
            return nn.ModuleDict({
                "self_attn": nn.ModuleDict(attention),
                "mlp": nn.ModuleDict(gated | {"down_proj": linear(4 * WIDTH, WIDTH)}),
                "input_layernorm": nn.RMSNorm(WIDTH),
                "post_attention_layernorm": nn.RMSNorm(WIDTH),
            })  # fmt: skip

        self.model = nn.ModuleDict({
            "embed_tokens": nn.Embedding(VOCABULARY, WIDTH),
            "layers": nn.ModuleList(layer() for _ in range(LAYERS)),
            "norm": nn.RMSNorm(WIDTH),
        })  # fmt: skip
        self.lm_head = linear(WIDTH, VOCABULARY)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.model["embed_tokens"](tokens)
        for layer in self.model["layers"]:
            q, k, v, o = (layer["self_attn"][f"{part}_proj"] for part in "qkvo")
            y = layer["input_layernorm"](x)
            x = x + o((q(y) @ k(y).transpose(1, 2)).tril() @ v(y) / tokens.shape[1])
            gate, up, down = (layer["mlp"][f"{part}_proj"] for part in ("gate", "up", "down"))
            y = layer["post_attention_layernorm"](x)
            x = x + down(nn.functional.silu(gate(y)) * up(y))
        return self.lm_head(self.model["norm"](x))


@dataclass(frozen=True)
class Trained:
    """A model, its optimizer, and the 8-bit form of the moments that have one, by parameter."""

    model: Small
    optimizer: torch.optim.AdamW
    codes: dict[str, dict[str, Tensor]]

    @property
    def names(self) -> dict[Tensor, str]:
        return {p: name for name, p in self.model.named_parameters()}

    @property
    def groups(self) -> list[list[str]]:
        """The names in each group of the optimizer."""
        return [[self.names[p] for p in g["params"]] for g in self.optimizer.param_groups]

    def moment(self, name: str, part: str) -> Tensor:
        return self.optimizer.state[dict(self.model.named_parameters())[name]][part]


def train() -> Trained:
    """A few steps on random text, then the moments of large tensors moved onto the grid."""
    model = Small()
    tokens = torch.randint(VOCABULARY, (STEP, 4, 9), generator=torch.Generator().manual_seed(1))
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.95))
    for batch in tokens:
        optimizer.zero_grad()
        logits = model(batch[:, :-1]).flatten(0, 1)
        nn.functional.cross_entropy(logits, batch[:, 1:].flatten()).backward()
        optimizer.step()
    codes = {
        name: _snapped(optimizer.state[p])
        for name, p in model.named_parameters()
        if p.numel() >= LEAST
    }
    return Trained(model, optimizer, codes)


def _snapped(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Moves the moments to the nearest numbers that 8 bits can hold; their codes and scales."""
    kept: dict[str, Tensor] = {}
    for number, part in MOMENTS.items():
        table, blocks = TABLES[number], state[part].flatten().split(BLOCK)
        scales = torch.stack([block.abs().max() for block in blocks])
        nearest = [
            (block[:, None] / scale - table).abs().argmin(1)
            for block, scale in zip(blocks, scales, strict=True)
        ]
        codes = torch.cat(nearest).to(torch.uint8).reshape(state[part].shape)
        values = table[codes.flatten().int()] * scales.repeat_interleave(BLOCK)
        state[part].copy_(values.reshape(state[part].shape))
        kept |= {f"state{number}": codes, f"qmap{number}": table, f"absmax{number}": scales}
    return kept


def plain(folder: Path, trained: Trained) -> None:
    """A dictionary of torch.save."""
    states = {"model": trained.model.state_dict(), "optimizer": trained.optimizer.state_dict()}
    torch.save({**states, "step": STEP}, folder / "checkpoint.pt")


def nanogpt(folder: Path, trained: Trained) -> None:
    """`ckpt.pt` of a compiled model."""
    compiled = {f"_orig_mod.{n}": p for n, p in trained.model.state_dict().items()}
    states = {"model": compiled, "optimizer": trained.optimizer.state_dict(), "model_args": {}}
    torch.save({**states, "iter_num": STEP, "config": {}}, folder / "ckpt.pt")


def lightning(folder: Path, trained: Trained) -> None:
    """`.ckpt`; the module is an attribute of the person's own."""
    stored = {
        "pytorch-lightning_version": "2.5.0",
        "state_dict": {f"net.{n}": p for n, p in trained.model.state_dict().items()},
        "optimizer_states": [trained.optimizer.state_dict()],
        "global_step": STEP,
        "epoch": 0,
    }
    torch.save(stored, folder / "epoch=0-step=20.ckpt")


def hf_trainer(folder: Path, trained: Trained) -> None:
    """`checkpoint-20/`: names sorted by safetensors, indices in the order of two groups."""
    place = folder / f"checkpoint-{STEP}"
    place.mkdir()
    save_file(trained.model.state_dict(), place / "model.safetensors")
    (place / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (place / "trainer_state.json").write_text(json.dumps({"global_step": STEP, "log_history": []}))
    torch.save(trained.optimizer.state_dict(), place / "optimizer.pt")


def accelerate(folder: Path, trained: Trained) -> None:
    """`checkpoint_0/` of `save_state`, which tells the order of the parameters nowhere."""
    place = folder / "checkpoint_0"
    place.mkdir()
    save_file(trained.model.state_dict(), place / "model.safetensors")
    torch.save(trained.optimizer.state_dict(), place / "optimizer.bin")
    torch.save({}, place / "random_states_0.pkl")


def dcp(folder: Path, trained: Trained) -> None:
    """`torch.distributed.checkpoint`, its optimizer by name."""
    from torch.distributed import checkpoint
    from torch.distributed.checkpoint.state_dict import get_state_dict

    model, optimizer = get_state_dict(trained.model, trained.optimizer)
    states = {"model": model, "optimizer": optimizer, "step": STEP}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")  # as it is here
        checkpoint.save(states, checkpoint_id=folder / f"step-{STEP}", no_dist=True)


def zero2(folder: Path, trained: Trained) -> None:
    """DeepSpeed, stage 2: the ranks' parts end to end are the group."""

    def cut(group: list[str], part: str) -> list[Tensor]:
        flat = torch.cat([_value(trained, name, part).flatten() for name in group])
        return list(torch.cat([flat, torch.zeros(-len(flat) % RANKS)]).chunk(RANKS))

    _zero(folder, trained, cut, "single_partition_of_fp32_groups", "base_optimizer_state")


def zero3(folder: Path, trained: Trained) -> None:
    """DeepSpeed, stage 3: every parameter is cut among the ranks."""

    def cut(group: list[str], part: str) -> list[Tensor]:
        parts: list[list[Tensor]] = [[] for _ in range(RANKS)]
        for name in group:
            flat = _value(trained, name, part).flatten()
            size = ceil(len(flat) / RANKS)
            flat = torch.cat([flat, torch.zeros(size * RANKS - len(flat))])
            for own, piece in zip(parts, flat.split(size), strict=True):
                own.append(piece)
        return [torch.cat(own) for own in parts]

    _zero(folder, trained, cut, "fp32_flat_groups", "optimizer_state_dict")


def _zero(folder: Path, trained: Trained, cut, weights: str, base: str) -> None:  # type: ignore[no-untyped-def]
    place = folder / f"global_step{STEP}"
    place.mkdir()
    shapes = {n: p.shape for n, p in trained.model.named_parameters()}
    stage3 = weights == "fp32_flat_groups"
    # Weights of another precision, or none at all: the ranks have those that are trained.
    module = {n: torch.zeros(0 if stage3 else s, dtype=torch.bfloat16) for n, s in shapes.items()}
    model = {
        "module": module,
        "buffer_names": [],
        "param_shapes": [{n: shapes[n] for n in group} for group in trained.groups],
        "global_steps": STEP,
    }
    settings = [
        {**{k: v for k, v in group.items() if k != "params"}, "params": [i]}
        for i, group in enumerate(trained.optimizer.param_groups)
    ]
    for rank in range(RANKS):
        name = f"zero_pp_rank_{rank}_" if stage3 else ""
        torch.save(model, place / f"{name}mp_rank_00_model_states.pt")
        state = {
            i: {"step": STEP, **{p: cut(group, p)[rank].clone() for p in MOMENTS.values()}}
            for i, group in enumerate(trained.groups)
        }
        own = {
            weights: [cut(group, "weights")[rank].clone() for group in trained.groups],
            base: {"state": state, "param_groups": settings},
            "partition_count": RANKS if stage3 else [RANKS, RANKS],
        }
        path = place / f"zero_pp_rank_{rank}_mp_rank_00_optim_states.pt"
        torch.save({"optimizer_state_dict": own}, path)


def _value(trained: Trained, name: str, part: str) -> Tensor:
    stored = trained.model.state_dict()[name]
    return stored if part == "weights" else trained.moment(name, part)


def eight_bit(folder: Path, trained: Trained) -> None:
    """bitsandbytes: large tensors in codes, small ones in float32 under the same names."""
    stored = trained.optimizer.state_dict()
    state = {}
    for index, name in enumerate(name for group in trained.groups for name in group):
        small = {f"state{i}": trained.moment(name, part) for i, part in MOMENTS.items()}
        state[index] = {"step": STEP, **trained.codes.get(name, small)}
    states = {"model": trained.model.state_dict(), "optimizer": {**stored, "state": state}}
    torch.save({**states, "step": STEP}, folder / "checkpoint.pt")


LAYOUTS = {
    "torch": plain,
    "nanogpt": nanogpt,
    "lightning": lightning,
    "hf-trainer": hf_trainer,
    "accelerate": accelerate,
    "dcp": dcp,
    "deepspeed, stage 2": zero2,
    "deepspeed, stage 3": zero3,
    "8-bit": eight_bit,
}
