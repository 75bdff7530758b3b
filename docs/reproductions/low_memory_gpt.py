"""The runs of low-memory-adam.py: a small GPT on characters, its text, its training and its loss.

`problem` and `held_out` are for dyntools, with RUNS the folder that low-memory-adam.py filled:

    dyntools adam-memory RUNS/lr-0.001 --problem docs/reproductions/low_memory_gpt.py --verify 100
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gelu, scaled_dot_product_attention

from dyntools import Problem
from dyntools.optim import SlimAdamW
from dyntools.verification.continued import state_bytes

TEXT = Path(__file__).resolve().parents[3] / "shared" / "data" / "tinyshakespeare.txt"
LAYERS, WIDTH, HEADS, BLOCK = 4, 128, 4, 128
BATCH, STEPS, WARM_UP = 8, 2000, 200
BETAS, EPS, DECAY, CLIP, LAST = (0.9, 0.95), 1e-8, 0.1, 1.0, 0.1  # LAST: of the peak rate
SAVED = (0, 10, 20, 50, 100, 150, *range(200, 1000, 100), *range(1000, 2001, 200))
EVERY = 50  # steps between two lines of the log
JUDGED = 128  # held-out blocks of `held_out`; chosen


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (
            nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(4)
        )

    def forward(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        query, key, value = (
            layer(x).view(batch, length, HEADS, -1).transpose(1, 2)
            for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        mixed = scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, length, WIDTH))


class MLP(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up_proj = nn.Linear(WIDTH, 4 * WIDTH, bias=False)
        self.down_proj = nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(gelu(self.up_proj(x)))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(WIDTH, bias=False), Attention()
        self.ln_2, self.mlp = nn.LayerNorm(WIDTH, bias=False), MLP()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    """Token ids (batch, length) to logits (batch, length, vocabulary); the embedding is tied.

    Weights normal of 0.02, as GPT-2's; by √(2 layers) smaller where they write to the stream.
    """

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, WIDTH), nn.Embedding(BLOCK, WIDTH)
        self.h = nn.ModuleList(Block() for _ in range(LAYERS))
        self.ln_f = nn.LayerNorm(WIDTH, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                last = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(parameter, std=0.02 / (math.sqrt(2 * LAYERS) if last else 1.0))

    def forward(self, ids: Tensor) -> Tensor:
        x = self.wte(ids) + self.wpe.weight[: ids.shape[1]]
        for block in self.h:
            x = block(x)
        return self.ln_f(x) @ self.wte.weight.T


def texts(path: Path = TEXT) -> tuple[Tensor, Tensor, int]:
    """Token ids of the first nine tenths and of the last, one a character; the vocabulary."""
    text = path.read_text(encoding="utf-8")
    number = {character: i for i, character in enumerate(sorted(set(text)))}
    ids = torch.tensor([number[character] for character in text])
    cut = 9 * len(ids) // 10
    return ids[:cut], ids[cut:], len(number)


def blocks(ids: Tensor) -> Tensor:
    """(n, BLOCK + 1): one after another, the last token of each the first of the next."""
    return ids[: (len(ids) - 1) // BLOCK * BLOCK + 1].unfold(0, BLOCK + 1, BLOCK)


def mean_loss(model: nn.Module, block: Tensor) -> Tensor:
    """Of each character but the first, from those before it."""
    logits = model(block[:, :-1])
    return cross_entropy(logits.flatten(0, 1), block[:, 1:].flatten())


@torch.no_grad()
def validation(model: nn.Module, held_out: Tensor) -> float:
    parts = held_out.split(64)
    total = sum(float(mean_loss(model, part)) * len(part) for part in parts)
    return total / len(held_out)


def rate_at(step: int, peak: float) -> float:
    """Linear warm-up, then a cosine down to a tenth."""
    if step < WARM_UP:
        return peak * (step + 1) / WARM_UP
    done = (step - WARM_UP) / (STEPS - WARM_UP)
    return peak * (LAST + (1 - LAST) * (1 + math.cos(math.pi * done)) / 2)


def groups_of(model: nn.Module) -> list[dict[str, object]]:
    """Named parameters; weight decay for matrices only."""
    named = list(model.named_parameters())
    return [
        {"params": [(n, p) for n, p in named if p.ndim > 1], "weight_decay": DECAY},
        {"params": [(n, p) for n, p in named if p.ndim < 2], "weight_decay": 0.0},
    ]


@dataclass(frozen=True)
class Job:
    """One training. forms: of the second moments, by label; None is torch's AdamW."""

    folder: Path
    peak: float
    seed: int
    text: Path
    forms: dict[str, str] | None = None
    save: bool = False

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        groups = groups_of(model)
        if self.forms is None:
            return torch.optim.AdamW(groups, lr=self.peak, betas=BETAS, eps=EPS)
        return SlimAdamW(groups, self.forms, lr=self.peak, betas=BETAS, eps=EPS)


