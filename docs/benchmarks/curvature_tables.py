"""The tables of the curvature benchmark: engine, as asked, at equal true error, goals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

from curvature_pages import AT_MOST, table, verdict

LABELS = {
    "dyntools": "dyntools",
    "kept_graph": "bare torch, kept graph + eigsh",
    "curvlinops": "curvlinops + eigsh",
    "eigenthings": "hessian-eigenthings",
    "pyhessian": "PyHessian",
}
ERRORS = (1e-3, 1e-6)
PRODUCT = {"mlp": 1.5, "cnn": 3.3, "gpt": 2.3}  # goals, in gradients
WALL = {"mlp": 0.4, "cnn": 0.5, "gpt": 0.5}  # goals, dyntools to a peer at equal true error
ENGINE = "tool | one product, in gradients"
ASKED = "k | tool | asked | products | CPU s | wall s | true error | set-up s | outside | extra MiB"
EQUAL = "k | true error | tool | asked | products | wall s | wall ratio | CPU ratio"
GOALS = "model | what | limit | measured | met"


@dataclass(frozen=True)
class Run:
    """One request to one tool: its answers, one for each round."""

    tool: str
    k: int
    rtol: float | None
    error: float
    rounds: list[dict[str, Any]]

    def __getitem__(self, key: str) -> float:
        return median(float(found[key]) for found in self.rounds)

    @property
    def asked(self) -> str:
        return "default" if self.rtol is None else f"{self.rtol:.0e}"

    @property
    def outside(self) -> float:
        """Share of the CPU time that is in no product."""
        return median(1 - found["inside"] / found["cpu"] for found in self.rounds)

    @property
    def solver(self) -> float:
        """The same without what comes before the first product."""
        return median(1 - (f["inside"] + f["set_up"]) / f["cpu"] for f in self.rounds)

    def to(self, other: Run, key: str) -> float:
        """What it cost over what the other cost."""
        pairs = zip(self.rounds, other.rounds, strict=True)
        return median(ours[key] / theirs[key] for ours, theirs in pairs)


def goals(found: dict[str, list[Run]]) -> str:
    return table(GOALS, (row for model, runs in found.items() for row in goal_rows(model, runs)))


def section(runs: list[Run]) -> str:
    """All that was measured on one model."""
    return (
        f"{table(ENGINE, engine_rows(runs))}"
        f"\nAs asked:\n{table(ASKED, asked_rows(runs))}"
        f"\nAt equal true error, the cheapest run of each:\n{table(EQUAL, equal_rows(runs))}"
    )


def engine_rows(runs: list[Run]) -> Iterator[tuple[object, ...]]:
    for tool in LABELS:
        if costs := [run["product"] for run in runs if run.tool == tool]:
            yield LABELS[tool], f"{median(costs):.2f}"


def asked_rows(runs: list[Run]) -> Iterator[tuple[object, ...]]:
    for run in sorted(runs, key=lambda run: run.k):
        costs = (f"{run['products']:.0f}", f"{run['cpu']:.2f}", f"{run['wall']:.2f}")
        shares = (f"{run['set_up']:.2f}", f"{run.outside:.1%}", f"{run['extra']:.0f}")
        yield run.k, LABELS[run.tool], run.asked, *costs, f"{run.error:.0e}", *shares


def equal_rows(runs: list[Run]) -> Iterator[tuple[object, ...]]:
    for k in (1, 10):
        for error in ERRORS:
            ours = cheapest(runs, "dyntools", k, error)
            for tool in dict.fromkeys(run.tool for run in runs):
                best = cheapest(runs, tool, k, error)
                case = (k, f"{error:.0e}", LABELS[tool])
                if best is None:
                    yield *case, "none came so close", *[""] * 4
                    continue
                ratios = [f"{ours.to(best, key):.2f}" if ours else "" for key in ("wall", "cpu")]
                yield *case, best.asked, f"{best['products']:.0f}", f"{best['wall']:.2f}", *ratios


def cheapest(runs: list[Run], tool: str, k: int, error: float) -> Run | None:
    """The run of least wall time that truly came within the error."""
    good = [run for run in runs if (run.tool, run.k) == (tool, k) and run.error <= error]
    return min(good, key=lambda run: run["wall"], default=None)


def goal_rows(model: str, runs: list[Run]) -> Iterator[tuple[object, ...]]:
    by = {(run.tool, run.k, run.rtol): run for run in runs}
    cases = [(k, rtol) for k in (1, 10) for rtol in ERRORS]
    saved = {
        f"top-{k}, {rtol:.0e}": by["dyntools", k, rtol].to(by["curvlinops", k, rtol], "products")
        for k, rtol in cases
        if {("dyntools", k, rtol), ("curvlinops", k, rtol)} <= by.keys()
    }
    yield model, "products to ARPACK's, same tolerance asked", *verdict(saved, 0.8)
    what = "wall to {}, equal true error"
    for tool in ("curvlinops", "eigenthings"):
        yield model, what.format(LABELS[tool]), *verdict(ratios(runs, tool), WALL[model])
    slow = {name: x for name, x in ratios(runs, "pyhessian").items() if name.startswith("top-10")}
    yield model, what.format(LABELS["pyhessian"]), *verdict(slow, 1 / 15)
    product = {"": median([run["product"] for run in runs if run.tool == "dyntools"])}
    yield model, "one product, in gradients", *verdict(product, PRODUCT[model])
    if model == "gpt":
        own = {f"top-{run.k}, {run.asked}": run for run in runs if run.tool == "dyntools"}
        for what, key in (("", "outside"), (", set-up not counted", "solver")):
            shares = {name: getattr(run, key) for name, run in own.items()}
            yield model, f"CPU time outside products{what}", *verdict(shares, 0.05)


def ratios(runs: list[Run], tool: str) -> dict[str, float]:
    """Wall time of dyntools over that of a tool, by k and true error.

    A tool that never came within an error is compared by its most exact run, whose error is told:
    the ratio is then a bound from above.
    """
    found = {}
    for k in (1, 10):
        tried = [run for run in runs if (run.tool, run.k) == (tool, k)]
        for error in ERRORS:
            ours, best = (cheapest(runs, name, k, error) for name in ("dyntools", tool))
            if ours and best:
                found[f"top-{k}, {error:.0e}"] = ours.to(best, "wall")
            elif ours and tried:
                best = min(tried, key=lambda run: run.error)
                found[f"top-{k}, {error:.0e} {AT_MOST} ({best.error:.0e})"] = ours.to(best, "wall")
    return found
