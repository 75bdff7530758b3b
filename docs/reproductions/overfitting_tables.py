"""The tables of overfitting.md: means over seeds, one row a setting, a choice, a rate or a test."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from overfitting_relations import (
    Tests,
    choices,
    factor,
    gap,
    of,
    told,
)
from overfitting_runs import (
    DECAYS,
    EARLY,
    RATES,
    SEEDS,
    SMALL,
    STEPS,
    Descent,
    Results,
)

READ = tuple(STEPS.index(step) for step in (8, 64, 512))  # shown in the table of the gap


def test_table(tests: Tests, sure: set[tuple[str, str]], rows: Sequence[str]) -> str:
    """Mean ρ, its range over seeds; an asterisk where it is firm."""
    columns = list(dict.fromkeys(column for what, column in tests if what in rows))
    lines = [line(("Spearman's ρ", *columns)), rule(len(columns))]
    for what in rows:
        cells = []
        for column in columns:
            one = tests[what, column]
            star = " \\*" if (what, column) in sure else ""
            cells.append(f"{one.mean:+.2f}{star} ({one.low:+.2f} to {one.high:+.2f})")
        lines.append(line((what, *cells)))
    return "\n".join(lines)


def line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def rule(columns: int) -> str:
    return f"| --- |{' ---: |' * columns}"


def decay_table(results: Results) -> str:
    """OUI at a tenth and at the end, and accuracy, by weight decay."""
    lines = [line(("", *(f"{decay:g}" for decay in DECAYS))), rule(len(DECAYS))]
    for setting, runs in results.decayed.items():
        found = (of(runs, "oui", EARLY).mean(1), of(runs, "oui").mean(1), of(runs, "test").mean(1))
        best = int(found[2].argmax())
        cells = [
            f"{early:.2f}, {end:.2f}: " + (f"**{test:.3f}**" if i == best else f"{test:.3f}")
            for i, (early, end, test) in enumerate(zip(*found, strict=True))
        ]
        lines.append(line((told(setting), *cells)))
    return "\n".join(lines)


def choice_table(results: Results) -> str:
    found = {setting: choices(runs) for setting, runs in results.decayed.items()}
    lines = [line(("decay picked by", *map(told, found))), rule(len(found))]
    for way in next(iter(found.values())):
        cells = []
        for ways in found.values():
            values = ways[way]
            error = values.std(ddof=1) / math.sqrt(SEEDS)
            cells.append(f"{values.mean():.3f} ± {error:.3f}")
        lines.append(line((way, *cells)))
    return "\n".join(lines)


def rotation_table(results: Results) -> str:
    heads = [
        f"{what}, {100 * noise:.0f} % noise"
        for noise in results.turned
        for what in ("train", "held out", "gap", "rotation")
    ]
    lines = [line(("rate", *heads)), rule(len(heads))]
    for i, rate in enumerate(RATES):
        cells = []
        for runs in results.turned.values():
            train, test, wide = runs[i, :, :3].mean(0)
            cells += [f"{train:.3f}", f"{test:.3f}", f"{wide:.2f}", f"{runs[i, :, 3:].mean():.2f}"]
        lines.append(line((f"{rate:g}", *cells)))
    return "\n".join(lines)


def first_table(results: Results) -> str:
    heads = ("N", "batch", "measured", "predicted", "measured / predicted")
    lines = [line(heads), rule(len(heads) - 1)]
    for descent, runs in results.first.items():
        wider, predicted, quotient, error = factor(runs)
        cells = (f"{wider:.5f}", f"{predicted:.5f}", f"{quotient:.2f} ± {error:.2f}")
        lines.append(line((str(descent.size), str(descent.batch), *cells)))
    return "\n".join(lines)


def growth_table(results: Results) -> str:
    """One row for all at once and batches of SMALL: widening, and in brackets over predicted."""
    heads = [f"{kind}, step {STEPS[i]}" for kind in ("all", f"{SMALL}") for i in READ]
    lines = [line(("N, noise, rate", *heads)), rule(len(heads))]
    whole = [one for one in results.growth if not one.small]
    for one in whole:
        cells = []
        for descent in (one, Descent(one.size, one.noise, one.rate, True)):
            for i in READ:
                wider, _, quotient, _ = factor(results.growth[descent], i)
                cells.append(f"{wider:.2g} ({quotient:.2f})")
        name = f"{one.size}, {100 * one.noise:.0f} %, {one.rate:g}"
        lines.append(line((name, *cells)))
    return "\n".join(lines)


def rank_table(results: Results) -> str:
    lines = [line(("", *(f"{decay:g}" for decay in DECAYS))), rule(len(DECAYS))]
    for setting, runs in results.decayed.items():
        pairs = zip(of(runs, "rank").mean(1), gap(runs).mean(1), strict=True)
        lines.append(line((told(setting), *(f"{rank:.1f}: {wide:.2f}" for rank, wide in pairs))))
    return "\n".join(lines)
