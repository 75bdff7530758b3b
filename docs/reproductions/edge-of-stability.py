"""Does training move to the edge of stability? Full-batch gradient descent and Adam on digits.

    python docs/reproductions/edge-of-stability.py

Gradient descent with rate η is stable along an eigenvector of the Hessian while λ < 2/η; Adam with
β1 = 0.9 along one of the preconditioned Hessian while λ < 38/η. Training at a constant rate is said
to drive the largest eigenvalue up to that edge, where it hovers; when the rate changes, it follows.
A warm-up lets it fall before the rate is at its peak. Writes edge-of-stability.md beside this file
and its figure, in two to three minutes.

Cohen et al. 2021, Gradient descent on neural networks typically occurs at the edge of stability,
arXiv:2103.00065; 2022, Adaptive gradient methods at the edge of stability, arXiv:2207.14484; Gilmer
et al. 2022, A loss curvature perspective on training instability, arXiv:2110.04369.
"""

from __future__ import annotations

import platform
import runpy
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

from dyntools import Problem, Snapshot, Status, measure, snapshot_of
from dyntools.views.style import by_depth, quiet_grid, styled, ticks

PAGE = Path(__file__).with_suffix(".md")
FIGURE = PAGE.parent / "figures" / "edge-of-stability.png"
DIGITS = PAGE.parents[2] / "fixtures" / "runs" / "digits-mlp" / "problem.py"
WIDTH = 64  # chosen
EVERY = 25  # steps between two measurements; odd, as the weights swing with period two; chosen
GD_RATES, GD_STEPS = (0.05, 0.1, 0.2), 8000  # edges above the sharpness at the start; chosen
ADAM_RATES, ADAM_STEPS = (2.5e-4, 5e-4, 1e-3), 3000  # chosen
CHANGES, CHANGE_STEPS = ((0.2, 0.1), (0.1, 0.2)), 6000  # the rate before and after half; chosen
PEAK, WARM_UPS, WARM_STEPS = 1.0, (0, 50, 200, 1000), 2000  # a rate above the first edge; chosen
WARM_EVERY = 5  # odd, and short enough to see runs that end within 50 steps; chosen
PEAKS = tuple(0.4 * 2 ** (i / 4) for i in range(9))  # 0.4 to 1.6: which rates train; chosen
BLOWN = 100.0  # times the first loss: the run has diverged; chosen
TAIL = 0.25  # the last part of a run, over which hovering is summed up; chosen
NEAR = 0.15  # how far the median may be from the edge to count as hovering there; chosen

TITLES = {
    "gd": "Gradient descent",
    "adam": "Adam",
    "change": "Gradient descent, rate changed at half",
    "warm-up": f"Gradient descent, warm-up to a rate of {PEAK:g}",
}

Schedule = Callable[[int], float]


@dataclass(frozen=True)
class Curve:
    """One run: at each measurement step, sharpness, its edge and the loss, (m,) each.

    highest: of the losses of all steps; ended: the last step, before `steps` where it diverged.
    """

    label: str
    steps: NDArray[np.float64]
    sharpness: NDArray[np.float64]
    edge: NDArray[np.float64]
    loss: NDArray[np.float64]
    highest: float
    ended: int
    diverged: bool

    @property
    def ratio(self) -> NDArray[np.float64]:
        return self.sharpness / self.edge

    @property
    def tail(self) -> NDArray[np.float64]:
        return self.ratio[-max(round(TAIL * len(self.steps)), 1) :]

    @property
    def middle(self) -> float:
        return float(np.median(self.tail))

    @property
    def reached(self) -> int | None:
        """Index of the first measurement at the edge."""
        above = np.flatnonzero(self.ratio >= 1)
        return int(above[0]) if len(above) else None


def data() -> tuple[Tensor, Tensor]:
    """300 images (300, 64) and one-hot labels (300, 10), the training set of the fixture."""
    (images, labels), _ = runpy.run_path(str(DIGITS))["data"]()
    return images, nn.functional.one_hot(labels, 10).float()


def network() -> nn.Sequential:
    """64-64-64-10 with tanh."""
    torch.manual_seed(0)
    linear, tanh = nn.Linear, nn.Tanh
    return nn.Sequential(linear(64, WIDTH), tanh(), linear(WIDTH, WIDTH), tanh(), linear(WIDTH, 10))


