"""What overfitting.py asks of its runs: rank correlations with permutation tests, and quotients.

A test is Spearman's ρ over the conditions of a seed, averaged over seeds; p is that of shuffles of
the conditions within each seed. All tests of the page are corrected together (Holm 1979).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from overfitting_runs import (
    DECAYS,
    EARLY,
    FIRST,
    KEPT,
    QUANTITIES,
    RATES,
    SEEDS,
    STEPS,
    Numbers,
    Results,
    Setting,
    integrated,
)
from scipy.stats import rankdata

BAND = (0.6, 0.8)  # of OUI: Fernández-Hernández et al. 2025
SHUFFLES, LEVEL = 9999, 0.05  # of a permutation test; after Holm, over all of the page; chosen
FITTED = 0.95  # least accuracy on the training images, of every seed; chosen
END = -1


@dataclass(frozen=True)
class Relation:
    """Spearman's ρ of two quantities over the conditions of a seed: mean, least, most; p."""

    mean: float
    low: float
    high: float
    p: float


Tests = dict[tuple[str, str], Relation]  # by (what, column of its table)


def relation(x: Numbers, y: Numbers) -> Relation:
    """Of (conditions, seeds) each; p two-sided, from shuffles of the conditions within each seed.

    A seed where one of them is the same everywhere ranks nothing: ρ is 0.
    """
    a, b = _ranks(x), _ranks(y)
    found = (a * b).sum(0)
    random = np.random.default_rng(0)
    many = random.permuted(np.broadcast_to(b, (SHUFFLES, *b.shape)), axis=1)
    means = (a * many).sum(1).mean(1)
    extreme = int((np.abs(means) >= abs(found.mean()) - 1e-12).sum())
    p = (1 + extreme) / (1 + SHUFFLES)
    return Relation(float(found.mean()), float(found.min()), float(found.max()), p)


def _ranks(values: Numbers) -> Numbers:
    """Of each column, centred and of length 1; zero where all are equal."""
    ranks = np.asarray(rankdata(values, axis=0), dtype=float)
    ranks -= ranks.mean(0)
    lengths = np.sqrt((ranks**2).sum(0))
    return np.asarray(ranks / np.where(lengths > 0, lengths, 1))


def firm(tests: Tests) -> set[tuple[str, str]]:
    """Those that stay below LEVEL after Holm's correction over all."""
    order = sorted(tests, key=lambda key: tests[key].p)
    found = set()
    for i, key in enumerate(order):
        if tests[key].p * (len(order) - i) >= LEVEL:
            break
        found.add(key)
    return found


def of(runs: Numbers, name: str, kept: int = END) -> Numbers:
    """One quantity at one kept epoch, (decays, seeds)."""
    return np.asarray(runs[:, :, kept, QUANTITIES.index(name)])


def gap(runs: Numbers, kept: int = END) -> Numbers:
    return of(runs, "test_loss", kept) - of(runs, "train_loss", kept)


def outside(oui: Numbers) -> Numbers:
    """How far outside the band; 0 within."""
    return np.asarray(np.maximum(np.maximum(BAND[0] - oui, oui - BAND[1]), 0.0))


def told(setting: Setting) -> str:
    return f"{setting[0]}, {100 * setting[1]:.0f} % noise"


OUI_TESTS = (
    "OUI at the end ~ weight decay",
    "OUI at a tenth ~ weight decay",
    "OUI at a tenth ~ OUI at the end",
    "OUI at the end ~ gap",
    "weight decay ~ gap",
    "distance of OUI from the band, at a tenth ~ accuracy",
    "distance of OUI from the band, at the end ~ accuracy",
    "training loss at a tenth ~ accuracy",
    "held-out accuracy at a tenth ~ accuracy",
)


def oui_tests(results: Results) -> Tests:
    found: Tests = {}
    for setting, runs in results.decayed.items():
        early, end = of(runs, "oui", EARLY), of(runs, "oui")
        decay = np.repeat(np.array(DECAYS)[:, None], SEEDS, axis=1)
        test = of(runs, "test")
        pairs = (
            *((end, decay), (early, decay), (early, end), (end, gap(runs)), (decay, gap(runs))),
            *((outside(early), test), (outside(end), test)),
            *((of(runs, "train_loss", EARLY), test), (of(runs, "test", EARLY), test)),
        )
        for what, pair in zip(OUI_TESTS, pairs, strict=True):
            found[what, told(setting)] = relation(*pair)
    return found


