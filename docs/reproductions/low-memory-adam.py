"""How much of Adam's memory can a small GPT do without? From saved states to a verified plan.

    python docs/reproductions/low-memory-adam.py --out RUNS [--text FILE] [--jobs 2]

The second moment of a tensor may be kept as its mean over some axes where its signal-to-noise ratio
along them is above a cutoff; a larger learning rate is said to lower the ratio and with it what can
be saved. Trains a character-level GPT (`low_memory_gpt`) with AdamW at two peak rates, reads the
saved states with dyntools, decides, and trains again with the plan: from a checkpoint in the
middle, and from the start. What is finished in RUNS is not done again. Writes low-memory-adam.md
beside this file and its figures, in about 20 minutes of two cores.

Kalra et al. 2025, SlimAdam, arXiv:2503.01843.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import textwrap
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from low_memory_gpt import (
    BATCH,
    BETAS,
    BLOCK,
    CLIP,
    DECAY,
    EPS,
    HEADS,
    JUDGED,
    LAYERS,
    STEPS,
    TEXT,
    WARM_UP,
    WIDTH,
    Job,
    Trained,
    problem,
    train,
)
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dyntools import Report, analyze, make_plan, open_run, read_report
from dyntools.adam_memory.cutoffs import CUTOFFS, by_cutoff
from dyntools.adam_memory.decision import Decision, decide
from dyntools.adam_memory.evidence import Evidence, by_kind, evidence_of
from dyntools.adam_memory.hindsight import hindsight
from dyntools.forms import mean_over
from dyntools.run import snapshots
from dyntools.verification import Arm, Interval, Verification, interval_of, verify
from dyntools.views.style import BLUE, GREY, INK, ORANGE, styled

PAGE = Path(__file__).with_suffix(".md")
FIGURES = PAGE.parent / "figures"
RATES = (1e-3, 1e-2)  # peak learning rates, as far apart as the authors'
SEEDS = (0, 1, 2)  # of the initial weights and of the order of the examples
EVEN = range(200, STEPS + 1, 200)  # of the saved steps, after the warm-up and evenly spaced
FINE = tuple(float(x) for x in np.geomspace(0.3, 15, 60))  # cutoffs of the figure
MIDDLE, FURTHER, ORDERS = 1000, 100, 5  # verification: from this step, steps, orders; chosen


@dataclass(frozen=True, eq=False)
class Measured:
    """What dyntools says of the run at one peak rate."""

    peak: float
    report: Report
    decision: Decision

    @property
    def even(self) -> Evidence:
        """Of the evenly spaced steps alone."""
        return evidence_of(self.report, steps=EVEN)


def measured(out: Path, peak: float) -> Measured:
    """The report of a run, made once, and the decision by the authors' rule at their cutoff."""
    path = out / f"lr-{peak:g}.h5"
    if path.is_file():
        report = read_report(path)
    else:
        run = open_run(out / f"lr-{peak:g}")
        report = analyze(run, make_plan(run, preset="low-memory"), path)
    return Measured(peak, report, decide(evidence_of(report)))


@dataclass(frozen=True)
class Plan:
    """Forms and the rate they are tried at. name: of the rows and folders."""

    name: str
    peak: float
    forms: dict[str, str]


def plans(found: Sequence[Measured]) -> list[Plan]:
    """The plan of each run, at its own rate."""
    return [Plan(f"lr-{one.peak:g}-own", one.peak, labels(one.decision)) for one in found]


def others(found: Sequence[Measured]) -> list[Plan]:
    """Only tried from the middle: what even steps say at the larger rate, and the control."""
    low, high = found
    even = Plan(f"lr-{high.peak:g}-even", high.peak, labels(decide(high.even)))
    return [even, Plan("control", low.peak, one_value(low.decision))]


def labels(decision: Decision) -> dict[str, str]:
    return {name: form.label for name, form in decision.forms.items()}


