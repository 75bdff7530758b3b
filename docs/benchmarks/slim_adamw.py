"""SlimAdamW against torch's foreach AdamW: the time of a step, its memory. Run: python FILE

Parameters have the shapes of a model and gradients are drawn once: a step costs the same whatever
the numbers are. AdamW and SlimAdamW take turns on the same parameters and gradients; the medians
are of their times, the ratio is the median of the ratios round by round. Temporary memory is the
peak of the resident memory during a step above what was resident before it, in a process of its
own whose allocator gives every block back to the system.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import Tensor

from dyntools.forms import FULL, Form, form_of, in_blocks
from dyntools.optim import SlimAdamW

MODELS = {"GPT-2 small": (12, 768, 50257, 1024), "small GPT": (4, 128, 65, 128)}
PLANS = ("slimadam", "most-memory", "adam-mini", "factored", "full")
# Where SlimAdam's authors average: their fixed rules, 2503.01843, definitions in torch layout.
SLIMADAM = {
    **dict.fromkeys(("q", "k", "wte", "wpe"), "axes 1"),
    **dict.fromkeys(("v", "o", "up", "down"), "axes 0"),
}


def shapes_of(model: str) -> dict[str, tuple[int, ...]]:
    """Parameters of a GPT-2 with tied embeddings and separate query, key and value."""
    layers, width, vocabulary, positions = MODELS[model]
    shapes: dict[str, tuple[int, ...]] = {
        "wte.weight": (vocabulary, width),
        "wpe.weight": (positions, width),
    }
    for layer in range(layers):
        for name in ("ln_1", "ln_2"):
            shapes |= {f"h.{layer}.{name}.{part}": (width,) for part in ("weight", "bias")}
        for name in ("q", "k", "v", "o"):
            shapes |= {f"h.{layer}.{name}.weight": (width, width)}
            shapes |= {f"h.{layer}.{name}.bias": (width,)}
        shapes |= {f"h.{layer}.up.weight": (4 * width, width), f"h.{layer}.up.bias": (4 * width,)}
        shapes |= {f"h.{layer}.down.weight": (width, 4 * width), f"h.{layer}.down.bias": (width,)}
    return shapes | {"ln_f.weight": (width,), "ln_f.bias": (width,)}


def forms_of(plan: str, shapes: dict[str, tuple[int, ...]]) -> dict[str, Form]:
    """The form of every matrix; vectors stay in full."""
    forms = {}
    for name, shape in shapes.items():
        kind = name.split(".")[-2]
        if len(shape) < 2 or plan == "full":
            forms[name] = FULL
        elif plan == "slimadam":
            forms[name] = form_of(SLIMADAM[kind])
        elif plan == "adam-mini":
            forms[name] = in_blocks(shape[0] // 64 if kind in ("q", "k") else shape[0])
        else:
            forms[name] = form_of("factored" if plan == "factored" else "axes 0,1")
    return forms


def parameters(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Weights of size 0.02 and gradients of size 1e-3, from one seed."""
    generator = torch.Generator().manual_seed(0)
    drawn: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        drawn[name] = torch.nn.Parameter(torch.randn(shape, generator=generator).mul_(0.02))
        drawn[name].grad = torch.randn(shape, generator=generator).mul_(1e-3)
    return drawn


def optimizer_of(plan: str, named: dict[str, Tensor]) -> torch.optim.Optimizer:
    """`AdamW` is torch's."""
    if plan == "AdamW":
        return torch.optim.AdamW(named.items(), lr=1e-4, foreach=True)
    shapes = {name: tuple(tensor.shape) for name, tensor in named.items()}
    return SlimAdamW(named.items(), forms_of(plan, shapes), lr=1e-4)


def seconds(optimizer: torch.optim.Optimizer, steps: int) -> float:
    """Of one step, the mean of `steps`."""
    start = time.perf_counter()
    for _ in range(steps):
        optimizer.step()
    return (time.perf_counter() - start) / steps


