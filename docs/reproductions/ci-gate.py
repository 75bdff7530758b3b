"""Does the gate tell a changed recipe from other seeds? Digits, trained ninety times.

    python docs/reproductions/ci-gate.py [--out RUNS]

A team trains a small run on each pull request and asks `dyntools check` whether the recipe has
changed. Here the truth is known (`ci_gate_runs`): the base recipe with other seeds must pass;
without weight decay, with three times the rate, without one normalisation, and with two bugs in
the order of the examples it must not. Tolerances come from seeds that take no further part. Writes
docs/reproductions/ci-gate.md and its figure, in six to eight minutes on one core.
"""

from __future__ import annotations

import argparse
import math
import platform
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from ci_gate_runs import (
    BASE,
    BATCH,
    BUFFER,
    CALIBRATION,
    CHANGED,
    CURVATURE,
    EPOCHS,
    MEASURED,
    RANKS,
    SAME,
    SEEDS,
    TUNING,
    WRONG,
    Recipe,
    reports,
)
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from dyntools import Report
from dyntools.checks.baseline import baseline_of
from dyntools.checks.configuration import defaults_for
from dyntools.checks.judging import LEVEL, judge
from dyntools.checks.limit import Limit, parse
from dyntools.checks.quantity import Quantity
from dyntools.checks.verdict import Check, Outcome, Verdict
from dyntools.log import Role
from dyntools.views.style import BLUE, GREY, ORANGE, PALE, quiet_grid, styled

PAGE = Path(__file__).with_suffix(".md")
FIGURE = PAGE.parent / "figures" / "ci-gate.png"
WIDE = 2.5  # tolerance, in standard deviations between seeds; see the page's table of widths
WIDTHS = (0.0, 1.0, 2.0, 2.5, 3.0, 4.0)  # of the table; 0 says what the tests alone do
SUBJECTS = (  # what the limits are on; the mean over the measured steps
    *(f"{name}@mean" for name in CURVATURE),
    *(f"{name}[*.weight]@mean" for name in RANKS),
)
CURVES = {  # what a look at the log would have compared, at the last epoch
    "training loss": Role.train_loss,
    "validation loss": Role.validation_loss,
    "validation accuracy": Role.validation_accuracy,
}
SIDES = ((10, 10), (5, 5), (3, 3), (10, 1), (1, 1))  # reports: baseline, now
FEW = 5  # reports a side, of which the table of widths tells as well
SPLITS, DRAWS = 200, 50  # of the unchanged recipe; of a changed one; chosen
SHOWN = (  # in the figure
    *("training loss", "validation loss", "hessian_trace@mean"),
    *("hessian_top[block=all,rank=1]@mean", "effective_rank[layer=first.weight]@mean"),
    "update_rank[layer=second.weight]@mean",
)

Numbers = NDArray[np.float64]
Runs = Mapping[Recipe, Sequence[Report]]


@dataclass(frozen=True)
class Judged:
    """What became of one recipe against the baseline, under our limits and the default ones."""

    recipe: Recipe
    outcome: Outcome
    default: Outcome
    curves: Mapping[str, tuple[float, float, bool]]  # mean, p of no difference, worse than before

    @property
    def worse(self) -> list[str]:
        """The curves of the validation set that a careful reader would call worse."""
        told = {name: told for name, told in self.curves.items() if "validation" in name}
        return [name for name, (_, p, bad) in told.items() if bad and p <= LEVEL]

    def failed(self, metrics: Sequence[str]) -> list[Check]:
        return [c for c in self.outcome.checks if c.verdict == Verdict.fail and c.metric in metrics]


def quantities(found: Sequence[Report]) -> Mapping[str, Quantity]:
    return baseline_of(found, [parse(f"{subject} within 0%") for subject in SUBJECTS]).quantities


def scatter(found: Sequence[Report]) -> dict[str, float]:
    """Standard deviation between seeds as a share of the mean, for each quantity."""
    spread = {}
    for key, quantity in quantities(found).items():
        values = np.array([sample.value for sample in quantity.usable])
        spread[key] = float(values.std(ddof=1) / abs(values.mean()))
    return spread


