"""How often `dyntools check` fails a run that did not change, and catches one that did.

Synthetic reports of which the truth is known: every number is a true value, 10, and noise of a
known standard deviation. Each line of the table judges 1,000 pairs of sides with `judge`, whole:
as many reports a side as it says, as many checks as it says, and one change of the true value. Of
many checks a quarter of the changed pairs is judged, for they take the longest.

    unchanged       both sides have the same true value: a fail is a false fail
    at the edge     all true values moved by just the tolerance: the hardest run that may not fail
    3 σ, 10 σ       the true value moved by the tolerance and so many σ more, in one of the checks

σ is the standard error of the change for one report a side (both sides together), and the standard
deviation over seeds for several. Heavy tails: Student's t with three degrees of freedom, scaled to
the same σ. A false fail of many checks is a fail of any of them, since `judge` holds its level over
all.

    python docs/benchmarks/check_truth.py             # about three minutes on one core
    python docs/benchmarks/check_truth.py --pairs 100 # a look
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from dyntools.checks.judging import LEVEL, judge
from dyntools.checks.limit import parse
from dyntools.checks.verdict import Verdict
from dyntools.report import Report, Series

PAGE = Path(__file__).with_suffix(".md")
TRUE = 10.0
ESTIMATED, EXACT = "block_sharpness", "update_snr"  # with a standard error, and without any error
SIGMA = 0.05  # of a seed, and of an estimate
WITHIN = 0.1  # the relative tolerance, so 20 σ: a change has to be counted from its edge
NEAR_SIGMA = 0.1  # a tolerance within the scatter, so that either edge can be crossed by chance
NEAR = f"within {NEAR_SIGMA * SIGMA:g}"
TAILS = {"normal": np.inf, "heavy": 3.0}


@dataclass(frozen=True)
class Route:
    """One line: n reports of the baseline, m now, so many checks, and the limit on each."""

    name: str
    before: int
    now: int
    checks: int = 1
    relation: str = "within 0"
    tails: str = "normal"

    @property
    def metric(self) -> str:
        return ESTIMATED if self.before == self.now == 1 else EXACT

    @property
    def tolerance(self) -> float:
        if self.relation == NEAR:
            return NEAR_SIGMA * SIGMA
        return WITHIN * TRUE if "10%" in self.relation else 0.0

    @property
    def sigma(self) -> float:
        """What a change is counted in."""
        if self.metric == EXACT:
            return SIGMA
        share = WITHIN if "10%" in self.relation else 0.0
        return SIGMA * float(np.hypot(1.0, 1.0 + share))


ROUTES = (
    Route("one report a side, with error bars", 1, 1),
    Route("the same, a rise alone", 1, 1, relation="not above by 0"),
    Route("the same, tolerance 10%", 1, 1, relation="within 10%"),
    Route("the same, heavy tails", 1, 1, tails="heavy"),
    *(Route(f"seeds, {n} a side", n, n) for n in (3, 5, 10)),
    *(Route(f"seeds, {n} a side, 10%", n, n, relation="within 10%") for n in (3, 5, 10)),
    *(Route(f"seeds, {n} a side, 0.1 σ", n, n, relation=NEAR) for n in (3, 4)),
    *(Route(f"seeds, {n} a side, heavy tails", n, n, tails="heavy") for n in (5, 10)),
    *(Route(f"one against {n} seeds", n, 1) for n in (5, 10)),
    Route("one against 10 seeds, 10%", 10, 1, relation="within 10%"),
    Route("one against 10 seeds, heavy tails", 10, 1, tails="heavy"),
    Route("one report a side", 1, 1, checks=50),
    Route("seeds, 5 a side, 0.1 σ", 5, 5, checks=12, relation=NEAR),
    Route("seeds, 3 a side", 3, 3, checks=50),
    Route("seeds, 5 a side", 5, 5, checks=50),
    Route("seeds, 5 a side, 10%", 5, 5, checks=50, relation="within 10%"),
    Route("seeds, 7 a side", 7, 7, checks=50),
    Route("seeds, 10 a side", 10, 10, checks=50),
    Route("one against 10 seeds", 10, 1, checks=50),
    Route("one against 10 seeds, heavy tails", 10, 1, checks=60, tails="heavy"),
    Route("one against 20 seeds, heavy tails", 20, 1, checks=60, tails="heavy"),
)


def report(values: NDArray[np.float64], metric: str) -> Report:
    """A report of one step with these values (E,), whose standard error is SIGMA if it has one."""
    layers = tuple(f"blocks.{i}.weight" for i in range(len(values)))
    series = Series(
        metric=metric,
        group="synthetic",
        version=1,
        unit="1",
        what="synthetic",
        paper="",
        settings={},
        step_unit="step",
        steps=np.array([100]),
        dims=("layer",),
        coords={"layer": layers},
        values=values[None, :],
        error=np.full((1, len(values)), SIGMA) if metric == ESTIMATED else None,
        status=np.zeros((1, len(values)), np.int8),
        beside={},
        seconds=np.zeros(1),
        matvecs=np.zeros(1, np.int64),
        method=("",),
    )
    return Report(series={metric: series})


def side(route: Route, count: int, shift: float, generator: np.random.Generator) -> list[Report]:
    """So many reports, moved by `shift`: all checks to the edge, or the first alone beyond it."""
    shape = (count, route.checks)
    freedom = TAILS[route.tails]
    if np.isinf(freedom):
        noise = generator.normal(size=shape)
    else:
        noise = generator.standard_t(freedom, size=shape) / np.sqrt(freedom / (freedom - 2))
    values = TRUE + SIGMA * noise
    values[:, : route.checks if shift == route.tolerance else 1] += shift
    return [report(row, route.metric) for row in values]


def verdicts(route: Route, shift: float, pairs: int, seed: int) -> Counter[Verdict]:
    """Of the whole outcome where nothing changed; else of the check that did."""
    generator = np.random.default_rng(seed)
    limit = [parse(f"{route.metric}@last {route.relation}")]
    found: Counter[Verdict] = Counter()
    for _ in range(pairs):
        outcome = judge(
            side(route, route.now, shift, generator),
            side(route, route.before, 0.0, generator),
            limit,
            level=LEVEL,
        )
        changed = [check for check in outcome.checks if check.entry == "blocks.0.weight"]
        found[outcome.verdict if shift <= route.tolerance else changed[0].verdict] += 1
    return found


def interval(count: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """The exact interval of a share (Clopper & Pearson 1934)."""
    tail = (1 - level) / 2
    low = float(betaincinv(count, total - count + 1, tail)) if count else 0.0
    high = float(betaincinv(count + 1, total - count, 1 - tail)) if count < total else 1.0
    return low, high


def share(count: int, total: int) -> str:
    low, high = interval(count, total)
    return f"{100 * count / total:.1f} ({100 * low:.1f} to {100 * high:.1f})"


@dataclass(frozen=True)
class Line:
    """What became of a route: counts of fails. passed: of changed pairs, 3 σ and 10 σ together."""

    route: Route
    unchanged: int
    edge: int | None
    three: int
    ten: int
    passed: int
    pairs: int
    some: int  # of the changed pairs

    def row(self) -> str:
        edge = "" if self.edge is None else share(self.edge, self.pairs)
        cells = [
            self.route.name,
            str(self.route.checks),
            share(self.unchanged, self.pairs),
            edge,
            share(self.three, self.some),
            share(self.ten, self.some),
            str(self.passed),
        ]
        return f"| {' | '.join(cells)} |\n"


def line(route: Route, pairs: int, seed: int = 0) -> Line:
    unchanged = verdicts(route, 0.0, pairs, seed)
    edge = None
    if route.tolerance:
        edge = verdicts(route, route.tolerance, pairs, seed + 1)[Verdict.fail]
    some = pairs if route.checks == 1 else pairs // 4
    three, ten = (
        verdicts(route, route.tolerance + size * route.sigma, some, seed + size) for size in (3, 10)
    )
    passed = three[Verdict.passed] + ten[Verdict.passed]
    caught = three[Verdict.fail], ten[Verdict.fail]
    return Line(route, unchanged[Verdict.fail], edge, *caught, passed, pairs, some)


HEAD = (
    "| route | checks | false fails, unchanged, % | at the edge, % | 3 σ caught, % | "
    "10 σ caught, % | changed but passed |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
)


def page(lines: Sequence[Line]) -> str:
    given = " ".join(["python docs/benchmarks/check_truth.py", *sys.argv[1:]])
    versions = f"Python {platform.python_version()}, numpy {version('numpy')}"
    return (
        "# The checks against a known truth\n\n"
        f"Made by `{given}` ({versions}).\nEach number is a share of {lines[0].pairs:,} pairs "
        f"with its exact 95 % interval.\nThe level is {LEVEL:g}, over all checks of a pair; of "
        f"many checks a quarter of the changed pairs is judged.\n\n"
        f"{HEAD}{''.join(one.row() for one in lines)}{NOTES}"
    )


NOTES = """
## How to read it