def one_value(decision: Decision) -> dict[str, str]:
    """A control that must do harm: one number for each tensor, norms and all."""
    return {
        choice.tensor.name: mean_over(*range(len(choice.tensor.shape))).label
        for choice in decision.choices
    }


@dataclass(frozen=True)
class Continued:
    """A job for `verified`."""

    out: Path
    plan: Plan
    text: Path


def verified(job: Continued) -> Verification:
    """From the checkpoint in the middle; read from the folder if it is done."""
    torch.set_num_threads(1)
    done = job.out / f"verified-{job.plan.name}.json"
    if not done.is_file():
        run = open_run(job.out / f"lr-{job.plan.peak:g}")
        (snapshot,) = snapshots(run, steps=[MIDDLE])
        training, judging = problem(job.text), problem(job.text, "held-out")
        found = verify(
            training,
            snapshot,
            job.plan.forms,
            FURTHER,
            seeds=ORDERS,
            batch_size=BATCH,
            clip=CLIP,
            held_out=judging,
        )
        done.write_text(json.dumps(asdict(found)))
    stored = json.loads(done.read_text())
    for arm in ("adamw", "plan"):
        pairs = {name: tuple(stored[arm][name]) for name in ("losses", "training")}
        stored[arm] = Arm(**{**stored[arm], **pairs})
    return Verification(**stored)


@dataclass(frozen=True, eq=False)
class Results:
    """All that the page tells. runs: by plan, "lr-…" for AdamW, one a seed."""

    measured: list[Measured]
    plans: list[Plan]
    runs: dict[str, list[Trained]]
    verified: dict[str, Verification]

    def difference(self, plan: Plan) -> tuple[list[float], Interval]:
        """Validation loss with the plan less that of AdamW from the same start, by seed."""
        pairs = zip(self.runs[plan.name], self.runs[f"lr-{plan.peak:g}"], strict=True)
        found = [with_plan.validation - adamw.validation for with_plan, adamw in pairs]
        return found, interval_of(found)


def results(out: Path, text: Path, jobs: int) -> Results:
    """Stage by stage; what lies in `out` is not done again."""
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        adamw = [
            Job(
                out / f"lr-{peak:g}{f'-seed-{seed}' if seed else ''}",
                peak,
                seed,
                text,
                save=not seed,
            )
            for seed in SEEDS
            for peak in RATES
        ]
        trained = list(pool.map(train, adamw))
        runs = {f"lr-{peak:g}": trained[i :: len(RATES)] for i, peak in enumerate(RATES)}
        found = [measured(out, peak) for peak in RATES]
        tried = plans(found)
        checked = [*tried, *others(found)]
        with_plan = [
            Job(out / f"{plan.name}-seed-{seed}", plan.peak, seed, text, plan.forms)
            for plan in tried
            for seed in SEEDS
        ]
        further = pool.map(verified, [Continued(out, plan, text) for plan in checked])
        rest = list(pool.map(train, with_plan))
        n = len(SEEDS)
        runs |= {plan.name: rest[i * n : (i + 1) * n] for i, plan in enumerate(tried)}
        names = [plan.name for plan in checked]
        return Results(found, tried, runs, dict(zip(names, further, strict=True)))


KINDS = ("query", "key", "value", "attention output", "mlp up", "mlp down", "embedding", "position")
# The axis that the authors' fixed rules average, in torch's layout ("Table 1" as in their code).
FIXED = {"query": 1, "key": 1, "value": 0, "attention output": 0, "mlp up": 0, "mlp down": 0}
FIXED |= {"embedding": 1, "position": 1}
AXES = {"axes 0": "dashed", "axes 1": "solid"}
COLOURS = dict(zip(RATES, (BLUE, ORANGE), strict=True))