def limits(spread: Mapping[str, float], wide: float) -> list[Limit]:
    """Each tolerance is `wide` standard deviations, rounded up to half a percent."""
    return [
        parse(f"{key} within {math.ceil(200 * wide * one) / 2:g}%") for key, one in spread.items()
    ]


def last(report: Report, role: Role) -> float:
    """The last point of a curve of the log."""
    curve = report.log.curve(role) if report.log else None
    if curve is None:
        raise SystemExit(f"no {role} in the log of {report.attributes.get('run')}")
    return float(curve.values[-1])


def judged(runs: Runs, recipe: Recipe, ours: Sequence[Limit]) -> Judged:
    before, now = runs[BASE], runs[recipe]
    curves = {}
    for name, role in CURVES.items():
        sides = [[last(report, role) for report in side] for side in (before, now)]
        old, new = (float(np.mean(side)) for side in sides)
        bad = new < old if "accuracy" in name else new > old
        curves[name] = (new, float(mannwhitneyu(*sides).pvalue), bad)
    default = judge(now, before, defaults_for(now, before))
    return Judged(recipe, judge(now, before, ours), default, curves)


def drawn(
    before: Sequence[Report],
    now: Sequence[Report] | None,
    sides: tuple[int, int],
    count: int,
    ours: Sequence[Limit],
) -> Counter[Verdict]:
    """Verdicts over random choices of reports for either side; without `now` both from one pool."""
    random = np.random.default_rng(0)
    found: Counter[Verdict] = Counter()
    n, m = sides
    whole = now is not None and (n, m) == (len(before), len(now))
    for _ in range(1 if whole else count):
        order = random.permutation(len(before))
        one = [before[i] for i in order[:n]]
        if now is None:
            other = [before[i] for i in order[n : n + m]]
        else:
            other = [now[i] for i in random.permutation(len(now))[:m]]
        found[judge(other, one, ours).verdict] += 1
    return found


def draw(runs: Runs, found: Sequence[Judged], spread: Mapping[str, float]) -> None:
    """One dot a run: two curves of the log, two curvatures, two ranks."""
    recipes = [BASE, *(one.recipe for one in found)]
    failed = {(one.recipe, c.quantity) for one in found for c in one.failed(CURVATURE + RANKS)}
    values = {recipe: quantities(runs[recipe]) for recipe in recipes}
    with styled():
        figure = Figure(figsize=(9.0, 5.4), layout="constrained")
        for axes, shown in zip(figure.subplots(2, 3, sharex=True).flat, SHOWN, strict=True):
            for at, recipe in enumerate(recipes):
                if shown in CURVES:
                    dots = [last(report, CURVES[shown]) for report in runs[recipe]]
                else:
                    dots = [sample.value for sample in values[recipe][shown].samples]
                colour = ORANGE if (recipe, shown) in failed else BLUE
                axes.plot(np.full(len(dots), at), dots, "o", ms=3.5, color=colour, alpha=0.6, mew=0)
            if shown in spread:
                _band(axes, values[BASE][shown].value, limits({shown: spread[shown]}, WIDE)[0])
            _dress(axes, shown, [recipe.name for recipe in recipes])
        FIGURE.parent.mkdir(exist_ok=True)
        figure.savefig(FIGURE, dpi=96, metadata={"Software": None})


def _band(axes: Axes, middle: float, limit: Limit) -> None:
    half = abs(middle) * (limit.relative or 0.0)
    axes.axhspan(middle - half, middle + half, color=PALE, zorder=0)
    axes.axhline(middle, color=GREY, lw=0.8, ls="--", zorder=1)


def _dress(axes: Axes, shown: str, names: Sequence[str]) -> None:
    axes.set_title(short(shown), fontsize=8.5, loc="left")
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    quiet_grid(axes)


def short(key: str) -> str:
    """`update_rank[layer=first.weight]@mean` as `update_rank, first.weight`."""
    name, _, inside = key.partition("@")[0].partition("[")
    layer = next((part[6:] for part in inside.rstrip("]").split(",") if "layer=" in part), "")
    return f"{name}, {layer}" if layer else name


