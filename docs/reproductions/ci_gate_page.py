"""The page of ci-gate.py: its tables, its sentences and what holds them together."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version

import numpy as np
from ci_gate_figure import FIGURE, short
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
)
from ci_gate_tables import change_rows, default_rows, grid, recipe_rows, sentences
from ci_gate_verdicts import (
    CURVES,
    DRAWS,
    FEW,
    SIDES,
    SPLITS,
    WIDE,
    Judged,
    Runs,
    Table,
    Tables,
    last,
    limits,
)

from dyntools.checks.judging import LEVEL
from dyntools.checks.verdict import Verdict


def caught(one: Judged) -> bool:
    return bool(one.failed(CURVATURE + RANKS))


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
