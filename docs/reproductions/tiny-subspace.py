"""Does gradient descent happen in a tiny subspace? Share of the gradient in the top eigenspace.

    python docs/reproductions/tiny-subspace.py

For a classifier with k classes, after a short time the gradient is said to lie almost wholly in the
span of the k largest eigenvectors of the Hessian, a space that then hardly turns. SGD on k of the
ten digits, k = 2, 5, 10. Writes docs/reproductions/tiny-subspace.md and its figure, in about two
minutes.

Gur-Ari, Roberts & Dyer 2018, Gradient descent happens in a tiny subspace, arXiv:1812.04754.
"""

from __future__ import annotations

import copy
import itertools
import math
import platform
import runpy
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

from dyntools import Problem, Snapshot, Status, measure, snapshot_of
from dyntools.views.style import GREY, by_depth, quiet_grid, styled

PAGE = Path(__file__).with_suffix(".md")
FIGURE = PAGE.parent / "figures" / "tiny-subspace.png"
DIGITS = PAGE.parents[2] / "fixtures" / "runs" / "digits-mlp" / "problem.py"
CLASSES = (2, 5, 10)
SEEDS = 5  # chosen
RATE, SLOW = 0.1, 0.02  # the paper's rate, and a fifth of it in five times the steps; chosen
BATCH, STEPS, EVERY = 32, 1000, 25  # at RATE; chosen
PHASES = ((1.0, 0.5), (0.5, 0.1), (0.1, 0.01), (0.01, 0.0))  # parts of the loss log k; chosen
CLOSE, STILL = 0.8, 0.9  # a share "close to 1", an overlap of a space that "hardly turns"; chosen

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """One training run at its measurements, (m,) each.

    loss: divided by log k. share, wider: of the gradient in the top k and 2k eigenvectors.
    overlap: of the top k with those of the measurement before; outliers: the same of the top k - 1.
    """

    classes: int
    size: int
    steps: Numbers
    loss: Numbers
    share: Numbers
    wider: Numbers
    overlap: Numbers
    outliers: Numbers
    error: Numbers


def data(classes: int) -> tuple[Tensor, Tensor]:
    """Images (n, 64) and labels (n,) of the first digits, from the fixture's clean 600."""
    _, (images, labels) = runpy.run_path(str(DIGITS))["data"]()
    return images[labels < classes], labels[labels < classes]


def network(classes: int, seed: int) -> nn.Sequential:
    """64-64-32-k with ReLU, that of the fixture."""
    torch.manual_seed(seed)
    linear, relu = nn.Linear, nn.ReLU
    return nn.Sequential(linear(64, 64), relu(), linear(64, 32), relu(), linear(32, classes))


def train(classes: int, rate: float, seed: int) -> Run:
    """SGD; gradient and Hessian are those of all images, at the weights before a step."""
    images, labels = data(classes)
    model = network(classes, seed)
    stretch = round(RATE / rate)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    problem = Problem(
        model, [(images, labels)], lambda out, batch: nn.functional.cross_entropy(out, batch[1])
    )
    generator = torch.Generator().manual_seed(seed)
    orders = (torch.randperm(len(images), generator=generator) for _ in itertools.count())
    batches = itertools.chain.from_iterable(torch.split(order, BATCH) for order in orders)
    before: Snapshot | None = None
    rows = []
    for step in range(stretch * STEPS + 1):
        if step % (stretch * EVERY) == 0:
            now = snapshot_of(
                copy.deepcopy(model), step, problem=problem, previous=before, earlier=before
            )
            rows.append((step, now.risk().loss() / math.log(classes), *subspace(now, classes)))
            before = now
        chosen = next(batches)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images[chosen]), labels[chosen]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return Run(classes, sum(p.numel() for p in model.parameters()), *np.array(rows).T)


def subspace(now: Snapshot, k: int) -> tuple[float, ...]:
    """Share of the top k and 2k, overlap of the top k and k - 1, error of the share of k."""
    found = measure(now, "gradient_subspace", k=2 * k)
    if (found.status != Status.ok).any():
        raise SystemExit(f"gradient_subspace at step {now.step}: {found.skipped}")
    share, overlap = found.values, found.beside["overlap"]
    assert found.error is not None
    return share[k - 1], share[-1], overlap[k - 1], overlap[k - 2], found.error[k - 1]


def within(runs: list[Run], phase: tuple[float, float], of: str) -> Numbers:
    """One quantity of all runs where the loss is within a phase; the first is open above."""
    high, low = phase
    high = math.inf if high == PHASES[0][0] else high
    parts = [getattr(run, of)[(run.loss < high) & (run.loss >= low)] for run in runs]
    joined = np.concatenate(parts)
    return np.asarray(joined[np.isfinite(joined)])