def squared(outputs: Tensor, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Half the squared error, summed over the classes."""
    return 0.5 * (outputs - batch[1]).square().sum(1).mean()


def train(
    make: type[torch.optim.Optimizer],
    schedule: Schedule,
    steps: int,
    label: str,
    every: int | None = EVERY,
) -> Curve:
    """Full-batch training; sharpness is that of the weights before a step; every=None: none."""
    metric = "adam_sharpness" if make is torch.optim.Adam else "hessian_top"
    model, batch = network(), data()
    problem = Problem(model, [batch], squared)
    optimizer = make(model.parameters(), lr=schedule(0))  # type: ignore[call-arg]
    earlier: Snapshot | None = None
    rows, losses = [], []
    for step in range(steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = schedule(step)
        loss = squared(model(batch[0]), batch)
        losses.append(loss.item())
        if not losses[-1] <= BLOWN * losses[0]:
            break
        if every and step % every == 0 and (step or metric == "hessian_top"):
            earlier = snapshot_of(
                model, step, optimizer=optimizer, problem=problem, earlier=earlier
            )
            found = measure(earlier, metric, k=1)
            if found.status.flat[0] != Status.ok:
                raise SystemExit(f"{metric} at step {step}: {found.skipped}")
            edge = found.beside["threshold"].flat[0]
            rows.append((step, found.values.flat[0], edge, losses[-1]))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    at, sharpness, edges, loss_at = np.array(rows).reshape(-1, 4).T
    return Curve(label, at, sharpness, edges, loss_at, max(losses), step, step < steps)


def constant(rate: float) -> Schedule:
    return lambda step: rate


def changed(before: float, after: float) -> Schedule:
    return lambda step: before if step < CHANGE_STEPS // 2 else after


def warmed(peak: float, over: int) -> Schedule:
    """Linear from a hundredth of the peak."""
    return lambda step: peak * min(1.0, 0.01 + 0.99 * step / max(over, 1)) if over else peak


def largest_peak(over: int) -> float:
    """The largest of PEAKS up to which all train without diverging."""
    best = 0.0
    for peak in PEAKS:
        if train(torch.optim.SGD, warmed(peak, over), WARM_STEPS, "", every=None).diverged:
            break
        best = peak
    return best


def draw(panels: dict[str, list[Curve]]) -> None:
    """Each panel: sharpness along steps, and the edge of its rate dashed in the same colour."""
    with styled():
        figure = Figure(figsize=(9.0, 6.2), layout="constrained")
        for axes, (name, curves) in zip(figure.subplots(2, 2).flat, panels.items(), strict=True):
            _panel(axes, name, curves)
        FIGURE.parent.mkdir(exist_ok=True)
        figure.savefig(FIGURE, dpi=96, metadata={"Software": None})


def _panel(axes: Axes, name: str, curves: list[Curve]) -> None:
    for curve, colour in zip(curves, by_depth(len(curves)), strict=True):
        axes.plot(curve.steps, curve.sharpness, color=colour, lw=1.2, label=curve.label)
        axes.plot(curve.steps, curve.edge, color=colour, lw=1.0, ls=(0, (4, 2)))
        if curve.diverged:
            axes.plot(curve.steps[-1], curve.sharpness[-1], "x", color=colour, ms=7, mew=1.8)
    adam = name == "adam"
    axes.set(
        xlabel="step", ylabel="λ of the preconditioned Hessian" if adam else "λ of the Hessian"
    )
    axes.set_title(TITLES[name], loc="left", fontsize=9.5)
    if name == "warm-up":
        axes.set(xlim=(-20, 1200), yscale="log", ylim=(1, 150))
    elif adam:
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.25 * max(max(c.edge.max(), c.sharpness.max()) for c in curves))
    axes.yaxis.set_major_formatter(ticks())
    axes.xaxis.set_major_formatter(ticks())
    quiet_grid(axes)
    axes.legend(frameon=False, fontsize=7.5)


def sharpness_by_rate(curves: list[Curve], rates: tuple[float, ...]) -> float:
    """The exponent a of λ ∝ η^a between the medians of the last quarters; the edges have -1."""
    medians = [np.median(curve.tail * curve.edge[-1]) for curve in curves]
    return float(np.polyfit(np.log(rates), np.log(medians), 1)[0])


def rows(curves: list[Curve]) -> str:
    lines = []
    for curve in curves:
        low, middle, high = np.quantile(curve.tail, [0.1, 0.5, 0.9])
        at = curve.reached
        there = "never | –" if at is None else f"{curve.steps[at]:.0f} | {curve.loss[at]:.4f}"
        lines.append(
            f"| {curve.label} | {curve.edge[-1]:.4g} | {curve.ratio[0]:.2f} | {middle:.3f} |"
            f" {low:.3f} to {high:.3f} | {there} | {curve.loss[-1]:.4f} |"
        )
    return "\n".join(lines)


def warm_rows(curves: list[Curve], largest: list[float]) -> str:
    lines = []
    for over, curve, peak in zip(WARM_UPS, curves, largest, strict=True):
        below = curve.steps <= max(over, 1)
        lowest = f"{curve.sharpness[below].min():.2f}"
        end = f"diverged at step {curve.ended} | –"
        if not curve.diverged:
            end = f"{curve.loss[-1]:.4f} | {curve.middle:.3f}"
        lines.append(f"| {over} | {lowest} | {curve.highest:.3g} | {end} | {peak:.2f} |")
    return "\n".join(lines)


HEAD = """\
| | edge | λ / edge at the first measurement | last quarter: median | 10 to 90 % | edge reached at \
step | loss then | last loss |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"""


def outcome(runs: dict[str, list[Curve]], largest: list[float]) -> str:
    gd, adam, change = ([c.middle for c in runs[name]] for name in ("gd", "adam", "change"))
    hover = max(abs(m - 1) for m in (*gd, *adam)) <= NEAR
    follow = max(abs(m - 1) for m in change) <= NEAR
    falls = all(c.reached is not None and c.loss[-1] < c.loss[c.reached] for c in runs["gd"])
    helped = runs["warm-up"][0].diverged and not runs["warm-up"][-1].diverged
    parts = (hover, follow, falls, helped)
    word = "Reproduced" if all(parts) else "Partly reproduced" if any(parts) else "Not reproduced"
    first, last = runs["warm-up"][0], runs["warm-up"][-1]
    at_peak = last.sharpness[np.flatnonzero(last.steps >= WARM_UPS[-1])[0]]
    return f"""\
**Outcome. {word}.** Gradient descent: in the last quarter of training the median of λη/2 is
{", ".join(f"{m:.3f}" for m in gd)} at the rates {", ".join(f"{r:g}" for r in GD_RATES)}; between \
them λ goes as
η^{sharpness_by_rate(runs["gd"], GD_RATES):.2f}, the edge as η^-1. The loss at the end is \
{"lower than" if falls else "not everywhere lower than"} when the edge was reached.
Adam: λη/38 is {", ".join(f"{m:.3f}" for m in adam)} at the rates \
{", ".join(f"{r:g}" for r in ADAM_RATES)}. When the
rate is halved or doubled, λ {"moves to the new edge" if follow else "misses the new edge"}. \
At a peak rate of {PEAK:g} training {_end(first)}
without warm-up and {_end(last)} with {WARM_UPS[-1]} steps of it, in which λ goes from \
{last.sharpness[0]:.1f} to {at_peak:.1f}.
A warm-up of {WARM_UPS[1]} steps {_short(largest)}.

"Reproduced" means: medians within {100 * NEAR:.0f} % of the edge, at constant rates and after a \
change; the loss
lower at the end than when the edge was reached; divergence without warm-up and none with it."""


def _end(curve: Curve) -> str:
    return f"diverges at step {curve.ended}" if curve.diverged else "does not diverge"


def _short(largest: list[float]) -> str:
    if largest[1] > largest[0]:
        return f"raises the largest rate that trains from {largest[0]:.2f} to {largest[1]:.2f}"
    without = f"up to {largest[0]:.2f} without any"
    return f"does not help: rates up to {largest[1]:.2f} train with it, {without}"


def page(runs: dict[str, list[Curve]], largest: list[float]) -> str:
    names = ("dyntools", "torch", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    over = [curve.middle for curve in runs["gd"]]
    warm = [curve.middle for curve in runs["warm-up"] if not curve.diverged]
    catapult = runs["change"][1]
    half = int(np.flatnonzero(catapult.steps >= CHANGE_STEPS // 2)[0])
    return f"""\
# The edge of stability on digits

**Claims.** Full-batch gradient descent at a constant rate η drives the largest eigenvalue λ of the
Hessian up to 2/η, where it hovers while the loss still falls: Cohen et al. 2021, *Gradient descent
on neural networks typically occurs at the edge of stability*,
[arXiv:2103.00065](https://arxiv.org/abs/2103.00065). Adam does the same with the preconditioned
Hessian, at 38/η for β1 = 0.9: Cohen et al. 2022, *Adaptive gradient methods at the edge of
stability*, [arXiv:2207.14484](https://arxiv.org/abs/2207.14484). A rate too large for the start is
made harmless by a warm-up, during which λ falls: Gilmer et al. 2022, *A loss curvature perspective
on training instability in deep learning*, [arXiv:2110.04369](https://arxiv.org/abs/2110.04369).

{outcome(runs, largest)}

## Setting

The 300 training images of `fixtures/runs/digits-mlp`, a tenth of the labels random, full batch. A
64-{WIDTH}-{WIDTH}-10 tanh network with PyTorch's initialisation, half the squared error summed over
the classes, plain gradient descent and Adam (β 0.9 and 0.999, ε 1e-8), one seed. λ is
`dyntools.measure(dyntools.snapshot_of(model, step, …), "hessian_top", k=1)`, for Adam
`adam_sharpness`, every {EVERY} steps (an odd number, as the weights swing with period two).
The edge is the companion `threshold` of the same measurement, read from the optimizer.

![Sharpness along training, and the edge of each rate](figures/{FIGURE.name})

Dashed: the edge of the rate in the same colour. Crosses: the last measurement before divergence.

## Gradient descent, {GD_STEPS} steps

λ / edge is λη/2.

{HEAD}
{rows(runs["gd"])}

## Adam, {ADAM_STEPS} steps

λ / edge is λη/38, λ that of the preconditioned Hessian.

{HEAD}
{rows(runs["adam"])}

## The rate changed at half of {CHANGE_STEPS} steps

{HEAD}
{rows(runs["change"])}

The edge is the last one. Where the rate doubles, λ is above the new edge at once: the loss is
thrown from {catapult.loss[half]:.3f} to {catapult.highest:.2f}, and falls again where λ is lower.

## Warm-up to a rate of {PEAK:g}, {WARM_STEPS} steps

The edge at the peak is {2 / PEAK:g}; λ starts at {runs["warm-up"][0].sharpness[0]:.2f}. It rises \
until it meets the falling edge of the rising
rate, and is then pressed down by it. A run has diverged when its loss is {BLOWN:g} times the first.

| steps of warm-up | lowest λ up to the peak | highest loss | last loss | λη/2, last quarter | \
largest peak rate that trains |
| ---: | ---: | ---: | ---: | ---: | ---: |
{warm_rows(runs["warm-up"], largest)}

The last column is the largest of {", ".join(f"{peak:.2f}" for peak in PEAKS)} \
up to which all train.

## What to keep in mind

- For [hessian_top](../metrics/hessian_top.md): λ near `threshold` is what a constant rate does in
  full-batch training, and no sign of trouble. It hovers a little above: {_percent(over)} here at
  constant rates, {_percent(warm)} at the rate of {PEAK:g} after warm-up.
- For [adam_sharpness](../metrics/adam_sharpness.md): Adam's rate is to be held against the
  eigenvalue of the preconditioned Hessian.
- Before the edge, λ follows the time rate × step: at equal times it differs by at most
  {100 * _apart(*runs["gd"][:2]):.1f} % between the rates {GD_RATES[0]:g} and {GD_RATES[1]:g}. \
There it says nothing about the rate.

## Limits

One network, one data set, one seed, squared error. With cross-entropy the sharpness falls again
once all examples are fitted, and the edge is left; with mini-batches λ of the full batch stays
below 2/η (both: first paper). What a mini-batch itself has: [batch sharpness](batch-sharpness.md).

Made by `python docs/reproductions/edge-of-stability.py` (Python {platform.python_version()},
{versions}). On another processor single values differ, as
training at the edge is chaotic.
"""


def _percent(ratios: list[float]) -> str:
    return f"{100 * (min(ratios) - 1):.0f} to {100 * (max(ratios) - 1):.0f} %"


def _apart(slow: Curve, fast: Curve) -> float:
    """The largest relative difference of λ at equal times, until the faster is at its edge.

    The rate of `slow` is half that of `fast`.
    """
    before = (fast.reached or len(fast.steps)) - 1
    half = slow.sharpness[: 2 * before + 1 : 2]
    return float(np.abs(half / fast.sharpness[: before + 1] - 1).max())


def curves() -> dict[str, list[Curve]]:
    sgd, adam = torch.optim.SGD, torch.optim.Adam
    return {
        "gd": [train(sgd, constant(rate), GD_STEPS, f"rate {rate:g}") for rate in GD_RATES],
        "adam": [train(adam, constant(rate), ADAM_STEPS, f"rate {rate:g}") for rate in ADAM_RATES],
        "change": [
            train(sgd, changed(a, b), CHANGE_STEPS, f"rate {a:g}, then {b:g}") for a, b in CHANGES
        ],
        "warm-up": [
            train(sgd, warmed(PEAK, n), WARM_STEPS, f"warm-up over {n} steps", WARM_EVERY)
            for n in WARM_UPS
        ],
    }


def main() -> None:
    torch.set_num_threads(1)  # several are slower here, and round differently
    runs = curves()
    largest = [largest_peak(over) for over in WARM_UPS]
    draw(runs)
    PAGE.write_text(page(runs, largest))


if __name__ == "__main__":
    main()
