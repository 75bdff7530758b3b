"""Run under torchrun: several analyses of one run; the first process writes, the others assist.

analyses.py RUN FOLDER METRICS …     each METRICS a list with commas, sealed at FOLDER/number.h5
"""

import sys
from dataclasses import replace
from pathlib import Path

import torch

from dyntools import Problem, analyze, make_plan, open_run
from dyntools.analysis import assist
from dyntools.ranks import Ranks, join, leave
from tests.workers.eigenvalues import problem


def learnable(ranks: Ranks) -> Problem:
    """Labels by a teacher, so that gradients of examples agree and are no noise alone."""
    given = problem(ranks)
    teacher = torch.randn(12, 5, generator=torch.Generator().manual_seed(1))
    told = [(x, torch.where(y < 0, y, (x @ teacher).argmax(1))) for x, y in given.batches]
    return replace(given, batches=told)


def main(folder: Path, target: Path, asked: list[str]) -> None:
    torch.set_num_threads(1)
    cpu = torch.device("cpu")
    ranks = join(cpu)
    for number, metrics in enumerate(asked):
        run = open_run(folder)
        plan = make_plan(run, metrics.split(","), problem=learnable(ranks))
        if ranks.writes:
            analyze(run, plan, target / f"{number}.h5", device=cpu)
        else:
            assist(run, plan, device=cpu)
    leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