- **False fails** agree with the level, over one check or fifty: every interval reaches down to
  it, but that of one check of one report against several under heavy tails, which fails too
  often, for its test takes the scatter for normal. Over several checks that test has no say of its
  own: fewer than 19 others show nothing, and `check` says so. Several reports a side assume only
  that both sides scatter alike.
- **At the edge** of the tolerance lies the hardest run that may not fail: there the share is the
  level, and it falls to nothing inside.
- **3 σ.** Of one number with a normal error and a tolerance of 0, no unbiased test at 5 % catches
  more than 85.1 % of such changes, and none on one side more than 91.2 %. A tolerance leaves one
  side of interest, hence 91 % beyond it.
- **3 seeds a side** and a tolerance of 0, or within the scatter: the smallest p is 2/20, so nothing
  can be shown, and `check` says so.
- **Fifty checks.** What one check may claim is a fiftieth; 5 seeds a side see gross changes, 10
  see small ones. Holm's correction alone would let 5 seeds see nothing at all (see [many
  checks](../reference/checks.md#chance)).
- **Changed but passed** counts pairs moved beyond the tolerance that were called unchanged.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=1000)
    options = parser.parse_args()
    lines = []
    for i, route in enumerate(ROUTES):
        lines.append(line(route, options.pairs, seed=1000 * i))
        print(lines[-1].row(), end="", flush=True)
    PAGE.write_text(page(lines))


if __name__ == "__main__":
    main()