def draw(runs: dict[int, list[Run]]) -> None:
    """Left: share of the gradient; right: overlap of the space; seeds thin, medians thick."""
    with styled():
        figure = Figure(figsize=(9.0, 3.3), layout="constrained")
        left, right = figure.subplots(1, 2)
        for (k, of_k), colour in zip(runs.items(), by_depth(len(runs)), strict=True):
            for axes, of in ((left, "share"), (right, "overlap")):
                each = np.array([getattr(run, of) for run in of_k])
                if of == "overlap":  # there is none at the first
                    each = each[:, 1:]
                steps = of_k[0].steps[-each.shape[1] :]
                axes.plot(steps, each.T, color=colour, lw=0.5, alpha=0.35)
                axes.plot(steps, np.median(each, axis=0), color=colour, label=f"{k} classes")
        left.axhline(
            max(of_k[0].classes / of_k[0].size for of_k in runs.values()), color=GREY, ls="--", lw=1
        )
        left.text(STEPS, -0.055, "random direction", color=GREY, fontsize=7.5, ha="right")
        left.set(ylabel="share of the gradient in the top k", ylim=(-0.08, 1.03))
        right.set(ylabel=f"overlap with the top k {EVERY} steps before", ylim=(-0.08, 1.03))
        for axes in (left, right):
            axes.set_xlabel("step")
            quiet_grid(axes)
        right.legend(frameon=False, fontsize=7.5, loc="lower right")
        FIGURE.parent.mkdir(exist_ok=True)
        figure.savefig(FIGURE, dpi=96, metadata={"Software": None})


def rows(runs: dict[int, list[Run]]) -> str:
    lines = []
    for k, of_k in runs.items():
        for phase in PHASES:
            share = within(of_k, phase, "share")
            if not len(share):
                continue
            low, middle, high = np.quantile(share, [0.1, 0.5, 0.9])
            rest = [_middle(within(of_k, phase, of)) for of in ("wider", "overlap", "outliers")]
            lines.append(
                f"| {k} | {_name(phase)} | {len(share)} | {middle:.3f} | {low:.3f} to {high:.3f} |"
                f" {' | '.join(rest)} |"
            )
    return "\n".join(lines)


def slow_rows(fast: dict[int, list[Run]], slow: dict[int, list[Run]]) -> str:
    lines = []
    for k in fast:
        shares = [within(of[k], phase, "share") for phase in PHASES[1:] for of in (fast, slow)]
        lines.append(f"| {k} | {' | '.join(map(_middle, shares))} |")
    return "\n".join(lines)


def _middle(values: Numbers) -> str:
    return f"{np.median(values):.3f}" if len(values) else "–"


def _name(phase: tuple[float, float]) -> str:
    high, low = phase
    if not low:
        return f"below {high:g}"
    return f"above {low:g}" if phase == PHASES[0] else f"{high:g} to {low:g}"


def outcome(runs: dict[int, list[Run]], slow: dict[int, list[Run]]) -> str:
    medians = {
        of: [
            [np.median(v) if len(v := within(of_k, p, of)) else math.nan for p in PHASES]
            for of_k in runs.values()
        ]
        for of in ("share", "overlap")
    }
    share, overlap = (np.array(medians[of]) for of in ("share", "overlap"))
    learning, fitted = share[:, 2], share[:, 3]
    parts = (
        learning.min() > CLOSE,
        not (fitted < CLOSE).any(),
        np.nanmin(overlap[:, 2:]) > STILL,
    )
    word = "Reproduced" if all(parts) else "Partly reproduced" if any(parts) else "Not reproduced"
    names = ", ".join(str(k) for k in runs)
    late = ", ".join(
        f"{value:.2f} for {k} classes"
        for k, value in zip(runs, fitted, strict=True)
        if value == value
    )
    slower = [np.median(within(of_k, PHASES[2], "share")) for of_k in slow.values()]
    nulls = [of_k[0].classes / of_k[0].size for of_k in runs.values()]
    return f"""\
**Outcome. {word}.** While the loss goes from a tenth to a hundredth of log k, the top k hold
{", ".join(f"{value:.2f}" for value in learning)} of the gradient for k = {names} (medians); \
a random space of that
size {min(nulls):.4f} to {max(nulls):.4f}. Below a hundredth the share \
{"stays" if parts[1] else "does not stay close to 1"}: {late}.
At a fifth of the rate it is {", ".join(f"{value:.2f}" for value in slower)} from a tenth to a \
hundredth already. The space {"hardly turns" if parts[2] else "turns"}: its
overlap over {EVERY} steps is at least {np.nanmin(overlap[:, 2:]):.2f} from a tenth on (medians).

"Reproduced" means: median shares above {CLOSE:g} in both phases for every k, and median overlaps
above {STILL:g}."""


