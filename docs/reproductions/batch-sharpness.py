"""How much sharper are mini-batches than all examples? The law of batch size on digits.

    python docs/reproductions/batch-sharpness.py

The largest Hessian eigenvalue of B of N examples, with x = 1/B - 1/N, is said to be

    λ(x) = λ + s x / λ   while λ² > s x,      2 sqrt(s x) beyond,

λ that of all N, s the summed variance of the per-example Hessians. Measured at the checkpoints of
fixtures/runs/digits-mlp; the law is fitted to small batches alone and asked for the value at B = N,
which is known. Writes docs/reproductions/batch-sharpness.md and its figure, in one to two minutes.

Granziol, Zohren & Roberts 2022, Learning Rates as a Function of Batch Size: A Random Matrix Theory
Approach to Neural Network Training, arXiv:2006.09092.
"""

from __future__ import annotations

import math
import platform
import runpy
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dyntools import Status, measure, open_run
from dyntools.metrics.curvature.batch_sharpness import Law, fitted, law
from dyntools.run import snapshots
from dyntools.views.style import BLUE, GREY, ORANGE, by_depth, quiet_grid, styled, ticks

PAGE = Path(__file__).with_suffix(".md")
FIGURE = PAGE.parent / "figures" / "batch-sharpness.png"
RUN = PAGE.parents[2] / "fixtures" / "runs" / "digits-mlp"
SIZES, DRAWS = 6, 40  # batch sizes below N, and draws of each; chosen
SMALL = 8  # the law sees batches of at most N / SMALL; chosen
CLOSE, WITHIN = 0.1, 2.0  # a prediction holds: relative error at most, standard errors; chosen
SHOWN = (0, 50, 400, 1400)  # steps in the figure; chosen

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Step:
    """One checkpoint: batch sizes up to N, mean λ, its error and the spread of a draw, (m,) each.

    law: fitted to the small batches. root: a + b sqrt(x) fitted to the same, at x = 0, and error.
    metric: what the metric itself extrapolates from all batches smaller than N, and its error.
    """

    step: int
    batches: Vector
    values: Vector
    errors: Vector
    spread: Vector
    law: Law
    root: tuple[float, float]
    metric: tuple[float, float]

    @property
    def x(self) -> Vector:
        return np.asarray(1 / self.batches - 1 / self.batches[-1])

    @property
    def small(self) -> NDArray[np.bool_]:
        return np.asarray(self.batches <= self.batches[-1] / SMALL)

    @property
    def predicted(self) -> tuple[float, float]:
        """The law at B = N, and its standard error."""
        return self.law.value, float(self.law.error(np.zeros(1))[0])

    @property
    def off(self) -> float:
        """Prediction over truth, less one."""
        return self.predicted[0] / float(self.values[-1]) - 1

    @property
    def misfit(self) -> Vector:
        """Measured less predicted at the sizes that the law did not see, in standard errors."""
        unseen = ~self.small
        errors = np.hypot(self.errors[unseen], self.law.error(self.x[unseen]))
        return np.asarray((self.values[unseen] - self.law.at(self.x[unseen])) / errors)

    @property
    def holds(self) -> bool:
        value, error = self.predicted
        truth = float(self.values[-1])
        return abs(value - truth) <= max(CLOSE * truth, WITHIN * error)

    @property
    def power(self) -> float:
        """a of λ(B) ∝ B^-a between the two smallest batches."""
        (b, next_b), (at, next_at) = self.batches[:2], self.values[:2]
        return math.log(at / next_at) / math.log(next_b / b)

    @property
    def excess_power(self) -> float:
        """a of λ(x) - λ ∝ x^a between the largest small batch and N/2; the law has 1."""
        one = int(self.small.sum()) - 1
        (x, next_x), (at, next_at) = self.x[[one, -2]], self.values[[one, -2]] - self.values[-1]
        return math.log(at / next_at) / math.log(x / next_x)


def steps() -> list[Step]:
    problem = runpy.run_path(str(RUN / "problem.py"))["problem"]()
    found = []
    for snapshot in snapshots(open_run(RUN), problem=problem):
        measured = measure(snapshot, "batch_sharpness", sizes=SIZES, draws=DRAWS)
        if (measured.status != Status.ok).any() or measured.error is None:
            raise SystemExit(f"batch_sharpness at step {snapshot.step}: {measured.skipped}")
        batches = np.array(measured.coords["batch_size"], dtype=float)
        x = 1 / batches - 1 / batches[-1]
        small = batches <= batches[-1] / SMALL
        seen = (x[small], measured.values[small], measured.error[small])
        if (small_law := fitted(*seen)) is None:
            raise SystemExit(f"batch_sharpness at step {snapshot.step}: no law fits")
        numbers = (measured.values, measured.error, measured.beside["spread"])
        own = (measured.beside["extrapolated"][-1], measured.beside["extrapolated_error"][-1])
        found.append(Step(snapshot.step, batches, *numbers, small_law, root(*seen), own))
    return found