def draw_ratios(found: Sequence[Measured]) -> None:
    """SNR by kind of layer along training: both rates, both axes."""
    with styled():
        figure = Figure(figsize=(9.0, 4.6), layout="constrained")
        grid = figure.subplots(2, 4, sharex=True, sharey=True)
        for kind, axes in zip(KINDS, grid.flat, strict=True):
            for one in found:
                _ratios(axes, one, kind)
            axes.axhline(1.0, color=GREY, linewidth=0.8)
            axes.set_title(kind, fontsize=9, loc="left")
        grid[0, 0].set(xscale="log", yscale="log", xlim=(8, 2500))
        grid[0, 0].set_xticks([10, 100, 1000], ["10", "100", "1000"])
        grid[0, 0].set_yticks([0.1, 1, 10], ["0.1", "1", "10"])
        grid[0, 0].minorticks_off()
        for axes in grid[:, 0]:
            axes.set_ylabel("signal-to-noise ratio")
        for axes in grid[1]:
            axes.set_xlabel("step")
        first = grid[0, 0]
        for peak, colour in COLOURS.items():
            first.plot([], [], color=colour, label=f"peak rate {peak:g}")
        for (label, style), what in zip(AXES.items(), ("fan-out", "fan-in"), strict=True):
            first.plot([], [], color=INK, linestyle=style, label=f"axis {label[-1]}, {what}")
        figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8)
        figure.savefig(FIGURES / "low-memory-adam-snr.png")


def _ratios(axes: Axes, one: Measured, kind: str) -> None:
    steps = one.decision.evidence.steps
    by_step = [by_kind(evidence_of(one.report, steps=[step]))[kind] for step in steps]
    for label, style in AXES.items():
        values = [found[label] for found in by_step]
        axes.plot(steps, values, color=COLOURS[one.peak], linestyle=style)


def draw_outcome(found: Results) -> None:
    """What is saved by cutoff, and what it does to the loss."""
    with styled():
        figure = Figure(figsize=(9.0, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.0, 1.7))
        for one in found.measured:
            for evidence, style in ((one.decision.evidence, "solid"), (one.even, "dotted")):
                saved = [100 * each.saved for each in by_cutoff(evidence, cutoffs=FINE)]
                left.plot(FINE, saved, color=COLOURS[one.peak], linestyle=style)
            left.plot([], [], color=COLOURS[one.peak], label=f"peak rate {one.peak:g}")
        for label, style in (("all steps", "solid"), ("even steps", "dotted")):
            left.plot([], [], color=INK, linestyle=style, label=label)
        figure.legend(loc="outside lower left", ncols=4, frameon=False, fontsize=8)
        left.axvline(1.0, color=GREY, linewidth=0.8)
        left.set(xscale="log", xlabel="cutoff of the ratio", ylabel="second moments saved, %")
        left.set_xticks([0.5, 1, 2, 5, 10], ["0.5", "1", "2", "5", "10"], minor=False)
        left.set_xticks([], minor=True)
        rows = _rows(found)
        for y, (_, values, interval, colour) in enumerate(reversed(rows)):
            right.plot(values, [y] * len(values), ".", color=colour, alpha=0.5)
            width = interval.half_width
            right.errorbar(interval.mean, y + 0.22, xerr=width, fmt="o", color=colour, markersize=4)
        right.axvline(0.0, color=GREY, linewidth=0.8)
        right.set_yticks(range(len(rows)), [row[0] for row in reversed(rows)])
        right.set_xlabel("validation loss, plan less AdamW")
        figure.savefig(FIGURES / "low-memory-adam.png")


def _rows(found: Results) -> list[tuple[str, Sequence[float], Interval, str]]:
    rows: list[tuple[str, Sequence[float], Interval, str]] = []
    for plan in found.plans:
        values, interval = found.difference(plan)
        rows.append((f"from the start, {told(plan)}", values, interval, COLOURS[plan.peak]))
    for plan in (*found.plans, *others(found.measured)):
        one = found.verified[plan.name]
        colour = GREY if plan.name == "control" else COLOURS[plan.peak]
        label = f"from step {MIDDLE}, {told(plan)}"
        rows.append((label, one.differences, one.difference, colour))
    return rows


