"""Time and memory of `second_moment_snr` on the optimizer state of GPT-2 small.

    python docs/benchmarks/second_moments.py [--rounds 7] [--folder DIR]

The state: a checkpoint as torch saves it (1.5 GB in DIR, removed afterwards) with the 148 tensors
of GPT-2 small (124M parameters, tied head), AdamW's moments in float32, exp_avg_sq of rank one
times chi-squared noise at 1e-12, one row in a hundred of the embedding zero. Compared are

    plain read       the bytes of all exp_avg_sq from a file of their own into fresh memory
    read and sum     the same from the checkpoint through dyntools, mapped, its checksums compared,
                     and summed in float32
    dyntools         the metric: read like that, then all sets of axes with errors and counts
    without mmap     the same, read into memory instead of mapped
    authors' way     exp_avg_sq read like that, then mean(K)²/var(K) in float32 for each set K

The plain read compares no checksums. Its CPU time was 0.12, 0.26 and 0.41 s in three runs of this
script, as fresh pages cost what the machine makes them cost, so that the metric took 4.9, 2.4 and
1.4 of it; reading and summing took 0.25 s in all three and is the firmer yardstick.

Every line runs in a process of its own on one thread; the processes take turns, so that a noisy
machine disturbs all alike, after one round that is not counted. Given are medians over rounds, and
medians of the ratios of single rounds. Files are in the page cache. Memory is the peak of resident
memory (VmHWM) over that before the first round. It counts pages of a mapped file that were touched,
though the kernel may take these back at any time. Writes docs/benchmarks/second_moments.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = Path(__file__).with_suffix(".md")
WIDTH, BLOCKS = 768, 12
TIME_GOAL, MEMORY_GOAL = 3.0, 2.0  # plain reads; largest tensors
LARGEST = 50257 * WIDTH * 4 / 1e6  # MB

Once = Callable[[], object]


def shapes() -> dict[str, tuple[int, ...]]:
    """As in transformers, whose Conv1D stores (in, out)."""
    found: dict[str, tuple[int, ...]] = {"wte.weight": (50257, WIDTH), "wpe.weight": (1024, WIDTH)}
    pairs = {"attn.c_attn": (1, 3), "attn.c_proj": (1, 1), "mlp.c_fc": (1, 4), "mlp.c_proj": (4, 1)}
    for i in range(BLOCKS):
        for name, (rows, columns) in pairs.items():
            found[f"h.{i}.{name}.weight"] = (rows * WIDTH, columns * WIDTH)
            found[f"h.{i}.{name}.bias"] = (columns * WIDTH,)
        for name in ("ln_1", "ln_2"):
            found |= {f"h.{i}.{name}.{part}": (WIDTH,) for part in ("weight", "bias")}
    return found | {f"ln_f.{part}": (WIDTH,) for part in ("weight", "bias")}


def write_state(folder: Path) -> int:
    """`run/step-1000.pt`, and `second.bin` for the plain read. Gives the number of parameters."""
    import torch

    generator = torch.Generator().manual_seed(0)
    model, state = {}, {}
    for i, (name, shape) in enumerate(shapes().items()):
        v = torch.randn(shape, generator=generator).square_().mul_(1e-12)
        for axis, length in enumerate(shape):
            scale = torch.randn(length, generator=generator).exp_()
            v *= scale.view([-1 if a == axis else 1 for a in range(len(shape))])
        if name == "wte.weight":
            v[::100] = 0.0
        model[name] = torch.zeros(shape)
        state[i] = {"step": torch.tensor(1000.0), "exp_avg": torch.zeros(shape), "exp_avg_sq": v}
    group = {"lr": 1e-3, "betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 0.1}
    group |= {"amsgrad": False, "params": list(state)}
    optimizer = {"state": state, "param_groups": [group]}
    (folder / "run").mkdir()
    saved = {"model": model, "optimizer": optimizer, "step": 1000}
    torch.save(saved, folder / "run" / "step-1000.pt")
    with (folder / "second.bin").open("wb") as file:
        for entries in state.values():
            entries["exp_avg_sq"].numpy().tofile(file)
    return sum(v.numel() for v in model.values())


# In a process of its own -------------------------------------------------------------------------


def work(line: str, folder: Path) -> None:
    """Runs the line once for each line on standard input."""
    once = LINES[line](folder)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        once()
        found = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
        print(json.dumps({**found, "extra": resident("VmHWM") - before}), flush=True)


def resident(key: str) -> float:
    """MB, from the kernel."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(key + ":")[1].split()[0]) * 1024 / 1e6


def opened(folder: Path, *, mmap: bool = True) -> Any:
    """The snapshot, its headers read and the metric's code loaded; torch on one thread."""
    import torch

    from dyntools import measure, open_run, snapshots
    from dyntools.live import snapshot_of

    torch.set_num_threads(1)
    layer = torch.nn.Linear(64, 64)
    layer(torch.ones(2, 64)).sum().backward()
    (optimizer := torch.optim.AdamW(layer.parameters())).step()
    measure(snapshot_of(layer, 1, optimizer=optimizer), "second_moment_snr")
    (snapshot,) = snapshots(open_run(folder / "run", mmap=mmap))
    assert len(snapshot.tensors()) == len(shapes())
    return snapshot


def second_moments(snapshot: Any) -> Iterator[Any]:
    for name in snapshot.tensors():
        yield snapshot.moments.state[name]["exp_avg_sq"].read()


