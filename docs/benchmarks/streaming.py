"""Benchmark `streaming`: is peak memory flat in the number of checkpoints, and bounded?

    python docs/benchmarks/streaming.py [--checkpoints 50] [--folder DIR]

Writes checkpoints of a 100M-parameter model (12 GPT-2-size blocks and an embedding), as safetensors
and as torch zip files, one format after the other (20 GB each at 50 checkpoints, removed
afterwards), measures the weight metrics that need most memory on 5 and on all of them in a process
of its own, and compares the growth of peak resident memory over that of an analysis of a tiny model
with the promise:

    twice the largest tensor + its Gram matrix (k² · 8 bytes) + the row blocks (80 MiB allowed)

The table goes to docs/benchmarks/streaming.md.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import save_file

WIDTH, BLOCKS, VOCABULARY = 768, 12, 19_700
BLOCK_ALLOWANCE = 80 * 2**20  # row blocks, copies while reading, work space of BLAS, headers
TABLE = Path(__file__).with_suffix(".md")
# Those that need most at once: two tensors (start or neighbour), a Gram matrix, a whole spectrum.
METRICS = ("weight_norm", "layer_rotation", "relative_update", "effective_rank", "sparsity")

MEASURE = """
import json, sys, time
from pathlib import Path
import torch
from dyntools import analyze, make_plan, open_run
run, output, count, mmap = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "mmap"
opened = open_run(run, mmap=mmap)
plan = make_plan(opened, sys.argv[5].split())
started = time.perf_counter()
analyze(opened, plan, output, steps=opened.steps[:count], device=torch.device("cpu"))
seconds = time.perf_counter() - started
status = Path("/proc/self/status").read_text()  # ru_maxrss would count the parent's memory too
peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
print(json.dumps([peak, seconds]))
"""


def shapes() -> dict[str, tuple[int, ...]]:
    """About 100 million parameters."""
    found: dict[str, tuple[int, ...]] = {"embedding.weight": (VOCABULARY, WIDTH)}
    for i in range(BLOCKS):
        for name in ("query", "key", "value", "out"):
            found[f"blocks.{i}.{name}.weight"] = (WIDTH, WIDTH)
        found[f"blocks.{i}.up.weight"] = (4 * WIDTH, WIDTH)
        found[f"blocks.{i}.down.weight"] = (WIDTH, 4 * WIDTH)
        found[f"blocks.{i}.norm.weight"] = (WIDTH,)
    return found


def weights(step: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(step)
    return {n: torch.randn(s, generator=generator).mul_(0.02) for n, s in shapes().items()}


def write_series(folder: Path, form: str, count: int) -> None:
    for step in range(count):
        if form == "safetensors":
            save_file(weights(step), folder / f"model-step-{step}.safetensors")
        else:
            torch.save({"model": weights(step), "step": step}, folder / f"step-{step}.pt")


def tiny_run(folder: Path) -> Path:
    """A run that makes the libraries load and allocate all they need, but holds next to nothing."""
    place = Path(tempfile.mkdtemp(dir=folder))
    for step in range(3):
        torch.save(
            {"model": {"0.weight": torch.randn(256, 256)}, "step": step}, place / f"{step}.pt"
        )
    return place


def measured(folder: Path, count: int, reading: str) -> tuple[int, float]:
    """Peak resident bytes and seconds of one analysis in a fresh process."""
    output = folder / f"report-{count}-{reading}.h5"
    command = [sys.executable, "-c", MEASURE, str(folder), str(output), str(count), reading]
    command.append(" ".join(METRICS))
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    peak, seconds = json.loads(printed.splitlines()[-1])
    return int(peak), float(seconds)


def rows(folder: Path, count: int) -> Iterator[tuple[str, str, int, int, float]]:
    for form in ("safetensors", "torch zip"):
        with tempfile.TemporaryDirectory(dir=folder) as place:
            write_series(Path(place), form, count)
            idle, _ = measured(tiny_run(folder), 3, "mmap")
            for reading, some in (("mmap", 5), ("mmap", count), ("no-mmap", 5)):
                peak, seconds = measured(Path(place), some, reading)
                yield form, reading, some, peak - idle, seconds
                print(form, reading, some, f"{(peak - idle) / 2**20:.0f} MiB", f"{seconds:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoints", type=int, default=50)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    size = sum(torch.Size(shape).numel() for shape in shapes().values())
    largest = VOCABULARY * WIDTH * 4
    bound = 2 * largest + WIDTH**2 * 8 + BLOCK_ALLOWANCE
    lines = [
        "# Streaming: memory against the number of checkpoints",
        "",
        f"A model of {size / 1e6:.0f}M float32 parameters ({size / 2**18:.0f} MiB a checkpoint),"
        f" largest tensor {largest / 2**20:.0f} MiB, measured with {', '.join(METRICS)}. Growth is"
        " peak resident memory over that of the same analysis of a single 256×256 matrix.",
        "",
        f"Promised: at most {bound / 2**20:.0f} MiB (twice the largest tensor, its Gram matrix,"
        f" {BLOCK_ALLOWANCE / 2**20:.0f} MiB of work space) whatever the number of checkpoints.",
        "",
        "| format | reading | checkpoints | growth, MiB | within the promise | s per checkpoint |",
        "| --- | --- | ---: | ---: | --- | ---: |",
    ]
    for form, reading, count, growth, seconds in rows(options.folder, options.checkpoints):
        verdict = "yes" if growth <= bound else "**no**"
        lines.append(
            f"| {form} | {reading} | {count} | {growth / 2**20:.0f} | {verdict}"
            f" | {seconds / count:.1f} |"
        )
    lines += [
        "",
        f"Made by `python docs/benchmarks/streaming.py --checkpoints {options.checkpoints}` on"
        f" {time.strftime('%Y-%m-%d')}: Python {platform.python_version()}, torch"
        f" {version('torch')}, 2 shared CPU cores.",
    ]
    TABLE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