def caught(one: Judged) -> bool:
    return bool(one.failed(CURVATURE + RANKS))


def recipe_rows(runs: Runs, found: Sequence[Judged]) -> str:
    base = [f"{np.mean([last(r, role) for r in runs[BASE]]):.3f}" for role in CURVES.values()]
    lines = [f"| {BASE.name} | {' | '.join(base)} | – | – | – |"]
    for one in found:
        told = " | ".join(f"{mean:.3f} (p {_p(p)})" for mean, p, _ in one.curves.values())
        counts = [len(one.failed(metrics)) for metrics in (CURVATURE, RANKS)]
        totals = [sum(c.metric in m for c in one.outcome.checks) for m in (CURVATURE, RANKS)]
        fails = " | ".join(f"{n} of {of}" for n, of in zip(counts, totals, strict=True))
        lines.append(f"| {one.recipe.name} | {told} | {fails} | **{one.outcome.verdict}** |")
    return "\n".join(lines)


def _p(p: float) -> str:
    return f"{p:.1g}" if p < 0.1 else f"{p:.2f}"


def change_rows(found: Sequence[Judged], spread: Mapping[str, float], ours: Sequence[Limit]) -> str:
    lines = []
    for key, limit in zip(spread, ours, strict=True):
        checks = [next(c for c in one.outcome.checks if c.quantity == key) for one in found]
        cells = " | ".join(_cell(check) for check in checks)
        tolerance = f"{100 * (limit.relative or 0.0):g} %"
        shown = checks[0].detectable or math.nan
        least = f"{100 * shown / abs(checks[0].baseline or math.nan):.0f} %"
        seen = f"{100 * spread[key]:.1f} % | {tolerance} | {least}"
        lines.append(f"| {short(key)} | {seen} | {cells} |")
    return "\n".join(lines)


def _cell(check: Check) -> str:
    """Bold for a fail, a question mark for what is inconclusive."""
    if check.relative_change is None:
        return str(check.verdict)
    number = f"{100 * check.relative_change:+.1f} %".replace("-", "−")
    marks = {Verdict.fail: f"**{number}**", Verdict.inconclusive: f"{number} ?"}
    return marks.get(check.verdict, number)


def default_rows(found: Sequence[Judged]) -> str:
    lines = []
    for limit in dict.fromkeys(check.limit for check in found[0].default.checks):
        cells = []
        for one in found:
            checks = [check for check in one.default.checks if check.limit == limit]
            told = Counter(check.verdict for check in checks)
            cells.append(f"{told[Verdict.fail] or '–'} / {told[Verdict.passed]} / {len(checks)}")
        lines.append(f"| `{limit}` | {' | '.join(cells)} |")
    whole = " | ".join(f"**{one.default.verdict}**" for one in found)
    return "\n".join([*lines, f"| all together | {whole} |"])


def sentences(found: Sequence[Judged]) -> str:
    """Of each recipe the worst check of curvature and of rank, as the tool says it."""
    lines = []
    for one in found:
        lines.append(f"**{one.recipe.name}** ({one.recipe.change}): {one.outcome.verdict}.\n")
        worst = [next(c for c in one.outcome.checks if c.metric in m) for m in (CURVATURE, RANKS)]
        lines += [f"- {c.verdict}, `{c.quantity}`: {c.sentence}" for c in worst]
        lines.append("")
    return "\n".join(lines)


def share_cell(counts: Counter[Verdict]) -> str:
    total = counts.total()
    kinds = (Verdict.fail, Verdict.inconclusive, Verdict.passed)
    return " / ".join(f"{100 * counts[kind] / total:.0f}" for kind in kinds)


Table = Sequence[tuple[str, Sequence[Counter[Verdict]]]]
Tables = tuple[Table, Table]


def seed_table(runs: Runs, ours: Sequence[Limit]) -> Table:
    """Verdicts by number of reports, the unchanged recipe first: random splits of all its seeds."""
    pool = [*runs[BASE], *runs[SAME]]
    unchanged = [drawn(pool, None, sides, SPLITS, ours) for sides in SIDES]
    changed = [
        (recipe.name, [drawn(runs[BASE], runs[recipe], sides, DRAWS, ours) for sides in SIDES])
        for recipe in CHANGED
    ]
    return [("unchanged", unchanged), *changed]


