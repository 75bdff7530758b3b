"""What `dyntools check` costs beyond starting Python: the table of docs/benchmarks/check_speed.md.

    python docs/benchmarks/check_speed.py

A report of 100 checkpoints and 150 layers is judged by the default limits, against a baseline file
and against a report. Every command is a process of its own; they are run in turn, so that a busy
machine slows all alike. The processor time is that of the process and its threads.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dyntools import hdf5
from dyntools.measurement import Status
from dyntools.report import CheckpointRow, Report, Series

CHECKPOINTS, LAYERS, ROUNDS = 100, 150, 9
OF_LAYERS = (
    *("effective_rank", "stable_rank", "spectral_norm", "weight_norm", "layer_rotation"),
    *("condition_number", "participation_ratio", "sparsity", "spectral_alpha", "relative_update"),
)
TORCH_FREE = "import sys; from dyntools.cli import run; code = run(sys.argv[1:]); "
TORCH_FREE += "assert not {'torch', 'matplotlib'} & set(sys.modules); sys.exit(code)"


def series(metric: str, layers: Sequence[str], seed: int) -> Series:
    generator = np.random.default_rng(seed)
    steps = np.arange(CHECKPOINTS, dtype=np.int64) * 100
    shape = (CHECKPOINTS, len(layers)) if layers else (CHECKPOINTS,)
    values = 10 + generator.random(shape)
    return Series(
        metric=metric,
        group="weights" if layers else "curvature",
        version=1,
        unit="",
        what=metric,
        paper="",
        settings={},
        step_unit="step",
        steps=steps,
        dims=("layer",) if layers else (),
        coords={"layer": tuple(layers)} if layers else {},
        values=values,
        error=1e-6 * values,
        status=np.full(shape, Status.ok, dtype=np.int8),
        beside={"initial": values, "null": values},
        seconds=np.ones(CHECKPOINTS),
        matvecs=np.zeros(CHECKPOINTS, dtype=np.int64),
        method=("by hand",) * CHECKPOINTS,
    )


def write(path: Path, seed: int) -> None:
    layers = [f"transformer.h.{i // 6}.part{i % 6}.weight" for i in range(LAYERS)]
    found = {name: series(name, layers, 0) for name in OF_LAYERS}
    found["hessian_trace"] = series("hessian_trace", (), 0)
    rows = [CheckpointRow(f"{i}.pt", "torch", i, "", "ok", "", f"{seed}") for i in range(100)]
    hdf5.write(Report({"run": "large", "identity": f"{seed}"}, found, tuple(rows)), path)


def seconds(command: Sequence[str], folder: Path) -> tuple[float, float]:
    """Wall and processor time of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, used


def main() -> None:
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    check = [sys.executable, "-c", TORCH_FREE, "check", "now.h5", "--baseline"]
    commands = {
        "`python -c pass`": [sys.executable, "-c", "pass"],
        "`dyntools --version`": [sys.executable, "-c", TORCH_FREE, "--version"],
        "`dyntools check` against baseline.json": [*check, "baseline.json"],
        "`dyntools check` against a report": [*check, "before.h5"],
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "before.h5", 0)
        write(folder / "now.h5", 1)
        made = ["baseline", "before.h5", "-o", "baseline.json"]
        subprocess.run([sys.executable, "-m", "dyntools", *made], cwd=folder, check=True)
        sizes = [(folder / file).stat().st_size for file in ("now.h5", "baseline.json")]
        found: dict[str, list[tuple[float, float]]] = {command: [] for command in commands}
        for _ in range(ROUNDS):
            for told, command in commands.items():
                found[told].append(seconds(command, folder))
    start = [statistics.median(column) for column in zip(*next(iter(found.values())), strict=True)]
    print(f"Report {sizes[0] / 1e6:.1f} MB, baseline {sizes[1] / 1e6:.2f} MB.\n")
    columns = (
        "command",
        "wall, s",
        "beyond Python, s",
        "processor, s",
        "beyond Python, s",
        "ratio",
    )
    print(f"| {' | '.join(columns)} |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for told, times in found.items():
        wall, used = (statistics.median(column) for column in zip(*times, strict=True))
        beyond = f"{wall - start[0]:.2f} | {used:.2f} | {used - start[1]:.2f}"
        print(f"| {told} | {wall:.2f} | {beyond} | {wall / start[0]:.0f} |")


if __name__ == "__main__":
    main()