def told(plan: Plan) -> str:
    if plan.name == "control":
        return f"{plan.peak:g}, one value a tensor"
    which = "even steps" if plan.name.endswith("even") else "all steps"
    return f"{plan.peak:g}, plan of {which}"


def kinds_table(found: Sequence[Measured]) -> str:
    """Mean over layers of the time-mean ratio, and the axis of the fixed rules."""
    every = [by_kind(one.decision.evidence) for one in found]
    lines = []
    for kind in KINDS:
        cells = []
        for one in every:
            best = max(one[kind], key=one[kind].__getitem__)
            numbers = {label: f"{value:.2f}" for label, value in one[kind].items()}
            numbers[best] = f"**{numbers[best]}**"
            cells += [numbers[label] for label in ("axes 0", "axes 1", "axes 0,1")]
        lines.append(f"| {kind} | {' | '.join(cells)} | {FIXED[kind]} |")
    return "\n".join(lines)


def savings_table(found: Sequence[Measured]) -> str:
    """Share of v saved by rule and cutoff."""
    rows = [(f"slimadam, cutoff {cutoff:g}", ("slimadam", cutoff, None)) for cutoff in CUTOFFS]
    rows += [("corrected, cutoff 1", ("corrected", 1.0, None))]
    rows += [("most-memory, cutoff 1", ("most-memory", 1.0, None))]
    rows += [(f"update-error, {e:g}", ("update-error", 1.0, e)) for e in (0.1, 0.3)]
    lines = []
    for name, settings in rows:
        evidence = [e for one in found for e in (one.decision.evidence, one.even)]
        saved = [decide(one, *settings).saved for one in evidence]
        lines.append(f"| {name} | {' | '.join(f'{100 * x:.2f} %' for x in saved)} |")
    return "\n".join(lines)


