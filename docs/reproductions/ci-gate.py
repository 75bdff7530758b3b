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
import tempfile
from pathlib import Path

import torch
from ci_gate_figure import draw
from ci_gate_page import page
from ci_gate_runs import BASE, CHANGED, SAME, TUNING, reports
from ci_gate_verdicts import WIDE, judged, limits, scatter, seed_table, width_table

PAGE = Path(__file__).with_suffix(".md")


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
