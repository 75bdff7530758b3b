"""What following a journal of 100 MB costs: the table of docs/how-to/watch.md.

    python docs/benchmarks/watch.py

Two journals: one of measurements of many layers, one of scalars alone. Each is read in a process of
its own, whose peak of memory is told.
"""

from __future__ import annotations

import io
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console

from dyntools import findings
from dyntools.cli.following import Following
from dyntools.journal import Journal, Row
from dyntools.measurement import per_layer
from dyntools.views.live_frame import State, frame

SIZE = 100e6  # bytes
EVERY = 100  # steps between two reports
PARTS = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj", "ln_1", "ln_2")
LAYERS = [f"transformer.h.{i}.{part}.weight" for i in range(24) for part in PARTS]
METRICS = (
    *("layer_rotation", "effective_rank", "relative_update", "update_snr", "weight_norm"),
    *("spectral_norm", "trust_ratio", "epsilon_underflow", "stable_rank", "angular_update"),
)


def entry(metric: str) -> dict[str, object]:
    texts = dict.fromkeys(("unit", "what", "paper"), "")
    fixed = {"group": "weights", "version": 1, "settings": {}, "step_unit": "step"}
    return {"metric": metric, "dims": ["layer"], **texts, **fixed}


def write(path: Path, *, layers: bool) -> None:
    generator = np.random.default_rng(0)
    step = 0
    with Journal(path) as journal:
        journal.header({"run": path.stem, "step_unit": "step"}, [entry(name) for name in METRICS])
        while path.stat().st_size < SIZE:
            for _ in range(EVERY):
                step += 1
                values = {"loss": 3 + float(generator.normal()), "lr": 1e-3, "grad_norm": 1.0}
                journal.scalars(step, values)
            for name in METRICS if layers else ():
                values = dict(zip(LAYERS, generator.random(len(LAYERS)).tolist(), strict=True))
                journal.measurement(
                    Row(name, step, 0.01, per_layer(values, beside={"null": values}))
                )


def read(path: Path) -> None:
    times = [time.perf_counter()]
    following = Following(path)
    following.look()
    times.append(time.perf_counter())
    assert following.report is not None
    times.append(time.perf_counter())
    found = findings.find(following.report)
    console = Console(file=io.StringIO(), width=120, height=50)
    console.print(frame(following.report, found, State(), 50))
    times.append(time.perf_counter())
    with path.open("ab") as file:
        file.write(b'{"kind": "scalars", "step": 99999999, "time": 1.0, "values": {"loss": 1.0}}\n')
    before = time.perf_counter()
    following.look()
    again = time.perf_counter() - before
    first, report, shown = np.diff(times)
    assert following.report.log is not None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(
        f"{path.stem}: {path.stat().st_size / 1e6:.0f} MB, {len(following.report.series)} metrics;"
        f" first look {first:.1f} s, one new line {1e3 * again:.2f} ms, report {report:.1f} s,"
        f" findings and frame {shown:.2f} s, {peak:.0f} MB"
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("layers", "scalars"):
            path = Path(folder) / f"{name}.jsonl"
            write(path, layers=name == "layers")
            subprocess.run([sys.executable, __file__, str(path)], check=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        read(Path(sys.argv[1]))
    else:
        main()
