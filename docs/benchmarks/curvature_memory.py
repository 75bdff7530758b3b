"""Whether `--memory` and `--basis-memory` are kept, on a model of 25 million parameters.

    python docs/benchmarks/curvature_memory.py [--work FOLDER] [--quick]

A GPT of 8 layers and width 512 (25.6M parameters, 98 MiB a vector) after six steps of Adam, on
eight sequences of 64 tokens of a Markov chain; its three largest Hessian eigenvalues to 1e-2. Every
row is a process of its own, warmed up on a network of two layers. Peak is the resident memory
beyond the loaded model (VmHWM, from the kernel), of the checks that come first (two examples in
float64) and of all that follows. Allowed are both limits and what no limit covers: VECTORS of the
length of the parameters, that pass between the solver and the products.

Goals: peaks within 1.1 times what is allowed, and the same eigenvalues as without limits. Writes
docs/benchmarks/curvature_memory.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from curvature_models import GPT, Task, markov_chain
from curvature_pages import made_by, table, verdict
from curvature_tools import Watch, dyntools, forget_peak, resident, rest, snapshot_at, two_layers
from torch import nn
from torch.nn import functional as F

K, RTOL = 3, 1e-2
MIB = 2**20
VECTORS = 4  # the parameters once more, flat; a product; the next vector; one of scratch
SHAPE = {"vocabulary": 256, "width": 512, "layers": 8, "heads": 8, "context": 64}
SMALL = SHAPE | {"width": 128, "layers": 2}
Limits = tuple[int | None, int | None]  # MiB for graphs, MiB for the basis
# Three pairs need at least 10 vectors of 98 MiB, and take 17 without a limit.
LIMITS: tuple[Limits, ...] = ((None, None), (1000, 1300), (500, 1000), (350, 1000))
QUICK: tuple[Limits, ...] = ((None, None), (24, 20), (16, 20))
OFF = 2 * RTOL  # two runs, each within the tolerance of the truth


def task(folder: Path, shape: dict[str, int]) -> Task:
    """The model, trained and kept the first time."""
    generator = torch.Generator().manual_seed(0)
    inputs, targets = markov_chain(8, shape["context"], shape["vocabulary"], generator)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = GPT(**shape)
        for parameter in model.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02)
    file = folder / f"memory-{shape['width']}-{shape['context']}.pt"
    if not file.exists():
        optimizer = torch.optim.Adam(model.parameters(), 1e-3)
        for _ in range(6):
            optimizer.zero_grad()
            F.cross_entropy(model(inputs), targets.flatten()).backward()
            optimizer.step()
        optimizer.zero_grad()
        torch.save(model.state_dict(), file)
    model.load_state_dict(torch.load(file))
    return Task(model.eval(), inputs, targets.flatten())


# In a process of its own -------------------------------------------------------------------------


def work(folder: Path, shape: dict[str, int], limits: Limits) -> dict[str, Any]:
    from dyntools import Engine, measure

    dyntools(two_layers(), Watch(), 1, RTOL)
    loaded = task(folder, shape)
    F.cross_entropy(loaded.model(loaded.inputs), loaded.targets).backward()
    loaded.model.zero_grad()
    resting = rest()
    memory, basis = (None if limit is None else limit * MIB for limit in limits)
    started = time.process_time()
    snapshot = snapshot_at(loaded, Engine(memory=memory, basis_memory=basis))
    risk = snapshot.risk()
    checks = resident("VmHWM") - resting
    forget_peak()
    found = measure(snapshot, "hessian_top", k=K, rtol=RTOL)
    return {
        "values": found.values.ravel().tolist(),
        "products": risk.products,
        "cpu": time.process_time() - started,
        "checks": checks,
        "peak": resident("VmHWM") - resting,
        "graphs": f"{len(risk.pieces.kept)} of {len(risk.pieces.mine)}",
    }


def ask(folder: Path, limits: Limits, options: Any) -> dict[str, Any]:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, str(options.threads))}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    command = [sys.executable, __file__, "--work", str(folder), "--run", json.dumps(limits)]
    command += ["--threads", str(options.threads), *(["--quick"] if options.quick else [])]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=True)
    found: dict[str, Any] = json.loads(ended.stdout)
    print(limits, found, file=sys.stderr)
    return found


# The page ----------------------------------------------------------------------------------------

HEADS = (
    "memory MiB | basis MiB | peak of the checks | peak afterwards | allowed MiB"
    " | peak/allowed | graphs kept | products | CPU s | eigenvalues | off"
)


def rows(found: dict[Limits, dict[str, Any]], vector: float) -> Iterator[tuple[object, ...]]:
    for limits, run in found.items():
        most = allowed(limits, vector)
        within = f"{run['peak'] / most:.2f}" if most else ""
        told = [limit or "none" for limit in limits]
        values = " ".join(f"{value:.5g}" for value in run["values"])
        costs = (run["graphs"], run["products"], f"{run['cpu']:.0f}", values)
        peak = (f"{run['checks']:.0f}", f"{run['peak']:.0f}", f"{most:.0f}" if most else "", within)
        yield *told, *peak, *costs, f"{off(found, run):.0e}"


def allowed(limits: Limits, vector: float) -> float:
    """MiB; 0 where a limit is missing."""
    memory, basis = limits
    return memory + basis + VECTORS * vector if memory and basis else 0.0


def off(found: dict[Limits, dict[str, Any]], run: dict[str, Any]) -> float:
    """The largest relative difference of a value to the run without limits."""
    pairs = zip(run["values"], found[None, None]["values"], strict=True)
    return max(abs(value - free) / abs(free) for value, free in pairs)


def goals(found: dict[Limits, dict[str, Any]], vector: float) -> Iterator[tuple[object, ...]]:
    limited = {f"{limits[0]} + {limits[1]}": limits for limits in found if None not in limits}
    for key, what in (("checks", "of the checks"), ("peak", "afterwards")):
        peaks = {name: found[at][key] / allowed(at, vector) for name, at in limited.items()}
        yield f"peak/allowed {what}", *verdict(peaks, 1.1)
    apart = {name: off(found, found[at]) for name, at in limited.items()}
    yield "eigenvalues: relative difference to those without limits", *verdict(apart, OFF)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, help="folder kept for the model")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    parser.add_argument("--quick", action="store_true", help="a small model; only printed")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    shape = SMALL if options.quick else SHAPE
    if options.run:
        print(json.dumps(work(options.work, shape, tuple(json.loads(options.run)))))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.work or Path(temporary)
        size = sum(p.numel() for p in task(folder, shape).parameters())
        vector = 4 * size / MIB
        tried = QUICK if options.quick else LIMITS
        found = {limits: ask(folder, limits, options) for limits in tried}
    text = (
        f"# Memory limits\n\n{made_by(options)}\n{size:,} parameters, {vector:.0f} MiB a vector;"
        f" top-{K} to {RTOL:g}. What is compared is said at the top of the script.\n"
        f"\n## Goals\n{table('what | limit | measured | met', goals(found, vector))}"
        f"\n## Runs\n{table(HEADS, rows(found, vector))}"
    )
    if not options.quick:
        options.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
