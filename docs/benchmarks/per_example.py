"""What gradients of examples cost, in gradients of their mean, beside other tools; writes a page.

    python docs/benchmarks/per_example.py [--models mlp gpt cnn] [--rounds 5] [--page FILE]

Each tool gives the same of every example of a problem: Σ g_i, Σ g_i² by coordinates and the norms
|g_i|. The unit is one backward pass over the mean loss of all examples at once, on the same thread.

    dyntools      `per_example`: groups, errors and inner products beside, in float64
    vmap(grad)    torch.func, all tensors expanded, in chunks
    BackPACK      SumGradSquared and BatchL2Grad beside the gradient (arXiv:1912.10985)
    opacus        grad_sample of GradSampleModule, in chunks, and its sums (arXiv:2109.12298)

Tools that are not installed, or do not know the model, are named with their reason. The models are
those of `curvature_models.py`; tiny chunks are slow and large ones take memory, so for each tool
that needs them the fastest of several sizes counts. Times are CPU seconds, the least of the rounds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parent))
import curvature_models as models

from dyntools import Problem
from dyntools.problem import Engine
from dyntools.problem.memory import footprint
from dyntools.problem.per_example import per_example
from dyntools.problem.risk import Risk
from dyntools.snapshot import Snapshot, Tensors

LIMITS = {"mlp": 3.0, "gpt": 5.0}  # gradients; chosen; none for the cnn
CHUNKS = {"mlp": (64, 250), "gpt": (4, 16), "cnn": (32,)}
MEMORY = (16, 256)  # MiB, of the chunks

Sums = tuple[list[Tensor], list[Tensor], Tensor]  # Σ g, Σ g² by tensors, |g_i|² (N,)


def examples(name: str, work: Path) -> tuple[nn.Module, Tensor, Tensor]:
    """The model, inputs (N, …) and targets (N, …) of one example each."""
    task = models.load(name, work)
    targets = task.targets.view(len(task.inputs), -1) if name == "gpt" else task.targets
    return task.model, task.inputs, targets


def loss_of(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(outputs.flatten(0, -2), targets.flatten())


def gradient(model: nn.Module, x: Tensor, y: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss_of(model(x), y), list(model.parameters())))


def of_samples(samples: list[Tensor], into: Sums, rows: slice) -> None:
    """Sums of gradients of some examples (b, …) by tensors."""
    first, second, norms = into
    for i, sample in enumerate(samples):
        flat = sample.reshape(len(sample), -1)
        squares = flat.square()
        first[i].view(-1).add_(flat.sum(0))
        second[i].view(-1).add_(squares.sum(0))
        norms[rows] += squares.sum(1)


def empty(model: nn.Module, count: int) -> Sums:
    zeros = [[torch.zeros_like(p) for p in model.parameters()] for _ in range(2)]
    return zeros[0], zeros[1], torch.zeros(count)


def by_vmap(model: nn.Module, x: Tensor, y: Tensor, chunk: int) -> Callable[[], Sums]:
    params = {n: p.detach() for n, p in model.named_parameters()}

    def one(values: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return loss_of(functional_call(model, values, (x[None],)), y[None])

    samples = vmap(grad(one), in_dims=(None, 0, 0))

    def run() -> Sums:
        into = empty(model, len(x))
        for start in range(0, len(x), chunk):
            rows = slice(start, start + chunk)
            of_samples(list(samples(params, x[rows], y[rows]).values()), into, rows)
        return into

    return run


def by_backpack(model: nn.Module, x: Tensor, y: Tensor, chunk: int) -> Callable[[], Sums]:
    from backpack import backpack, extend
    from backpack.extensions import BatchL2Grad, SumGradSquared

    model, loss = extend(deepcopy(model)), extend(nn.CrossEntropyLoss())

    def run() -> Sums:
        into = empty(model, len(x))
        for start in range(0, len(x), chunk):
            rows = slice(start, start + chunk)
            count = len(x[rows])
            model.zero_grad()
            with backpack(SumGradSquared(), BatchL2Grad()):
                loss(model(x[rows]).flatten(0, -2), y[rows].flatten()).backward()
            for i, p in enumerate(model.parameters()):
                into[0][i] += count * p.grad
                into[1][i] += count**2 * p.sum_grad_squared
                into[2][rows] += count**2 * p.batch_l2
        return into

    return run


def by_opacus(model: nn.Module, x: Tensor, y: Tensor, chunk: int) -> Callable[[], Sums]:
    from opacus import GradSampleModule

    wrapped = GradSampleModule(deepcopy(model).train())

    def run() -> Sums:
        into = empty(model, len(x))
        for start in range(0, len(x), chunk):
            rows = slice(start, start + chunk)
            wrapped.zero_grad()
            loss_of(wrapped(x[rows]), y[rows]).backward()
            of_samples([p.grad_sample for p in wrapped.parameters()], into, rows)
        return into

    return run


TOOLS = {"vmap(grad)": by_vmap, "BackPACK": by_backpack, "opacus": by_opacus}


def risk_of(model: nn.Module, x: Tensor, y: Tensor, memory: int | None = None) -> Risk:
    problem = Problem(
        model, [(x, y)], lambda z, batch: loss_of(z, batch[1]), engine=Engine(memory=memory)
    )
    params = {name: p.detach() for name, p in model.named_parameters()}
    return Snapshot(0, Tensors.of(params), problem=problem).risk()


def least(run: Callable[[], object], rounds: int) -> float:
    run()
    times = []
    for _ in range(rounds):
        started = time.process_time()
        run()
        times.append(time.process_time() - started)
    return min(times)


def difference(found: Sums, exact: Sums) -> float:
    """The largest relative difference of a sum over the examples."""
    pairs = [*zip(found[0], exact[0], strict=True), *zip(found[1], exact[1], strict=True)]
    return max(
        float((a - b).norm() / b.norm().clamp(min=1e-30)) for a, b in [*pairs, (found[2], exact[2])]
    )


def rows_of(name: str, rounds: int, work: Path) -> list[str]:
    """The lines of one model."""
    model, x, y = examples(name, work)
    plain = least(lambda: gradient(model, x, y), rounds)
    risk = risk_of(model, x, y)
    ours = least(lambda: per_example(risk), rounds) / plain
    limit = LIMITS.get(name)
    goal = "none" if limit is None else f"{limit:g}"
    met = "" if limit is None else ("met" if ours <= limit else "not met")
    exact = by_vmap(model, x, y, CHUNKS[name][0])()
    found = per_example(risk)
    squares = float(sum(s.double().sum() for s in exact[1]))
    off = abs(float(found.norms.sum()) / squares - 1.0)
    print(f"{name}: dyntools {ours:.2f} gradients", file=sys.stderr, flush=True)
    lines = [
        f"## {name}",
        "",
        f"{sum(p.numel() for p in model.parameters())} parameters, {len(x)} examples; one gradient "
        f"of all takes {1e3 * plain:.0f} ms. Goal: {goal} gradients; {met or 'no goal'}.",
        "",
        "| tool | in gradients | examples at once | difference |",
        "| --- | --- | --- | --- |",
        f"| dyntools | {ours:.2f} | by memory | {off:.0e} |",
    ]
    for tool, build in TOOLS.items():
        try:
            runs = {chunk: build(model, x, y, chunk) for chunk in CHUNKS[name]}
            off = difference(next(iter(runs.values()))(), exact)
            if off > 1e-3:
                raise ValueError(f"its sums differ by {off:.1g}")
            times = {chunk: least(run, rounds) / plain for chunk, run in runs.items()}
        except Exception as error:  # a peer that does not know the model is a result
            lines.append(f"| {tool} | – | – | {type(error).__name__}: {str(error).strip()[:90]} |")
            continue
        best = min(times, key=times.__getitem__)
        lines.append(f"| {tool} | {times[best]:.2f} | {best} | {off:.0e} |")
        print(lines[-1], file=sys.stderr, flush=True)
    return [*lines, "", *memory_of(model, x, y, rounds, plain), ""]


def memory_of(model: nn.Module, x: Tensor, y: Tensor, rounds: int, plain: float) -> list[str]:
    """Peaks under a limit, of which the vectors as long as the parameters are no part."""
    _, used = footprint(lambda: gradient(model, x, y))
    lines = [
        f"Tensors of the plain gradient at their peak: {used.peak >> 20} MiB.",
        "",
        "| `--memory` for chunks, MiB | peak of tensors, MiB | in gradients |",
        "| --- | --- | --- |",
    ]
    for limit in MEMORY:
        try:
            risk = risk_of(model, x, y, limit << 20)
            ours = least(lambda r=risk: per_example(r), max(rounds // 2, 1)) / plain
            _, used = footprint(lambda r=risk: per_example(r))
            lines.append(f"| {limit} | {used.peak >> 20} | {ours:.2f} |")
        except Exception as error:
            lines.append(f"| {limit} | refused: {str(error).splitlines()[0][:80]} | – |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["mlp", "gpt", "cnn"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "models")
    given = parser.parse_args()
    torch.set_num_threads(1)
    words = [
        "# Gradients of examples",
        "",
        f"Made by `python docs/benchmarks/per_example.py --models {' '.join(given.models)} "
        f"--rounds {given.rounds}` with torch {torch.__version__} on one thread, in CPU",
        "seconds, the least of the rounds. What is compared is said at the top of the script.",
        "",
    ]
    for name in given.models:
        words += rows_of(name, given.rounds, given.work)
        print("\n".join(words[-30:]), flush=True)
    if given.page is not None:
        given.page.write_text("\n".join(words).rstrip() + "\n")


if __name__ == "__main__":
    main()
