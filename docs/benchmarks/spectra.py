"""Time and memory of weight spectra: dyntools, the bare arithmetic, and other tools.

    python docs/benchmarks/spectra.py [--peers PYTHON] [--threads 1 2] [--rounds 5]

Layers: five GPT-2-size blocks (30 matrices: 4 of 768x768, 3072x768, 768x3072 each), fresh ("gauss":
N(0, 0.02)) and heavy-tailed ("trained": three spikes over an i^-1/2 tail), and an embedding of
50257x768. Every tool runs in a process of its own; the tools take turns, so that a noisy machine
disturbs all alike. Given is the median over rounds; ratios are medians of the ratios of single
rounds. Writes docs/benchmarks/spectra.md.

--peers: a Python that can import weightwatcher, torch, numpy and scipy; it is no dependency.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[2]
BLOCK = {"q": (768, 768), "k": (768, 768), "v": (768, 768), "o": (768, 768)}
BLOCK |= {"up": (3072, 768), "down": (768, 3072)}
LAYERS = {f"h{i}_{name}": shape for i in range(5) for name, shape in BLOCK.items()}
CASES = {
    "30 layers, gauss": ("gauss", LAYERS),
    "30 layers, trained": ("trained", LAYERS),
    "embedding, gauss": ("gauss", {"embed": (50257, 768)}),
    "embedding, trained": ("trained", {"embed": (50257, 768)}),
}
SPECTRA = {
    "bare NumPy Gram": "gram",
    "dyntools, spectra": "dyntools",
    "dyntools, spectra and 6 metrics": "metrics",
    "torch svdvals, as stored": "svdvals",
    "weightwatcher analyze()": "weightwatcher",
}
TOP = {"SciPy svds (ARPACK)": "arpack", "dyntools, Lanczos": "lanczos"}
METRICS = (
    *("spectral_norm", "effective_rank", "stable_rank", "participation_ratio"),
    *("condition_number", "spectral_alpha"),
)


# What runs in a process of its own ---------------------------------------------------------------


def work(tool: str, file: str) -> None:
    """Runs the tool once for each line on standard input."""
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    once = WORKERS[tool](torch.load(file))
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            count = once()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        extra = _resident("VmHWM") - before
        print(json.dumps({"cpu": cpu, "wall": wall, "count": count, "extra": extra}), flush=True)


def _resident(key: str) -> float:
    """Megabytes, from the kernel."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    raise LookupError(key)


Weights = Mapping[str, Any]
Once = Callable[[], int]  # one run; how many matrices it has an answer for


def gram(weights: Weights) -> Once:
    import numpy as np

    def top(w: Any) -> float:
        short = (w if w.shape[0] <= w.shape[1] else w.mT).numpy().astype(np.float64)
        return float(np.linalg.eigvalsh(short @ short.T)[-1])

    return lambda: sum(top(w) > 0 for w in weights.values())


def dyntools(weights: Weights) -> Once:
    from dyntools.snapshot import Snapshot, Tensors

    def once() -> int:
        snapshot = Snapshot(0, Tensors.of(weights))
        return sum(bool(snapshot.spectrum(m).values[-1] > 0) for m in snapshot.matrices())

    return once


def metrics(weights: Weights) -> Once:
    from dyntools.metrics import find
    from dyntools.snapshot import Snapshot, Tensors

    def once() -> int:
        snapshot = Snapshot(0, Tensors.of(weights))
        found = [find(name).measure(snapshot) for name in METRICS]
        return min(int((m.values > 0).sum()) for m in found)

    return once


def svdvals(weights: Weights) -> Once:
    import torch

    return lambda: sum(bool(torch.linalg.svdvals(w)[0] > 0) for w in weights.values())


def weightwatcher(weights: Weights) -> Once:
    import logging

    import torch

    warnings.filterwarnings("ignore")
    with contextlib.redirect_stdout(io.StringIO()):
        import weightwatcher as ww  # type: ignore[import-not-found]

    logging.getLogger("weightwatcher").setLevel(logging.CRITICAL)
    model = torch.nn.Module()
    for name, w in weights.items():
        layer = torch.nn.Linear(w.shape[1], w.shape[0], bias=False, device="meta")
        layer.weight = torch.nn.Parameter(w)
        setattr(model, name, layer)
    # At its own max_N of 50000 it leaves the embedding out.
    return lambda: len(ww.WeightWatcher(model=model).analyze(max_N=60000))


def arpack(weights: Weights) -> Once:
    from scipy.sparse.linalg import svds

    def top(w: Any) -> float:
        return float(svds(w.numpy(), k=1, return_singular_vectors=False, random_state=0)[0])

    return lambda: sum(top(w) > 0 for w in weights.values())


def lanczos(weights: Weights) -> Once:
    from dyntools.linalg.top_singular_value import top_singular_value

    return lambda: sum(top_singular_value(w).converged for w in weights.values())


WORKERS: dict[str, Callable[[Weights], Once]] = {
    tool.__name__: tool
    for tool in (gram, dyntools, metrics, svdvals, weightwatcher, arpack, lanczos)
}