def timed(model: str, plan: str, rounds: int) -> str:
    """Milliseconds of AdamW and of the plan, and their ratio with its quartiles."""
    named = parameters(shapes_of(model))
    ours, theirs = optimizer_of(plan, named), optimizer_of("AdamW", named)
    steps = 1 if model == "GPT-2 small" else 20
    pairs = []
    for index in range(rounds + 2):
        # Who goes first alternates, so that neither always meets the other's caches.
        first, second = (theirs, ours) if index % 2 else (ours, theirs)
        a, b = seconds(first, steps), seconds(second, steps)
        pairs.append((a, b) if index % 2 else (b, a))
    adamw, slim = zip(*pairs[2:], strict=True)
    ratios = sorted(b / a for a, b in pairs[2:])
    low, middle, high = statistics.quantiles(ratios, n=4)
    both = f"{1e3 * statistics.median(adamw):.2f} | {1e3 * statistics.median(slim):.2f}"
    return f"{both} | {middle:.2f} ({low:.2f} to {high:.2f})"


def memory(model: str, plan: str) -> tuple[int, int, int]:
    """Bytes: of the second moments, of the whole state, and temporary in a step."""
    named = parameters(shapes_of(model))
    optimizer = optimizer_of(plan, named)
    optimizer.step()
    kept = [
        (key, value.numel() * value.element_size())
        for state in optimizer.state.values()
        for key, value in state.items()
    ]
    second = sum(size for key, size in kept if key.startswith("exp_avg_sq"))
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    optimizer.step()
    return second, sum(size for _, size in kept), max(0, _status("VmHWM") - before)


def _status(key: str) -> int:
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(key))
    return int(line.split()[1]) * 1024


def child(*arguments: str, threads: int = 1) -> str:
    """One measurement in a process of its own."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "MALLOC_TRIM_THRESHOLD_": "0" if arguments[0] == "memory" else "134217728",
        "MALLOC_MMAP_THRESHOLD_": "65536" if arguments[0] == "memory" else "33554432",
    }
    command = [sys.executable, __file__, *arguments]
    return subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True
    ).stdout.strip()


def tables(models: list[str], rounds: int, threads: list[int]) -> None:
    """The tables of slim_adamw.md."""
    for model in models:
        shapes = shapes_of(model)
        count = sum(torch.Size(shape).numel() for shape in shapes.values())
        print(f"\n{model}, {count:,} parameters\n")
        print("| plan | threads | AdamW, ms | SlimAdamW, ms | ratio (quartiles) |")
        print("|---|---|---|---|---|")
        for plan in PLANS:
            for number in threads:
                row = child("time", model, plan, str(rounds), threads=number)
                print(f"| {plan} | {number} | {row} |", flush=True)
        print("\n| plan | predicted, bytes | second moment, bytes | saved | state, MB | step, MB |")
        print("|---|---|---|---|---|---|")
        for plan in ("AdamW", *PLANS):
            forms = forms_of("full" if plan == "AdamW" else plan, shapes)
            predicted = sum(forms[name].bytes(shape) for name, shape in shapes.items())
            second, state, peak = map(int, child("memory", model, plan).split())
            saved = f"{100 * (1 - second / (4 * count)):.2f} %"
            sizes = f"{state / 1e6:.2f} | {peak / 1e6:.1f}"
            print(f"| {plan} | {predicted:,} | {second:,} | {saved} | {sizes} |", flush=True)


def main() -> None:
    if len(sys.argv) > 1 and sys.argv[1] == "time":
        print(timed(sys.argv[2], sys.argv[3], int(sys.argv[4])))
    elif len(sys.argv) > 1 and sys.argv[1] == "memory":
        print(*memory(sys.argv[2], sys.argv[3]))
    else:
        parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
        parser.add_argument("--rounds", type=int, default=20)
        parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
        parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
        options = parser.parse_args()
        tables(options.models, options.rounds, options.threads)


if __name__ == "__main__":
    main()