DISTANCE = OUI_TESTS[5]
ROTATION_TESTS = ("rotation ~ learning rate", "rotation ~ accuracy", "rotation ~ gap")


def fitted(runs: Numbers) -> list[int]:
    """The rates at which every seed fits its training images."""
    return [i for i, rate in enumerate(runs) if rate[:, 0].min() >= FITTED]


def rotation_columns(results: Results) -> dict[str, tuple[Numbers, Numbers]]:
    """By the head of a column: the rates, and their runs, (rates, seeds, 3 + kernels)."""
    found = {}
    for noise, runs in results.turned.items():
        found[f"{100 * noise:.0f} % noise, all"] = (np.array(RATES), runs)
        if 2 < len(those := fitted(runs)) < len(RATES):
            found[f"{100 * noise:.0f} % noise, fitted"] = (np.array(RATES)[those], runs[those])
    return found


def rotation_tests(results: Results) -> Tests:
    found: Tests = {}
    for column, (rates, runs) in rotation_columns(results).items():
        rotation = runs[:, :, 3:].mean(2)
        others = (np.repeat(rates[:, None], SEEDS, axis=1), runs[:, :, 1], runs[:, :, 2])
        for what, other in zip(ROTATION_TESTS, others, strict=True):
            found[what, column] = relation(rotation, other)
    return found


def widening(runs: Numbers) -> tuple[Numbers, Numbers]:
    """How much wider the gap is than at the start, and as predicted: (seeds, steps) each."""
    steps = STEPS if runs.shape[1] == len(STEPS) else FIRST
    return runs[:, :, 0] - runs[:, :1, 0], integrated(runs[:, :, 1], steps)


GROWTH_TEST = (f"after {STEPS[END]} steps, over descents", "gap_growth ~ gap")


def growth_tests(results: Results) -> Tests:
    wider = [widening(runs) for runs in results.growth.values()]
    measured, predicted = (np.array([pair[k][:, END] for pair in wider]) for k in (0, 1))
    return {GROWTH_TEST: relation(predicted, measured)}


def step_by_step(results: Results) -> Relation:
    """ρ of growth a step, predicted and measured, over the stretches of a run; p is of no use."""
    wider = [widening(runs) for runs in results.growth.values()]
    both = (np.concatenate([np.diff(pair[k]) / np.diff(STEPS) for pair in wider]) for k in (0, 1))
    measured, predicted = both
    return relation(predicted.T, measured.T)


RANK_TESTS = (
    "over weight decay: rank ~ gap",
    "over weight decay: rank ~ accuracy",
    "over weight decay: rank at a tenth ~ gap at the end",
    "along epochs, no decay: rank ~ gap",
)
NOISE_TEST = ("over label noise, no decay: rank ~ gap", "MLP")


def rank_tests(results: Results) -> Tests:
    found: Tests = {}
    for setting, runs in results.decayed.items():
        rank = of(runs, "rank")
        epochs = range(len(KEPT))
        along = (
            np.array([of(runs, "rank", kept)[0] for kept in epochs]),
            np.array([gap(runs, kept)[0] for kept in epochs]),
        )
        pairs = (
            *((rank, gap(runs)), (rank, of(runs, "test")), (of(runs, "rank", EARLY), gap(runs))),
            along,
        )
        for what, pair in zip(RANK_TESTS, pairs, strict=True):
            found[what, told(setting)] = relation(*pair)
    noisy = [runs for (network, _), runs in results.decayed.items() if network == NOISE_TEST[1]]
    over = (np.array([of(runs, "rank")[0] for runs in noisy]), np.array([gap(r)[0] for r in noisy]))
    return found | {NOISE_TEST: relation(*over)}


def picked(score: Numbers, test: Numbers) -> Numbers:
    """Accuracy of the run of least score, (seeds,); the mean over those that tie."""
    least = score == score.min(0)
    return np.asarray((test * least).sum(0) / least.sum(0))


BY_BAND, HINDSIGHT = "OUI at a tenth nearest the band", "the decay best on average (hindsight)"


