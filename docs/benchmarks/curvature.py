"""Largest Hessian eigenvalues: dyntools and other tools, as asked and at equal true error.

    python docs/benchmarks/curvature.py --peers PYTHON [--models mlp cnn gpt] [--rounds N]

Three trained models (curvature_models.py), top-1 and top-10. Every tool has a process of its own
(curvature_tools.py) that answers its requests one after the other; the tools take turns, and all
of that is done `rounds` times: by default three times for the MLP and once for the slower models.
Given are medians over rounds; ratios are medians of the ratios of single rounds.

The true error is the worst of the k relative errors against float64 values of ARPACK on plain
torch. A tolerance means what each tool says it means, so tools are also compared by the cheapest
of their runs whose *true* error is within 1e-3 or 1e-6. Writes docs/benchmarks/curvature.md.

--peers: a Python that can import torch, numpy, scipy, curvlinops, hessian_eigenthings and
pyhessian; none of them is a dependency. --work: where models and references are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from curvature_models import load
from curvature_pages import made_by
from curvature_reference import reference
from curvature_tables import LABELS, Run, goals, section

ROOT = Path(__file__).parents[2]
PEERS = ("curvlinops", "eigenthings", "pyhessian")
PACKAGES = ("curvlinops-for-pytorch", "hessian-eigenthings", "pyhessian")
RTOLS: dict[str, tuple[float | None, ...]] = {  # None: the tool's own default budget
    "dyntools": (1e-2, 1e-3, 1e-6),
    "kept_graph": (1e-3,),
    "curvlinops": (1e-1, 1e-2, 1e-3, 1e-6),
    "eigenthings": (None, 1e-3, 1e-6),
    "pyhessian": (1e-3,),
}
# Its power iteration needs these to come within 1e-3; on the larger models that takes too long.
TIGHTER = {("mlp", "pyhessian"): ((1, 1e-4), (10, 1e-5))}
LEFT_OUT = {  # minutes each, and no goal rests on them
    (model, tool, rtol)
    for model in ("cnn", "gpt")
    for tool, rtol in (("curvlinops", 1e-1), ("eigenthings", 1e-6))
}
ROUNDS = {"mlp": 3, "cnn": 1, "gpt": 1}


def measure(model: str, pythons: dict[str, str], folder: Path, options: Any) -> list[Run]:
    load(model, folder)  # trained here, if it has not been
    task = load(model, folder, dtype=torch.float64)
    truth = reference(task, 10, folder / f"{model}-reference.json")
    answers: dict[tuple[str, int, float | None], list[dict[str, Any]]] = {}
    for _ in range(options.rounds or ROUNDS[model]):
        for tool, python in pythons.items():
            wanted = requests(model, tool, quick=options.quick)
            for found in ask(python, tool, model, folder, options.threads, wanted):
                answers.setdefault((tool, found["k"], found["rtol"]), []).append(found)
    return [Run(*key, worst(rounds, truth), rounds) for key, rounds in answers.items()]


def requests(model: str, tool: str, *, quick: bool) -> list[tuple[int, float | None]]:
    plain = [
        (k, rtol) for k in (1, 10) for rtol in RTOLS[tool] if (model, tool, rtol) not in LEFT_OUT
    ]
    if quick:
        return [(k, rtol) for k, rtol in plain if rtol is None or rtol >= 1e-3]
    return [*plain, *TIGHTER.get((model, tool), ())]


def ask(
    python: str, tool: str, model: str, folder: Path, threads: int, wanted: list[Any]
) -> list[dict[str, Any]]:
    """The answers of a tool's process; none, and a line to say so, where it is not installed."""
    command = [python, str(ROOT / "docs/benchmarks/curvature_tools.py"), tool, model, str(folder)]
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, str(threads))}
    if tool == "dyntools":
        environment["PYTHONPATH"] = str(ROOT)
    lines = "\n".join(json.dumps({"k": k, "rtol": rtol}) for k, rtol in wanted)
    ended = subprocess.run(
        command, input=lines, stdout=subprocess.PIPE, text=True, env=environment, check=True
    )
    found = [json.loads(line) for line in ended.stdout.splitlines()]
    if "missing" in found[0]:
        print(f"{tool} is left out: {found[0]['missing']}", file=sys.stderr)
        return []
    return found


def worst(rounds: list[dict[str, Any]], truth: list[float]) -> float:
    """The largest relative error of all values; NaN where a tool gave one up."""
    found = [zip(each["values"], truth, strict=False) for each in rounds]
    errors = [abs(value - true) / abs(true) for pairs in found for value, true in pairs]
    return max(errors) if all(error >= 0 for error in errors) else float("nan")


def page(found: dict[str, list[Run]], options: Any) -> str:
    rounds = ", ".join(f"{model} {len(runs[0].rounds)}" for model, runs in found.items())
    text = (
        f"# Largest Hessian eigenvalues\n\n{made_by(options, PACKAGES)}\nRounds: {rounds}. What is"
        " compared is said at the top of the script. Set-up: CPU seconds before the first product"
        " (a tool's own checks);\noutside: share of all CPU time that is in no product; extra: peak"
        " beyond the loaded model; wall and CPU ratio: dyntools to the tool.\n\n## Goals\n"
    )
    text += goals(found)
    for model, runs in found.items():
        text += f"\n## {model}\n{section(runs)}"
    return text


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peers", metavar="PYTHON")
    parser.add_argument("--models", nargs="+", default=list(ROUNDS), choices=list(ROUNDS))
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, help="folder kept for models and references")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    parser.add_argument("--quick", action="store_true", help="the MLP once, to 1e-3; only printed")
    options = parser.parse_args()
    if options.quick:
        options.models, options.rounds = ["mlp"], 1
    torch.set_num_threads(options.threads)
    pythons = {tool: options.peers if tool in PEERS else sys.executable for tool in LABELS}
    found: dict[str, list[Run]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for model in options.models:
            present = {tool: python for tool, python in pythons.items() if python}
            found[model] = measure(model, present, options.work or Path(temporary), options)
            if not options.quick:
                options.out.write_text(page(found, options))
    print(page(found, options))


if __name__ == "__main__":
    main()
