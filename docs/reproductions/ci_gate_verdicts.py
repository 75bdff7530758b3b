"""The verdicts of ci-gate.py: limits from the scatter of seeds, and what becomes of each recipe."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ci_gate_runs import BASE, CHANGED, CURVATURE, RANKS, SAME, SEEDS, Recipe
from scipy.stats import mannwhitneyu

from dyntools import Report
from dyntools.checks.baseline import baseline_of
from dyntools.checks.configuration import defaults_for
from dyntools.checks.judging import LEVEL, judge
from dyntools.checks.limit import Limit, parse
from dyntools.checks.quantity import Quantity
from dyntools.checks.verdict import Check, Outcome, Verdict
from dyntools.log import Role

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