def choices(runs: Numbers) -> dict[str, Numbers]:
    """Accuracy at the end of the decay that each way picks, (seeds,)."""
    test, early = of(runs, "test"), of(runs, "oui", EARLY)
    return {
        BY_BAND: picked(outside(early), test),
        "OUI at the end nearest the band": picked(outside(of(runs, "oui")), test),
        "best held-out accuracy at a tenth": picked(-of(runs, "test", EARLY), test),
        "no decay": test[0],
        "any decay, at random": test.mean(0),
        HINDSIGHT: test[test.mean(1).argmax()],
    }


def factor(runs: Numbers, at: int = END) -> tuple[float, float, float, float]:
    """Widening measured and predicted, means; their quotient, and its standard error."""
    wider, predicted = (each[:, at] for each in widening(runs))
    quotient = wider.mean() / predicted.mean()
    error = (wider - quotient * predicted).std(ddof=1) / math.sqrt(len(wider)) / predicted.mean()
    return float(wider.mean()), float(predicted.mean()), float(quotient), float(error)


def alone(results: Results, name: str) -> str:
    """ρ with the gap over the seeds of one decay: the range of its means over the settings."""
    found = [relation(of(runs, name).T, gap(runs).T).mean for runs in results.decayed.values()]
    return f"{min(found):+.2f} to {max(found):+.2f}"


def holding(tests: Tests, sure: set[tuple[str, str]], what: str, sign: int) -> str:
    """In how many of the columns it is firm, with this sign."""
    columns = [key for key in tests if key[0] == what]
    count = sum(key in sure and tests[key].mean * sign > 0 for key in columns)
    return f"{count} of {len(columns)}"


def span(tests: Tests, what: str) -> str:
    """Least and most mean ρ over the columns."""
    means = [one.mean for key, one in tests.items() if key[0] == what]
    return f"{min(means):+.2f} to {max(means):+.2f}"


def early_and_late(results: Results) -> tuple[str, str]:
    """The factor while the training loss is above nine tenths of its start, and at the end."""
    young = [
        factor(runs, i)[2]
        for runs in results.growth.values()
        for i in range(1, len(STEPS))
        if runs[:, i, 2].mean() > 0.9 * runs[:, 0, 2].mean()
    ]
    old = [factor(runs)[2] for runs in results.growth.values()]
    return f"{min(young):.2f} to {max(young):.2f}", f"{min(old):.2f} to {max(old):.2f}"


def best_in_band(results: Results, kept: int) -> str:
    """In how many settings the decay of best mean accuracy has its mean OUI in the band."""
    count = 0
    for runs in results.decayed.values():
        best = int(of(runs, "test").mean(1).argmax())
        count += BAND[0] <= of(runs, "oui", kept)[best].mean() <= BAND[1]
    return f"{count} of {len(results.decayed)}"


def moderate(results: Results) -> tuple[str, str]:
    """From no decay to the last but one, noisy labels: part of the gap left; points gained."""
    noisy = [runs for (_, noise), runs in results.decayed.items() if noise]
    left = [float(gap(runs)[-2].mean() / gap(runs)[0].mean()) for runs in noisy]
    gain = [100 * float((of(runs, "test")[-2] - of(runs, "test")[0]).mean()) for runs in noisy]
    return f"{min(left):.2f} to {max(left):.2f}", f"{min(gain):+.1f} to {max(gain):+.1f}"


def stale(results: Results, tests: Tests) -> list[str]:
    """What the written sentences of the page rest on and is no longer so."""
    noisy = {told(setting): setting[1] > 0 for setting in results.decayed}
    rising = {key: one.mean > 0 for key, one in tests.items()}
    rotation = [rising[ROTATION_TESTS[1], f"{which}"] for which in rotation_columns(results)]
    first = [factor(runs) for runs in results.first.values()]
    facts = {
        "OUI falls with decay": not any(rising[OUI_TESTS[0], column] for column in noisy),
        "OUI rises with the gap where labels are noisy": all(
            rising[OUI_TESTS[3], column] == noise for column, noise in noisy.items()
        ),
        "so does the rank": all(
            rising[RANK_TESTS[0], column] == noise for column, noise in noisy.items()
        ),
        "rotation goes with accuracy, but not over all noisy runs": rotation == [True, False, True],
        "gap_growth is right at the start": all(abs(one[2] - 1) < 2 * one[3] for one in first),
        "and too large at the end": all(factor(r)[2] < 0.5 for r in results.growth.values()),
    }
    return [fact for fact, holds in facts.items() if not holds]