# What the parent does ----------------------------------------------------------------------------


class Process:
    """A tool waiting in a process of its own."""

    def __init__(self, python: str, tool: str, file: Path, threads: int) -> None:
        variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        environment = {**os.environ, **dict.fromkeys(variables, str(threads))}
        environment["PYTHONPATH"] = str(ROOT)
        self._process = subprocess.Popen(
            [python, __file__, "--work", tool, str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def run(self) -> dict[str, float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print("go", file=self._process.stdin, flush=True)
        return dict(json.loads(self._process.stdout.readline()))

    def end(self) -> None:
        self._process.communicate()


def write_weights(kind: str, shapes: Mapping[str, tuple[int, int]], file: Path) -> None:
    """Matrices of the kind, float32, from one seed each."""
    import torch

    weights = {}
    for seed, (name, shape) in enumerate(shapes.items()):
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(shape, generator=generator)
        if kind == "trained":
            k = min(shape)
            s = 6.0 * (torch.arange(k, dtype=torch.float64) + 5.0) ** -0.5
            s[:3] = torch.tensor([25.0, 14.0, 9.0], dtype=torch.float64)
            left = torch.linalg.qr(noise.double() if shape[0] >= shape[1] else noise.double().mT)[0]
            other = torch.randn((k, k), generator=generator, dtype=torch.float64)
            built = ((left * s) @ torch.linalg.qr(other)[0]).float()
            weights[name] = built if shape[0] >= shape[1] else built.mT.contiguous()
        else:
            weights[name] = 0.02 * noise
    torch.save(weights, file)


def compare(
    tools: Mapping[str, str], pythons: Mapping[str, str], file: Path, threads: int, rounds: int
) -> Iterator[tuple[str, dict[str, float], float, float]]:
    """(tool, medians, ratio of CPU time to the first tool, ratio of wall time), in turns."""
    processes = {
        label: Process(pythons.get(tool, sys.executable), tool, file, threads)
        for label, tool in tools.items()
    }
    runs: dict[str, list[dict[str, float]]] = {label: [] for label in tools}
    for i in range(rounds + 1):
        for label, process in processes.items():
            result = process.run()
            if i:  # the first is for warming up: imports, page faults, thread pools
                runs[label].append(result)
    for process in processes.values():
        process.end()
    first = runs[next(iter(tools))]
    for label, found in runs.items():
        medians = {key: median(run[key] for run in found) for key in found[0]}
        pairs = list(zip(found, first, strict=True))
        cpu, wall = (median(a[key] / b[key] for a, b in pairs) for key in ("cpu", "wall"))
        yield label, medians, cpu, wall


HEAD = """| tool | CPU s | wall s | CPU ratio | wall ratio | extra memory MB | matrices |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peers", metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(*options.work)
        return
    spectra = {k: v for k, v in SPECTRA.items() if options.peers or v != "weightwatcher"}
    pythons = {"weightwatcher": options.peers} if options.peers else {}
    text = [heading(options.peers)]
    with tempfile.TemporaryDirectory() as folder:
        for case, (kind, shapes) in CASES.items():
            file = Path(folder) / "weights.pt"
            write_weights(kind, shapes, file)
            for what, tools in (("all singular values", spectra), ("largest only", TOP)):
                for threads in options.threads:
                    title = f"{case}, {what}, {threads} thread{'s' * (threads > 1)}"
                    rows = list(compare(tools, pythons, file, threads, options.rounds))
                    text.append(f"\n## {title}\n\n{HEAD}" + "".join(line(*row) for row in rows))
                    print(text[-1], flush=True)
    Path(__file__).with_suffix(".md").write_text("\n".join(text))


def line(label: str, medians: Mapping[str, float], cpu: float, wall: float) -> str:
    times = f"{medians['cpu']:.3f} | {medians['wall']:.3f} | {cpu:.2f} | {wall:.2f}"
    return f"| {label} | {times} | {medians['extra']:.0f} | {medians['count']:.0f} |\n"


def heading(peers: str | None) -> str:
    versions = [f"Python {platform.python_version()}"]
    versions += [f"{name} {version(name)}" for name in ("torch", "numpy", "scipy")]
    if peers:
        code = "from importlib.metadata import version; print(version('weightwatcher'))"
        found = subprocess.run([peers, "-c", code], capture_output=True, text=True, check=True)
        versions.append(f"weightwatcher {found.stdout.strip()}")
    given = ["PYTHON" if word == peers else word for word in sys.argv[1:]]
    command = " ".join(["python docs/benchmarks/spectra.py", *given])
    cores = f"{os.cpu_count()} cores, {platform.machine()}"
    return (
        f"# Weight spectra\n\nMade by `{command}` ({', '.join(versions)};"
        f" {cores}, shared with other work: trust CPU time and ratios).\nWhat is compared is said"
        " at the top of the script. Ratios are to the first line of each table; extra memory is the"
        " peak beyond\nthe loaded weights; matrices: how many the tool gave an answer for."
    )


if __name__ == "__main__":
    main()