def plain_read(folder: Path) -> Once:
    import numpy as np

    def once() -> None:
        with (folder / "second.bin").open("rb", buffering=0) as file:
            for shape in shapes().values():
                tensor = np.empty(shape, np.float32)
                assert file.readinto(tensor.reshape(-1).view(np.uint8).data) == tensor.nbytes

    return once


def read_and_sum(folder: Path) -> Once:
    snapshot = opened(folder)
    return lambda: sum(float(v.sum()) for v in second_moments(snapshot))


def metric(folder: Path, *, mmap: bool = True) -> Once:
    from dyntools import measure

    snapshot = opened(folder, mmap=mmap)

    def once() -> None:
        found = measure(snapshot, "second_moment_snr")
        assert len(found.coords["layer"]) == len(shapes()), found.skipped

    return once


def without_mmap(folder: Path) -> Once:
    return metric(folder, mmap=False)


def authors_way(folder: Path) -> Once:
    """As the formula is written, on float32."""
    snapshot = opened(folder)

    def ratio(v: Any, axes: tuple[int, ...]) -> float:
        ratios = v.mean(axes) ** 2 / v.var(axes, unbiased=False)
        return float(ratios[ratios.isfinite()].mean())

    def once() -> None:
        for v in second_moments(snapshot):
            for k in range(v.ndim):
                for axes in combinations(range(v.ndim), k + 1):
                    ratio(v, axes)

    return once


LINES: dict[str, Callable[[Path], Once]] = {
    "plain read": plain_read,
    "read and sum": read_and_sum,
    "dyntools": metric,
    "dyntools, without mmap": without_mmap,
    "authors' way": authors_way,
}


# What the parent does ----------------------------------------------------------------------------


class Process:
    """A line waiting in a process of its own."""

    def __init__(self, line: str, folder: Path) -> None:
        variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--work", line, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **dict.fromkeys(variables, "1"), "PYTHONPATH": str(ROOT)},
        )

    def run(self) -> dict[str, float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print("go", file=self._process.stdin, flush=True)
        return dict(json.loads(self._process.stdout.readline()))

    def end(self) -> None:
        self._process.communicate()


def compared(folder: Path, rounds: int) -> dict[str, list[dict[str, float]]]:
    """What every round of every line took; the first, which loads what it needs, is left out."""
    processes = {line: Process(line, folder) for line in LINES}
    found: dict[str, list[dict[str, float]]] = {line: [] for line in LINES}
    for i in range(rounds + 1):
        for line, process in processes.items():
            once = process.run()
            if i:
                found[line].append(once)
    for process in processes.values():
        process.end()
    return found


HEAD = """\
| | CPU s | wall s | CPU, in plain reads | CPU, in read and sum | peak memory MB | in largest tensors |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
"""  # noqa: E501
READS = ("plain read", "read and sum")
METRIC = ("dyntools", "dyntools, without mmap")


def page(found: dict[str, list[dict[str, float]]], parameters: int, load: float) -> str:
    rows = []
    for line, rounds in found.items():
        cells = [f"{median(r[key] for r in rounds):.3f}" for key in ("cpu", "wall")]
        cells += [f"{ratio(found, line, read):.2f}" for read in READS]
        peak = max(r["extra"] for r in rounds)
        rows.append(f"| {' | '.join([line, *cells, f'{peak:.0f}', f'{peak / LARGEST:.2f}'])} |\n")
    given = " ".join(["python docs/benchmarks/second_moments.py", *sys.argv[1:]])
    versions = f"Python {platform.python_version()}, torch {version('torch')}"
    return (
        f"# Second moments of GPT-2 small\n\nMade by `{given}`\n({versions}; {os.cpu_count()}"
        f" cores, {platform.machine()}, shared with other work, load {load:.1f}: trust CPU time and"
        f" ratios).\nWhat is compared is said at the top of the script. {parameters / 1e6:.1f}M"
        f" values, largest tensor {LARGEST:.0f} MB, {len(next(iter(found.values())))} rounds.\n\n"
        f"{HEAD}{''.join(rows)}\n## Goals\n\n{goals(found)}"
    )


def ratio(
    found: dict[str, list[dict[str, float]]], line: str, read: str, key: str = "cpu"
) -> float:
    pairs = zip(found[line], found[read], strict=True)
    return median(one[key] / other[key] for one, other in pairs)


def goals(found: dict[str, list[dict[str, float]]]) -> str:
    rows = ["| goal | limit | measured | |\n| --- | ---: | ---: | --- |\n"]
    for read in READS:
        taken = ratio(found, "dyntools", read)
        rows.append(line_of(f"time of all sets of axes, over `{read}`", TIME_GOAL, taken))
    for line in METRIC:
        peak = max(r["extra"] for r in found[line]) / LARGEST
        rows.append(line_of(f"peak memory of `{line}`, in largest tensors", MEMORY_GOAL, peak))
    return "".join(rows)


def line_of(what: str, limit: float, measured: float) -> str:
    met = "met" if measured <= limit else "**not met**"
    return f"| {what} | {limit:g} | {measured:.2f} | {met} |\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work[0], Path(options.work[1]))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        parameters = write_state(Path(place))
        found = compared(Path(place), options.rounds)
    PAGE.write_text(page(found, parameters, os.getloadavg()[0]))
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