@dataclass(frozen=True)
class Trained:
    """validation: loss on all held-out blocks at the end. curve: step → loss on 64 of them.

    seconds: of a step, median. state: bytes of the optimizer's.
    """

    validation: float
    curve: dict[str, float]
    seconds: float
    state: int


def train(job: Job) -> Trained:
    """A run from the start; its result is in the folder, and read from there if it is done."""
    torch.set_num_threads(1)
    folder, done = job.folder, job.folder / "result.json"
    if done.is_file():
        return Trained(**json.loads(done.read_text()))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "log.jsonl").unlink(missing_ok=True)
    ids, held_out, vocabulary = texts(job.text)
    held_out = blocks(held_out)
    torch.manual_seed(job.seed)
    model = GPT(vocabulary)
    optimizer = job.optimizer(model)
    order, seconds, curve = torch.Generator().manual_seed(job.seed), [], {}
    for step in range(STEPS + 1):
        rate = rate_at(step, job.peak)
        if job.save and step in SAVED:
            _save(folder / f"step-{step:05d}.pt", model, optimizer, step)
        if step % EVERY == 0:
            curve[str(step)] = validation(model, held_out[:64])
        if step == STEPS:
            break
        began = perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = rate
        starts = torch.randint(len(ids) - BLOCK, (BATCH,), generator=order)
        loss = mean_loss(model, torch.stack([ids[i : i + BLOCK + 1] for i in starts]))
        optimizer.zero_grad()
        loss.backward()
        norm = float(nn.utils.clip_grad_norm_(model.parameters(), CLIP))
        optimizer.step()
        seconds.append(perf_counter() - began)
        if step % EVERY == 0:
            line = {"step": step, "train/loss": loss.item(), "val/loss": curve[str(step)]}
            _log(folder, line | {"lr": rate, "grad_norm": norm})
    median = float(torch.tensor(seconds).median())
    found = Trained(validation(model, held_out), curve, median, state_bytes(optimizer))
    done.write_text(json.dumps(vars(found)))
    return found


def _save(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
    torch.save(state, path)


def _log(folder: Path, line: dict[str, float]) -> None:
    with (folder / "log.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def problem(text: Path = TEXT, part: str = "training") -> Problem:
    """The loss of the run on the blocks of the text that it trains on."""
    training, held_out, vocabulary = texts(text)
    chosen = blocks(training) if part == "training" else blocks(held_out)[:JUDGED]
    return Problem(
        model=GPT(vocabulary),
        batches=list(chosen.split(BATCH)),
        forward=lambda model, batch: model(batch[:, :-1]),
        loss=lambda logits, batch: cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten()),
        weight=lambda batch: float(batch[:, 1:].numel()),
        source=f"the {part} part of the text",
    )


def held_out() -> Problem:
    """Blocks of the last tenth of the text, which no run trains on."""
    return problem(part="held-out")