def hindsight_table(found: Sequence[Measured]) -> str:
    """What some of the steps would have said, at both rates."""
    columns = [hindsight(one.report, one.decision) for one in found]
    whole = [f"{100 * one.decision.saved:.2f} % | – " for one in found]
    lines = [f"| all {len(found[0].decision.evidence.steps)} | {' | '.join(whole)}|"]
    cells = []
    for one in found:
        then, forms = decide(one.even), one.decision.forms
        agree = sum(then.forms[name] == form for name, form in forms.items())
        cells.append(f"{100 * then.saved:.2f} % | {agree} of {len(forms)}")
    lines.append(f"| even, {len(found[0].even.steps)} | {' | '.join(cells)} |")
    for row in zip(*columns, strict=True):
        cells = [f"{100 * one.saved:.2f} % | {one.agree} of {one.tensors}" for one in row]
        lines.append(f"| {row[0].label}, {len(row[0].steps)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def start_table(found: Results) -> str:
    """Trainings from the start."""
    lines = []
    for plan in found.plans:
        adamw, own = found.runs[f"lr-{plan.peak:g}"], found.runs[plan.name]
        _, interval = found.difference(plan)
        losses = [np.mean([run.validation for run in runs]) for runs in (adamw, own)]
        lines.append(
            f"| {told(plan)} | {losses[0]:.4f} | {losses[1]:.4f} | {shown(interval)}"
            f" | {own[0].state / 1e6:.2f} of {adamw[0].state / 1e6:.2f} MB |"
        )
    return "\n".join(lines)


def verified_table(found: Results) -> str:
    """From the checkpoint in the middle."""
    lines = []
    for plan in (*found.plans, *others(found.measured)):
        one = found.verified[plan.name]
        lines.append(
            f"| {told(plan)} | {np.mean(one.adamw.losses):.4f} | {shown(one.difference)}"
            f" | {shown(one.training_difference)} | {one.order_spread:.4f}"
            f" | {one.plan.state_bytes / 1e6:.2f} of {one.adamw.state_bytes / 1e6:.2f} MB"
            f" | {1e3 * one.plan.seconds:.0f} and {1e3 * one.adamw.seconds:.0f} ms |"
        )
    return "\n".join(lines)


def shown(interval: Interval) -> str:
    return f"{interval.mean:+.4f} ± {interval.half_width:.4f}"


def lowered(found: Sequence[Measured]) -> tuple[int, int]:
    """Matrices whose largest ratio is lower at the larger rate, of how many."""
    low, high = ({t.name: t for t in one.decision.evidence.tensors} for one in found)
    matrices = [name for name, tensor in low.items() if tensor.kind in FIXED]
    largest = [
        [max(c.snr for c in side[name].candidates if not math.isnan(c.snr)) for name in matrices]
        for side in (low, high)
    ]
    return sum(b < a for a, b in zip(*largest, strict=True)), len(matrices)


def as_fixed(one: Measured) -> int:
    """Matrices whose recommended axis is that of the fixed rules."""
    choices = [c for c in one.decision.choices if c.tensor.kind in FIXED]
    return sum(c.form == mean_over(FIXED[c.tensor.kind]) for c in choices)


def sentence(interval: Interval) -> str:
    if interval.holds_zero:
        return f"no difference is seen ({shown(interval)})"
    word = "higher" if interval.mean > 0 else "lower"
    return f"the loss is {word} ({shown(interval)})"


def outcome(found: Results) -> str:
    low, high = found.measured
    lower, matrices = lowered(found.measured)
    law = lower > matrices / 2 and high.decision.saved < low.decision.saved
    harmless = all(found.difference(plan)[1].low <= 0.0 for plan in found.plans)
    word = "Reproduced" if law and harmless else "Partly reproduced" if law else "Not reproduced"
    start = [sentence(found.difference(plan)[1]) for plan in found.plans]
    tried = (*found.plans, *others(found.measured))
    ends = [f"{told(plan)}, {sentence(found.verified[plan.name].difference)}" for plan in tried]
    middle = "; at ".join(ends)
    evidence = [e for one in found.measured for e in (one.decision.evidence, one.even)]
    shares = [f"{100 * decide(one).saved:.2f} %" for one in evidence]
    low_all, low_even, high_all, high_even = shares
    return f"""\
**Outcome. {word}.** The larger rate lowers the largest ratio of {lower} of {matrices} matrices. \
At the cutoff of 1
the saving falls from {low_all} of the second moments to {high_all}, over evenly spaced
steps from {low_even} to {high_even}. Trained from the start with the plan of all steps, at
{low.peak:g} {start[0]}; at {high.peak:g}
{start[1]}: validation loss with the plan less that of AdamW,
{len(SEEDS)} seeds, 95 % intervals. Trained on from step {MIDDLE} for {FURTHER} steps, at
{middle}.

"Reproduced" means: most ratios and both savings fall with the larger rate, and no plan is seen to
raise the loss."""


def page(found: Results) -> str:
    names = ("dyntools", "torch", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    low = found.measured[0]
    rates = [f"rate {one.peak:g}" for one in found.measured]
    size = low.decision.evidence.size
    losses = [np.mean([run.validation for run in found.runs[f"lr-{p:g}"]]) for p in RATES]
    spread = [np.std([run.validation for run in found.runs[f"lr-{p:g}"]], ddof=1) for p in RATES]
    better = (
        ": the larger rate is the better one, as with the authors" if losses[1] < losses[0] else ""
    )
    totals = low.decision
    own = found.verified[found.plans[0].name]
    updates = [1e3 * arm.optimizer_seconds for arm in (own.plan, own.adamw)]
    return f"""\
# Low-memory Adam on a small GPT

**Claims.** Adam's second moment v of a tensor can be kept as its mean over axes along which its
signal-to-noise ratio, mean²/variance, is above 1: up to 98 % of v goes, with the loss of AdamW. A
larger learning rate lowers the ratio and with it the saving. Which axis, the part of the tensor
tells: Kalra et al. 2025, *SlimAdam*, [arXiv:2503.01843](https://arxiv.org/abs/2503.01843).

{outcome(found)}

## Setting

A GPT of {size / 1e6:.2f} M weights ({LAYERS} layers, width {WIDTH}, {HEADS} heads, tied embedding)
on the characters of 1.1 MB of Shakespeare, {STEPS} steps of {BATCH} × {BLOCK}
characters, AdamW with β {BETAS[0]} and {BETAS[1]}, ε {EPS:g}, weight decay {DECAY} of matrices, \
gradients clipped to {CLIP:g}, {WARM_UP} steps of warm-up, cosine to a tenth. The peak rates are \
{RATES[0]:g} and {RATES[1]:g}, as far
apart as the authors' 3e-4 and 3e-3. AdamW ends at a validation loss of {losses[0]:.3f} and \
{losses[1]:.3f} (mean of
{len(SEEDS)} seeds){better}. The states of seed 0
are measured at {len(low.decision.evidence.steps)} steps, from 10 to {STEPS}; at β2 {BETAS[1]} \
an average holds {low.decision.evidence.n_eff:.0f} gradients,
so that a v that is constant in truth is measured at {low.decision.evidence.ceiling:.1f}.

## The ratio along training

![Signal-to-noise ratio by kind of layer along training](figures/low-memory-adam-snr.png)

Mean over the layers of a kind. Grey: the cutoff. Until the end of the warm-up both rates look
alike; then the larger one falls away.

Mean over steps and layers, the largest in bold; axis 0 is fan-out, axis 1 fan-in. Last column: the
axis of the authors' fixed rules.

| | {rates[0]}: 0 | 1 | both | {rates[1]}: 0 | 1 | both | fixed |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
{kinds_table(found.measured)}

## What can be saved

![What is saved by cutoff, and what it does to the loss](figures/low-memory-adam.png)

Share of the entries of v.

| rule | {rates[0]}: all steps | even steps | {rates[1]}: all steps | even steps |
| --- | ---: | ---: | ---: | ---: |
{savings_table(found.measured)}

At a rate of {low.peak:g} and the cutoff of 1 the state of v goes from \
{totals.second_moment.before / 1e6:.2f} to {totals.second_moment.after / 1e6:.3f} MB, the whole
state of the optimizer from {totals.optimizer_state.before / 1e6:.2f} to \
{totals.optimizer_state.after / 1e6:.2f} MB, and training memory without activations by
{100 * totals.training.saved:.0f} %.

What fewer of the steps would have said, rule slimadam at the cutoff of 1:

| steps | {rates[0]}: saved | same form | {rates[1]}: saved | same form |
| --- | ---: | ---: | ---: | ---: |
{hindsight_table(found.measured)}

## What it does to the loss

Trained from the start, {len(SEEDS)} seeds of weights and order, each with AdamW and with the
plan. Mean validation loss on all of the last tenth of the text, and the mean of the paired
differences with its 95 % interval.

| rate, plan | AdamW | plan | difference | state, plan of AdamW |
| --- | ---: | ---: | ---: | ---: |
{start_table(found)}

Trained on from step {MIDDLE} of seed 0 for {FURTHER} steps at the rate of the checkpoint, \
{ORDERS} orders of the examples
(`dyntools.verification.verify`, which `dyntools adam-memory RUN --verify STEPS` runs): loss on \
{JUDGED} held-out
blocks, and on the mini-batches of the second half. Order alone: how far two
runs of AdamW are apart that differ in nothing else.

| rate, plan | AdamW | difference | on the mini-batches | order alone | state, plan of AdamW | \
step, plan and AdamW |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
{verified_table(found)}

The update itself takes {updates[0]:.1f} ms with the plan and {updates[1]:.1f} ms with AdamW; the \
rest of a step is the
gradient.

## What did not hold

{remarks(found)}

## Limits

One network, one text, one run measured at each rate, {STEPS} steps. {len(SEEDS)} seeds see a
difference only where it is larger than its interval: nothing smaller is excluded. At {RATES[1]:g}
seeds of AdamW alone end {spread[1]:.3f} apart (standard deviation; {spread[0]:.3f} at \
{RATES[0]:g}), so that little can be seen there. The intervals
from step {MIDDLE} are over orders of the examples from one checkpoint, not over trainings. At the
scale of GPT-2 small, on a GPU, this was not run.

Made by `python docs/reproductions/low-memory-adam.py` (Python {platform.python_version()},
{versions}), trainings on one core each; times are medians on a machine that had
other work. On another processor the last digits differ.
"""


def remarks(found: Results) -> str:
    low, high = found.measured
    forms = [one.decision for one in found.measured]
    errors = [c.candidate.update_error for d in forms for c in d.choices if c.candidate]
    cosines = [c.candidate.cosine for d in forms for c in d.choices if c.candidate]
    last = hindsight(high.report, high.decision)
    by_label = {one.label: f"{100 * one.saved:.0f} %" for one in last}
    matrices = lowered(found.measured)[1]
    costs = [sentence(found.difference(plan)[1]) for plan in found.plans]
    return f"""\
- **No cost.** Trained from the start, at {low.peak:g} {costs[0]}, at {high.peak:g}
  {costs[1]}. In the authors' logs, with their fixed rules, the loss is 0.013 higher at 3e-4 and
  0.003 at 3e-3, of 3.31 and 3.02.
- **The axes.** Of {matrices} matrices {as_fixed(low)} get the axis of the fixed rules at \
{low.peak:g}, {as_fixed(high)} at {high.peak:g}. Here the MLP's
  up projection is averaged over fan-in, and the position embedding over positions; the fixed rules
  say the other axis for both. The axes are to be taken from the run itself.
- **The mean over steps.** A plain mean over checkpoints is one over whatever was saved. These are
  denser at the start, where ratios are high: at {high.peak:g} they promise \
{100 * high.decision.saved:.0f} %, evenly spaced ones {100 * decide(high.even).saved:.0f} %.
- **When one looks.** At {high.peak:g} the warm-up promises {by_label["warm-up"]} and the last \
checkpoint {by_label["last only"]}. At {low.peak:g} all
  of them but the first tenth agree.
- **The noise.** With this β2 the correction moves a ratio of 1 by a tenth: at the cutoff of 1 it
  matters only where ratios lie close to it, as at {high.peak:g} over even steps.
- **A ratio above 1 is no small change of the update.** With the plans the update of a tensor
  differs, at its worst step, by {min(errors):.2f} to {max(errors):.2f} of its length (cosine \
{max(cosines):.2f} to {min(cosines):.2f}), and hardly a
  tensor passes a limit of 0.1. The rule says where v is uniform, not that nothing changes."""


def wrapped(text: str) -> str:
    """Paragraphs and points in lines of 100; tables, headings and figures as they are."""
    parts = []
    for part in text.strip().split("\n\n"):
        if part.startswith("- "):
            points = [point.replace("\n", " ") for point in re.split(r"\n(?=- )", part)]
            parts.append("\n".join(_filled(point, "  ") for point in points))
        else:
            parts.append(part if part[0] in "|#!" else _filled(part, ""))
    return "\n\n".join(parts) + "\n"


def _filled(text: str, indent: str) -> str:
    options = {"break_long_words": False, "break_on_hyphens": False}
    return textwrap.fill(" ".join(text.split()), 100, subsequent_indent=indent, **options)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs, kept")
    parser.add_argument("--text", type=Path, default=TEXT, help="by default %(default)s")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes: each trains on one core
    torch.set_num_threads(1)
    found = results(given.out, given.text, given.jobs)
    draw_ratios(found.measured)
    draw_outcome(found)
    PAGE.write_text(wrapped(page(found)), encoding="utf-8")


if __name__ == "__main__":
    main()
