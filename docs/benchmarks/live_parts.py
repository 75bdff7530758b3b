"""Where the time of a recorder goes, in processor time of one thread. Run: python FILE

First the parts of a report of `quick` on the small GPT of `live.py`; then steps and reports along a
training of many steps that logs five scalars at each, of a model of 28 weights, and the memory that
the process has taken by then.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import thread_time

import torch
from live import GPT
from torch import nn

from dyntools.callbacks import Recorder, every
from dyntools.callbacks.copies import Copies
from dyntools.callbacks.neutral import neutral
from dyntools.live import snapshot_of

EVERY, REPEATS = 100, 20


def milliseconds(act: Callable[[], object]) -> float:
    """The median of some repetitions."""
    act()
    found = []
    for _ in range(REPEATS):
        started = thread_time()
        act()
        found.append(1e3 * (thread_time() - started))
    return statistics.median(found)


def parts(folder: Path) -> None:
    torch.manual_seed(0)
    model = GPT()
    optimizer = torch.optim.AdamW(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    snapshot, plain, whole = (
        snapshot_of(model, 1, optimizer=optimizer),
        Copies(),
        Copies(state=True),
    )

    def guarded() -> None:
        with neutral(torch.device("cpu")):
            pass

    steps = iter(range(10**6))
    path = folder / "parts.jsonl"
    with Recorder(model, optimizer, schedule=every(1), path=path, budget=1) as recorder:
        acts: dict[str, Callable[[], object]] = {
            "a report of quick": lambda: recorder.step(next(steps)),
            "of it the snapshot": lambda: snapshot_of(model, 1, optimizer=optimizer),
            "the copy of the weights": lambda: plain.of(snapshot),
            "the same with moments, as other metrics need": lambda: whole.of(snapshot),
            "what keeps it neutral": guarded,
        }
        for title, act in acts.items():
            print(f"{title}: {milliseconds(act):.2f} ms")


def along(steps: int, folder: Path) -> None:
    model = nn.Linear(6, 4)
    optimizer = torch.optim.AdamW(model.parameters())
    path = folder / "long.jsonl"
    spent, counts = {True: 0.0, False: 0.0}, {True: 0, False: 0}
    print("| up to step | step, µs | report, ms | memory, MB |\n| ---: | ---: | ---: | ---: |")
    with Recorder(model, optimizer, schedule=every(EVERY), path=path, budget=1) as recorder:
        for step in range(1, steps + 1):
            scalars = {"loss": 1 / step, "lr": 1e-3, "grad_norm": 1.0, "val_loss": 2.0, "acc": 0.5}
            started = thread_time()
            recorder.step(step, **scalars)
            spent[step % EVERY == 0] += thread_time() - started
            counts[step % EVERY == 0] += 1
            if step % (steps // 10) == 0:
                each = {due: spent[due] / max(counts[due], 1) for due in spent}
                memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                print(
                    f"| {step} | {1e6 * each[False]:.0f} | {1e3 * each[True]:.0f} | {memory:.0f} |"
                )
                spent, counts = {True: 0.0, False: 0.0}, {True: 0, False: 0}
        started = thread_time()
    print(f"sealing: {thread_time() - started:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=100_000)
    with tempfile.TemporaryDirectory() as folder:
        parts(Path(folder))
        along(parser.parse_args().steps, Path(folder))


if __name__ == "__main__":
    main()