def width_table(runs: Runs, spread: Mapping[str, float]) -> Table:
    """Verdicts by width of the tolerance, with all seeds a side."""
    pool = [*runs[BASE], *runs[SAME]]
    table = []
    for wide in WIDTHS:
        ours = limits(spread, wide)
        row = [drawn(pool, None, (n, n), SPLITS // 2, ours) for n in (SEEDS, FEW)]
        for recipe in CHANGED:
            row.append(Counter([judge(runs[recipe], runs[BASE], ours).verdict]))
        table.append((f"{wide:g}", row))
    return table


def outcome_words(found: Sequence[Judged], by_seeds: Table) -> str:
    same, changed = found[0], found[1:]
    hits = [one for one in changed if caught(one)]
    word = "Holds"
    if same.outcome.verdict != Verdict.passed or len(hits) < len(changed):
        word = "Holds in part" if hits else "Does not hold"
    unseen = [one.recipe.name for one in changed if not one.worse]
    silent = [
        one.recipe.name for one in changed if min(p for _, p, _ in one.curves.values()) > LEVEL
    ]
    missed = [one for one in changed if not caught(one)]
    left = "".join(f"; {one.recipe.name} is {one.outcome.verdict}" for one in missed)
    wrong = by_seeds[0][1][0]
    return f"""\
**Outcome. {word}.** With {SEEDS} seeds a side, the base recipe with other seeds: \
**{same.outcome.verdict}**. Of {len(changed)} changed
recipes {len(hits)} fail checks of curvature or rank{left}. \
In {len(unseen)} ({", ".join(unseen)})
neither the loss nor the accuracy on the validation set is worse at {LEVEL:g}; \
in {len(silent)} ({", ".join(silent)})
no curve of the log differs. Of {wrong.total()} random splits of the {2 * SEEDS} unchanged runs \
into two sides, {100 * wrong[Verdict.fail] / wrong.total():.1f} %
fail, at a stated level of {100 * LEVEL:g} %, and \
{100 * wrong[Verdict.passed] / wrong.total():.0f} % pass."""


def grid(table: Table, corner: str, heads: Sequence[str]) -> str:
    lines = [f"| {corner} | {' | '.join(heads)} |", "| --- |" + " ---: |" * len(heads)]
    lines += [f"| {name} | {' | '.join(map(share_cell, row))} |" for name, row in table]
    return "\n".join(lines)


def page(runs: Runs, found: Sequence[Judged], spread: Mapping[str, float], tables: Tables) -> str:
    by_seeds, by_width = tables
    ours = limits(spread, WIDE)
    names = " | ".join(one.recipe.name for one in found)
    ruled = " ---: |" * len(found)
    sides = [f"{n} against {m}" for n, m in SIDES]
    columns = [f"unchanged, {n}" for n in (SEEDS, FEW)] + [recipe.name for recipe in CHANGED]
    versions = ", ".join(f"{n} {version(n)}" for n in ("dyntools", "torch", "numpy", "scipy"))
    alone = by_seeds[0][1][-1]
    blind = by_width[0][1][0]
    return f"""\
# The gate in CI, on digits

**Claim.** Trained over {SEEDS} seeds a side, a probe run judged by `dyntools check` passes \
when only the seeds
differ, and fails when the recipe has changed, also where the loss does not say so.

{outcome_words(found, by_seeds)}

"Holds" means: the unchanged recipe passes, and each changed one fails at least one check of
curvature or rank.

## Setting

600 of scikit-learn's digits (`fixtures/runs/digits-cnn`), {100 * WRONG:.0f} % of the labels drawn \
at random. A 64-64-64-10 ReLU
network with layer normalisation after each of the first two layers, without parameters of its own:
when one is removed, names and shapes stay. AdamW, rate {BASE.rate:g} that falls linearly to \
a tenth, weight decay {BASE.decay:g},
batches of {BATCH}, {EPOCHS} epochs of 20 steps. Each run is a folder of checkpoints and a log, \
measured by
`dyntools.analyze` at the ends of the last {len(MEASURED)} epochs, steps {MEASURED[0]} to \
{MEASURED[-1]}, with all 600 images as the probe.

{change_list()}

Baseline: seeds {_seeds(BASE)}. All others: seeds {_seeds(SAME)}. Limits are on the mean over the \
{len(MEASURED)} steps, which
scatters less than any one of them. Recipe and quantities were chosen on seeds {_seeds(TUNING)}. \
Each tolerance is
{WIDE:g} standard deviations between these {CALIBRATION} runs, rounded up to half a \
percent; no run that sets one is judged.

## Result

![Two curves of the log and four quantities, one dot a run](figures/{FIGURE.name})

Dashed: mean of the baseline. Grey: the tolerance. Orange: this check fails.

Last epoch, mean over the seeds; p of no difference from the base recipe (Mann–Whitney, each alone).

| recipe | training loss | validation loss | validation accuracy | curvature checks that fail | \
rank checks that fail | verdict |
| --- | ---: | ---: | ---: | ---: | ---: | --- |
{recipe_rows(runs, found)}

What the tool says, of each recipe the worst check of curvature and of rank:

{sentences(found)}
Change against the baseline; **bold** fails, ? is inconclusive, the rest passes. Scatter: standard
deviation between seeds. Shown: the smallest change that {SEEDS} seeds a side could have shown here.

| quantity | scatter | tolerance | shown | {names} |
| --- | ---: | ---: | ---: |{ruled}
{change_rows(found, spread, ours)}

{silent_words(runs, found)}

{COMMAND}

## How many seeds

Share of draws that fail / are inconclusive / pass, in percent. The unchanged recipe: {SPLITS} \
random splits of its
{2 * SEEDS} runs; a changed one: {DRAWS} draws of runs from either side (one where all are used).

{grid(by_seeds, "baseline against now", sides)}

- Three a side can show nothing: over {len(ours)} tests the smallest p that their orders allow is \
above {LEVEL:g}, and the
  tool says so, with the number of reports that are needed.
- One against one: the error bars are those of the measurement, and do not hold what another seed
  would have done. {100 * alone[Verdict.fail] / alone.total():.0f} % of pairs of unchanged runs \
fail. The tool says so in a note; the verdict stands. With one
  run a side, keep the seed: then only a change of the recipe, or of rounding, moves anything.
- One run against {SEEDS} seeds knows the scatter, but over several checks it takes a baseline of at
  least 19 for any to fail ([chance](../reference/checks.md#chance)).

## How wide a tolerance

The same by the width of the tolerances, in standard deviations between seeds: the unchanged recipe
with {SEEDS} and with {FEW} a side ({SPLITS // 2} splits each), the changed ones with {SEEDS}.

{grid(by_width, "width", columns)}

- Width 0 tests "no change at all", and cannot pass; its fails of the unchanged recipe, \
{100 * blind[Verdict.fail] / blind.total():.0f} % of the
  splits, are what the stated level of {100 * LEVEL:g} % is about.
- A pass asks for an interval of the change within the tolerance. With n seeds a side it reaches
  t √(2/n) standard deviations to either side, t Student's with n - 1 degrees: 1.0 for 10 seeds, 1.8
  for 5, 3.5 for 3. A narrower tolerance never passes.
- So measure the scatter once, and take 2.5 standard deviations for 10 seeds a side, 4 for 5. With
  fewer seeds the same pass costs a wider tolerance.

## The default limits here

Fails / passes / checks of each default limit, with {SEEDS} a side, at the last step alone.

| limit | {names} |
| --- |{ruled}
{default_rows(found)}

{DEFAULTS}

## When it lies

{LIES}

## Cost

90 runs of 800 steps in about four minutes on one core, a third of it training. A check of {SEEDS} \
against {SEEDS} reports
takes about a tenth of a second beyond the start of the interpreter.

Made by `python docs/reproductions/ci-gate.py` (Python {platform.python_version()},
{versions}). On another processor single values differ.
"""


def _seeds(recipe: Recipe) -> str:
    return f"{recipe.seeds[0]} to {recipe.seeds[1] - 1}"


def change_list() -> str:
    told = {"by class": f", of which a buffer of {BUFFER} images is shuffled"}
    lines = [f"- **{r.name}**: {r.change}{told.get(r.name, '')}" for r in CHANGED]
    return "\n".join(lines)


def silent_words(runs: Runs, found: Sequence[Judged]) -> str:
    """The two bugs in the order of the examples."""
    by_class, same_order = (one for one in found if one.recipe.order != BASE.order)
    before = {name: np.mean([last(r, role) for r in runs[BASE]]) for name, role in CURVES.items()}
    now = {name: told[0] for name, told in by_class.curves.items()}
    accuracy, training = "validation accuracy", "training loss"
    rank = max(
        (check for check in same_order.outcome.checks if check.metric in RANKS),
        key=lambda check: abs(check.change or 0.0) / (check.tolerance or math.inf),
    )
    return f"""\
The order bugs raise no error. **{by_class.recipe.name}** looks like an improvement to whoever \
watches validation: its
accuracy goes from {before[accuracy]:.3f} to {now[accuracy]:.3f}, probably as fewer of the random \
labels are fitted. The training loss goes from
{before[training]:.3f} to {now[training]:.3f}. **{same_order.recipe.name}**, as a sampler whose \
epoch is never set, is in no curve. What moves is the
update of one epoch: the rank of that of {short(rank.quantity).split(", ")[-1]} changes by \
{100 * (rank.relative_change or 0.0):+.1f} %, p = {rank.p or math.nan:.2g} alone and
{rank.p_adjusted or math.nan:.2g} over all checks: {rank.verdict}, so not exit code 0. With \
a narrower tolerance it fails, see below."""


COMMAND = """\
The same from the command line, in the folder given by `--out`; it ends with exit code 1:

```sh
dyntools check by-class-*.h5 --baseline 'base-*.h5' --limit 'hessian_trace@mean within 14.5%'
```"""
DEFAULTS = """\
- They find the large changes of curvature and weights, and miss what needs a mean over steps.
- What keeps the unchanged recipe from a pass are three small things: the norm of the last bias, of
  ten numbers, its second moments, and the rotation of the last matrix, all of which scatter by more
  than half their tolerance. A limit on `[*.weight]` leaves the biases out.
- `divergence` and `loss_spikes` never say anything here: they are about runs that break.
- `effective_rank` scatters by about 1 % and is allowed 10 %; `hessian_top`, `hessian_trace` and
  `adam_sharpness` scatter by 6 to 8 % and are allowed 25 %. With seeds on both sides half of
  that will do, and the mean over late steps in place of the last."""
LIES = """\
- A pass is about the quantities that have limits. Which of them a bug moves is not known before:
  **same order** moves the update of an epoch, and no curvature beyond its tolerance.
- A fail says that the training is another one, not that it is worse. Dropped weight decay halves
  the trace of the Hessian.
- The rank of an update depends on how many steps lie between two checkpoints. Here it is one epoch.
- Seeds must be independent. Runs that share a seed over both sides are pairs, which no test here
  knows of; the changed recipes share theirs with **other seeds**, so the columns above are not
  independent of one another.
- The splits are drawn from one set of 20 runs. Their share of fails is that of the tests, not that
  of 200 independent experiments.
- A removed layer that has parameters changes the list of tensors: those checks are NOT COMPARABLE.
- One network, one data set, one recipe: the tolerances are not to be copied, the way to them is."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="folder of the runs, kept; else a temporary one")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # several are slower here, and round differently
    with tempfile.TemporaryDirectory() as temporary:
        out = arguments.out or Path(temporary)
        runs = {recipe: reports(recipe, out) for recipe in (TUNING, BASE, SAME, *CHANGED)}
    spread = scatter(runs[TUNING])
    ours = limits(spread, WIDE)
    found = [judged(runs, recipe, ours) for recipe in (SAME, *CHANGED)]
    draw(runs, found, spread)
    tables = seed_table(runs, ours), width_table(runs, spread)
    PAGE.write_text(page(runs, found, spread, tables))


if __name__ == "__main__":
    main()