def page(fast: dict[int, list[Run]], slow: dict[int, list[Run]]) -> str:
    names = ("dyntools", "torch", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    counts = ", ".join(f"{len(data(k)[0])}" for k in CLASSES)
    doubled = ", ".join(
        f"{np.median(wider):.2f} instead of {np.median(within(of_k, PHASES[-1], 'share')):.2f}"
        f" with {k} classes"
        for k, of_k in fast.items()
        if len(wider := within(of_k, PHASES[-1], "wider"))
    )
    errors = np.concatenate([run.error for of_k in fast.values() for run in of_k])
    first = [np.median([run.share[0] for run in of_k]) for of_k in fast.values()]
    return f"""\
# The tiny subspace on digits

**Claim.** After a short period of training the gradient of a classifier with k classes lies almost
wholly in the span of the k largest eigenvectors of the Hessian, and that space changes little from
then on: Gur-Ari, Roberts & Dyer 2018, *Gradient descent happens in a tiny subspace*,
[arXiv:1812.04754](https://arxiv.org/abs/1812.04754).

{outcome(fast, slow)}

## Setting

The images of the first k digits among the 600 validation images of `fixtures/runs/digits-mlp`
({counts} for k = {", ".join(map(str, CLASSES))}), with their true labels. A 64-64-32-k ReLU \
network with PyTorch's
initialisation, cross-entropy, SGD at a rate of {RATE:g} in batches of {BATCH}, {STEPS} steps, \
{SEEDS} seeds. Gradient and
Hessian are those of all images, measured every {EVERY} steps by
`dyntools.measure(snapshot, "gradient_subspace", k=2 * classes)`.

## Result

![Share of the gradient in the top k, and overlap of the space](figures/{FIGURE.name})

Thin: the seeds. Thick: their median. At the start the top k hold \
{", ".join(f"{value:.2f}" for value in first)} of the gradient.

Medians over seeds and steps; the loss is divided by log k, its value for a guess. What no run
reached is left out.

| k | loss | measurements | share of top k | 10 to 90 % | share of top 2k | overlap of top k | \
overlap of top k - 1 |
| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |
{rows(fast)}

The error bound of the share of k, from the angle between the space found and the true one, is
{np.median(errors):.1g} in the median and {np.quantile(errors, 0.95):.1g} in one of twenty: where \
λ_k and λ_(k+1) nearly agree, the top k are
no well-defined space. The top k - 1 turn less.

At a rate of {SLOW:g}, in {round(RATE / SLOW)} times as many steps, the share at equal loss is:

| k | {" | ".join(f"{_name(p)}, rate {r:g}" for p in PHASES[1:] for r in (RATE, SLOW))} |
| ---: | {" | ".join(["---:"] * 2 * len(PHASES[1:]))} |
{slow_rows(fast, slow)}

## What to keep in mind

- For [gradient_subspace](../metrics/gradient_subspace.md): a share far above its `null` is the
  rule from early on, a share near 1 is not. Read it as a curve: it swings with the oscillation
  along the sharp directions, which a single checkpoint catches at random.
- The number of classes is no magic k. Below a hundredth of the loss a space twice as large holds
  {doubled}.
- {_of_rate(fast, slow)}

## Limits

One architecture, a few hundred small images, all of which are fitted; the paper's networks see tens
of thousands and stay in the phase of learning. A large share does not say that steps along these
directions do the learning: Song, Ahn & Yun 2024, *Does SGD really happen in tiny subspaces?*,
[arXiv:2405.16002](https://arxiv.org/abs/2405.16002).

Made by `python docs/reproductions/tiny-subspace.py` (Python {platform.python_version()},
{versions}). On another processor the last digits may differ.
"""


def _of_rate(fast: dict[int, list[Run]], slow: dict[int, list[Run]]) -> str:
    """What the rate does to the share at equal loss, from a half to a hundredth."""
    change = [
        np.median(within(slow[k], phase, "share")) - np.median(within(fast[k], phase, "share"))
        for k in fast
        for phase in PHASES[1:3]
    ]
    lower = sum(value < 0 for value in change)
    return f"""\
The share depends on the rate: at a fifth of it, it is lower in {lower} of {len(change)} \
comparisons
  at equal loss above a hundredth, by up to {-min(change):.2f}. This fits with its being in \
part the
  bouncing of the steps between steep walls, but was not tested further."""


def main() -> None:
    torch.set_num_threads(1)  # several are slower here, and round differently
    fast, slow = (
        {k: [train(k, rate, seed) for seed in range(SEEDS)] for k in CLASSES}
        for rate in (RATE, SLOW)
    )
    draw(fast)
    PAGE.write_text(page(fast, slow))


if __name__ == "__main__":
    main()