def root(x: Vector, values: Vector, errors: Vector) -> tuple[float, float]:
    """a of a + b sqrt(x) by weighted least squares, and its standard error."""
    design = np.stack([np.ones_like(x), np.sqrt(x)], axis=1) / errors[:, None]
    covariance = np.linalg.inv(design.T @ design)
    a = float((covariance @ design.T @ (values / errors))[0])
    return a, float(np.sqrt(covariance[0, 0]))


def draw(found: list[Step]) -> None:
    """Left: λ over batch size with the law of the small ones; right: prediction over truth."""
    with styled():
        figure = Figure(figsize=(9.0, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
        _by_size(left, [one for one in found if one.step in SHOWN])
        _by_step(right, found)
        FIGURE.parent.mkdir(exist_ok=True)
        figure.savefig(FIGURE, dpi=96, metadata={"Software": None})


def _by_size(axes: Axes, found: list[Step]) -> None:
    for one, colour in zip(found, by_depth(len(found)), strict=True):
        whole = one.batches[-1]
        grid = np.geomspace(one.batches[0], whole, 200)
        curve = law(one.law.value, one.law.noise, 1 / grid - 1 / whole)
        axes.plot(grid, curve, color=colour, lw=1.2)
        for part, face in ((one.small, colour), (~one.small, "white")):
            axes.errorbar(
                one.batches[part],
                one.values[part],
                one.errors[part],
                fmt="o",
                ms=4.5,
                color=colour,
                mfc=face,
            )
        axes.text(1.12 * whole, one.values[-1], f"step {one.step}", color=colour, va="center")
    axes.set(xscale="log", yscale="log", xlabel="batch size", ylabel="largest eigenvalue λ(B)")
    axes.set_xlim(None, 3.3 * found[0].batches[-1])
    axes.set_xticks(found[0].batches, [f"{size:.0f}" for size in found[0].batches])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(ticks())
    quiet_grid(axes)


def _by_step(axes: Axes, found: list[Step]) -> None:
    at = np.arange(len(found))
    truth = np.array([one.values[-1] for one in found])
    value, error = np.array([one.predicted for one in found]).T
    largest = np.array([one.values[one.small][-1] for one in found])
    size = found[0].batches[found[0].small][-1]
    axes.axhline(1.0, color=GREY, lw=1.0, ls="--")
    axes.errorbar(at, value / truth, error / truth, fmt="o", ms=4.5, color=BLUE, label="the law")
    axes.plot(at, largest / truth, "s", ms=4, color=ORANGE, label=f"batches of {size:.0f}")
    axes.set_xticks(at, [str(one.step) for one in found])
    axes.set(xlabel="step", ylabel="predicted λ(N) / λ(N)")
    axes.legend(frameon=False, fontsize=7.5)
    quiet_grid(axes)


def rows(found: list[Step]) -> str:
    lines = []
    for one in found:
        value, error = one.predicted
        near = one.values[one.small][-1]
        lines.append(
            f"| {one.step} | {one.values[0]:.3g} ± {one.errors[0]:.2g} | {near:.3g} |"
            f" {value:.3g} ± {error:.2g} | {one.root[0]:.3g} ± {one.root[1]:.2g} |"
            f" {one.metric[0]:.3g} ± {one.metric[1]:.2g} | **{one.values[-1]:.3g}** |"
            f" {100 * one.off:+.0f} % | {one.power:.2f} | {one.excess_power:.2f} |"
        )
    return "\n".join(lines)


def outcome(found: list[Step]) -> str:
    holds = sum(one.holds for one in found)
    above = all((one.values[:-1] > one.values[-1]).all() for one in found)
    factor = [one.values[0] / one.values[-1] for one in found]
    word = {len(found): "Reproduced", 0: "Not reproduced"}.get(holds, "Partly reproduced")
    off = np.abs([one.off for one in found])
    near = np.array([one.values[one.small][-1] / one.values[-1] - 1 for one in found])
    rooted = np.abs([one.root[0] / one.values[-1] - 1 for one in found])
    smallest, largest = found[0].batches[0], found[0].batches[found[0].small][-1]
    powers = [one.power for one in found]
    high = sum(one.off > 0 for one in found)
    own = np.abs([one.metric[0] / one.values[-1] - 1 for one in found])
    return f"""\
**Outcome. {word}.** {"At every checkpoint and size" if above else "Mostly"} the mean λ of \
mini-batches is above that of
all {found[0].batches[-1]:.0f} examples, {min(factor):.1f} to {max(factor):.1f} times as large at \
{smallest:.0f} examples. The law, fitted to batches of {smallest:.0f} to {largest:.0f}, gives
λ of all within {100 * CLOSE:.0f} % or {WITHIN:g} standard errors at {holds} of {len(found)} \
checkpoints, and is too high at {high}: by
{100 * np.median(off):.0f} % in the median, {100 * off.max():.0f} % at most. That is better than \
no law: batches of {largest:.0f} are {100 * np.median(near):.0f} and {100 * near.max():.0f} % too
high, a fit of a + b/√B is off by {100 * np.median(rooted):.0f} and {100 * rooted.max():.0f} %. \
Fitted up to N/2, as the metric does it, the
law is off by {100 * np.median(own):.0f} and {100 * own.max():.0f} %. The stable rate does not \
grow in proportion to B: between the two
smallest sizes λ(B) goes as B^-{min(powers):.2f} to B^-{max(powers):.2f}.

"Reproduced" means: at every checkpoint the law gives λ of all as closely as just said."""


def page(found: list[Step]) -> str:
    names = ("dyntools", "torch", "numpy", "scipy")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    sizes = ", ".join(f"{size:.0f}" for size in found[0].batches[:-1])
    heavy = max(found, key=lambda one: one.spread[0] / one.values[0])
    misfits = np.concatenate([one.misfit for one in found])
    excess = np.median([one.excess_power for one in found])
    near = found[0].batches[found[0].small][-1]
    return f"""\
# Batch sharpness on digits

**Claim.** The largest Hessian eigenvalue of B of N examples exceeds that of all N. With
x = 1/B - 1/N it is λ + s x/λ while the outlier stands apart from the noise, and 2√(s x), the edge
of the noise, beyond; the largest stable learning rate of SGD grows linearly with B at first:
Granziol, Zohren & Roberts 2022, *Learning rates as a function of batch size: a random matrix theory
approach to neural network training*, [arXiv:2006.09092](https://arxiv.org/abs/2006.09092).

{outcome(found)}

## Setting

The {len(found)} checkpoints of `fixtures/runs/digits-mlp`: a 64-64-32-10 ReLU network, Adam,
cross-entropy on {found[0].batches[-1]:.0f} images, a tenth of the labels random. {DRAWS} draws \
without replacement
of each of {sizes} examples, by
`dyntools.measure(snapshot, "batch_sharpness", sizes={SIZES}, draws={DRAWS})`. The fit of that
metric uses all batches smaller than N. Here the same law is fitted to those of at most
N/{SMALL}, to give it farther to go.

## Result

![λ over batch size, and prediction over truth](figures/{FIGURE.name})

Left: mean λ ± standard error; the law was fitted to the filled points. Right: its value at B = N
over the true one, ± standard error, and the mean of batches of {near:.0f}.

| step | λ of {found[0].batches[0]:.0f} | λ of {near:.0f} | law at N | a of a + b/√B | \
metric at N | true λ of N | law off by | power of B | power of x |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
{rows(found)}

"metric at N" is the companion `extrapolated`. The power of B is that of 1/λ(B) between the two
smallest sizes; by the branches as written it is at most 1/2, as s x/λ outgrows λ just where the
second begins. The power of x is that of the excess λ(B) - λ between {near:.0f} and N/2, where the
law has 1: it is {excess:.2f} in the median. Over the sizes that the law did not see, measured less
predicted is {np.mean(misfits):+.1f} standard errors in the mean: near N its form is right, but \
small batches alone
make it too flat.

## What to keep in mind

- That the mean over mini-batches is above the whole is no finding: λ_1 is convex in the matrix
  (Jensen). How far, and how it falls with B, is what the law says.
- For [batch_sharpness](../metrics/batch_sharpness.md): `infinite`, the value at all data of which
  the probe is a sample, rests on the same law. As the law takes off too little on the way from
  small batches to N, `infinite` is rather too high than too low.
- Whoever measures λ on a probe of a few dozen examples reads too much. Compare values of one probe,
  or of probes of one size.

## Limits

The law takes per-example Hessians as one outlier and Gaussian noise. Late in training few examples
carry most of the curvature: at step {heavy.step} the standard deviation of a draw of \
{heavy.batches[0]:.0f} is {heavy.spread[0] / heavy.values[0]:.1f} times its
mean. One network, one data set, one order of draws for all checkpoints.

Made by `python docs/reproductions/batch-sharpness.py` (Python {platform.python_version()},
{versions}). On another processor the last digits
may differ.
"""


def main() -> None:
    torch.set_num_threads(1)  # several are slower here, and round differently
    found = steps()
    draw(found)
    PAGE.write_text(page(found))


if __name__ == "__main__":
    main()
