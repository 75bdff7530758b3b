"""A GPT of 124 million parameters on a GPU: one product, time outside products, memory, precision.

    python docs/benchmarks/curvature_124m.py [--device cuda] [--sequences 4] [--length 512]
    python docs/benchmarks/curvature_124m.py --small        a tiny one, on the CPU: does it run?

The network has the shape of GPT-2 small (12 layers, width 768, 12 heads, 50257 tokens, tied
embedding, attention by hand) in plain torch, with random weights, and the loss is on random tokens.
The largest Hessian eigenvalue to 1e-3 in float32 and in float64, each with a fresh Problem. Times
are wall time with the device waited for; memory is the allocator's peak beyond the model (the
kernel's, on the CPU). Writes docs/benchmarks/curvature_124m.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from curvature_models import GPT, Task
from curvature_pages import made_by, table, verdict
from curvature_tools import resident, rest, snapshot_at
from torch import nn

from dyntools import Engine, measure

SHAPE = {"vocabulary": 50257, "width": 768, "layers": 12, "heads": 12}
SMALL = {"vocabulary": 500, "width": 64, "layers": 2, "heads": 4}
RTOL = 1e-3
GOAL = 0.05  # share of time outside products
MIB = 2**20


def random_task(options: Any, device: torch.device) -> Task:
    generator = torch.Generator().manual_seed(0)
    shape = SMALL if options.small else SHAPE
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = GPT(**shape, context=options.length)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            nn.init.normal_(parameter, std=0.02, generator=generator)
    model.head.weight = model.tokens.weight
    size = (options.sequences, options.length + 1)
    tokens = torch.randint(shape["vocabulary"], size, generator=generator).to(device)
    inputs, targets = tokens[:, :-1].contiguous(), tokens[:, 1:].flatten()
    return Task(model.to(device).eval(), inputs, targets)


def run(task: Task, dtype: torch.dtype, k: int, gradient: float) -> dict[str, Any]:
    """The k largest eigenvalues, and what they cost."""
    device = task.inputs.device
    resting, seconds = start(device), []
    begun = now(device)
    risk = (snapshot := snapshot_at(task, Engine(dtype=dtype))).risk()
    set_up = now(device) - begun
    product = risk.product

    def watched(*given: Any, **named: Any) -> torch.Tensor:
        started = now(device)
        result = product(*given, **named)
        seconds.append(now(device) - started)
        return result

    risk.product = watched  # type: ignore[method-assign]
    found = measure(snapshot, "hessian_top", k=k, rtol=RTOL)
    wall = now(device) - begun
    one = median(seconds)
    return {
        "values": found.values.ravel().tolist(),
        "products": len(seconds),
        "wall": wall,
        "set_up": set_up,
        "product": one,
        "gradients": one / gradient,
        "outside": 1 - sum(seconds) / wall,
        "solver": 1 - sum(seconds) / (wall - set_up),
        "peak": peak(device) - resting,
        "graphs": f"{len(risk.pieces.kept)} of {len(risk.pieces.mine)}",
    }


def now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def start(device: torch.device) -> float:
    """MiB in use; the peak is counted from here."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device) / MIB
    return rest()


def peak(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MIB
    return resident("VmHWM")


def seconds_of(compute: Callable[[], object], device: torch.device) -> float:
    started = now(device)
    compute()
    return now(device) - started


HEADS = (
    "dtype | k | products | product ms | in gradients (float32) | wall s | set-up s | outside"
    " | outside, set-up not counted | peak MiB | graphs kept | largest eigenvalue"
)


def row(dtype: torch.dtype, k: int, found: dict[str, Any]) -> tuple[object, ...]:
    times = (f"{1e3 * found['product']:.1f}", f"{found['gradients']:.2f}")
    walls = (f"{found['wall']:.2f}", f"{found['set_up']:.2f}")
    shares = (f"{found['outside']:.1%}", f"{found['solver']:.1%}")
    memory = (f"{found['peak']:.0f}", found["graphs"], f"{found['values'][0]:.8g}")
    return str(dtype).removeprefix("torch."), k, found["products"], *times, *walls, *shares, *memory


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--sequences", type=int, default=4)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--k", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--small", action="store_true", help="a tiny model; only printed")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    options = parser.parse_args()
    if options.small:
        options.device, options.length = "cpu", min(options.length, 32)
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("There is no GPU that torch can use here. --small runs a tiny model on the CPU.")
    torch.set_num_threads(options.threads)
    task = random_task(options, device)
    run(task, torch.float32, 1, 1.0)  # what is imported and compiled late is not timed

    def gradient() -> object:
        return torch.autograd.grad(task.loss(), task.parameters())

    one = median(seconds_of(gradient, device) for _ in range(5))
    settings = [(dtype, k) for dtype in (torch.float32, torch.float64) for k in options.k]
    found = {(dtype, k): run(task, dtype, k, one) for dtype, k in settings}
    first = options.k[0]
    single, double = (found[d, first]["values"][0] for d in (torch.float32, torch.float64))
    shares = {f"top-{k}": found[torch.float32, k]["outside"] for k in options.k}
    solver = {f"top-{k}": found[torch.float32, k]["solver"] for k in options.k}
    goals = [
        ("time outside products, float32", *verdict(shares, GOAL)),
        ("the same, set-up not counted", *verdict(solver, GOAL)),
        ("float32 to float64, relative", *verdict({"top-1": abs(single / double - 1)}, RTOL)),
    ]
    size = sum(p.numel() for p in task.parameters())
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    text = (
        f"# A GPT of 124 million parameters on a GPU\n\n{made_by(options)}\n{name}; {size:,}"
        f" parameters, {options.sequences} x {options.length} tokens; one gradient"
        f" {1e3 * one:.1f} ms.\n\n## Goals\n{table('what | limit | measured | met', goals)}"
        f"\n## Runs\n{table(HEADS, (row(*at, each) for at, each in found.items()))}"
    )
    if not options.small:
        options.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
