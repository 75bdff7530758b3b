"""The runs, the printed comparisons and the pictures of compare-runs.md.

    python docs/how-to/compare_runs.py FOLDER

Small MLPs on 8 × 8 digits (those of fixtures/runs/digits-mlp), 600 steps each: two recipes of AdamW
over six seeds, two recipes over a grid of learning rates, and four widths under SGD, in the
standard parametrisation and in μP. The reports go into FOLDER. Then every command of the page is
run there, what it prints is written into the page, and pictures go to docs/images. About two
minutes on one core; reports that are there already are kept.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import subprocess
import sys
import tempfile
from itertools import combinations
from pathlib import Path
from types import ModuleType

import torch
from torch.nn import Linear
from torch.nn.functional import cross_entropy

from dyntools import Problem, analyze, gathering, make_plan, open_run
from dyntools.comparison.side import sides_of
from dyntools.comparison.width_transfer import width_transfer

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
KEPT = (0, 20, 50, 100, 200, 400, 600)
BASE = 64  # the width at which μP and the standard parametrisation are the same
METRICS = ("hessian_top", "weight_norm", "spectral_norm", "effective_rank", "layer_rotation",
           "effective_lr", "generalization_gap")  # fmt: skip


def digits() -> ModuleType:
    """The module that knows the images."""
    path = ROOT / "fixtures/runs/digits-mlp/problem.py"
    spec = importlib.util.spec_from_file_location("digits", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Network(torch.nn.Module):
    """64 → width → width → 10. transfer: μP for SGD with one learning rate for all layers: a factor
    sqrt(width) before the first layer and its inverse before the last, weights of variance 1/width
    (Yang & Hu 2021, arXiv:2011.14522, table 1)."""

    def __init__(self, width: int, transfer: bool = False) -> None:
        super().__init__()
        self.first, self.hidden = Linear(64, width), Linear(width, width)
        self.last = Linear(width, 10)
        self.factor = (width / BASE) ** 0.5 if transfer else 1.0
        with torch.no_grad():
            self.first.weight /= self.factor
            for layer in (self.first, self.hidden, self.last):
                layer.bias.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.factor * self.first(x))
        return self.last(torch.relu(self.hidden(x))) / self.factor


def train(
    folder: Path,
    model: Network,
    *,
    seed: int,
    lr: float,
    decay: float,
    plain: bool,
) -> None:
    """A run on disk. plain: SGD with momentum, else AdamW."""
    (x, y), (xv, yv) = digits().data()
    torch.manual_seed(seed)
    optimizer: torch.optim.Optimizer = torch.optim.AdamW(
        model.parameters(), lr=lr, weight_decay=decay
    )
    if plain:
        optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    folder.mkdir(parents=True)
    rows = []
    for step in range(KEPT[-1] + 1):
        if step in KEPT:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save({**state, "step": step}, folder / f"step-{step:05d}.pt")
        batch = torch.randint(len(y), (30,))
        loss = cross_entropy(model(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 10 == 0:
            with torch.no_grad():
                validation = cross_entropy(model(xv), yv).item()
            row = {"step": step, "train/loss": loss.item(), "val/loss": validation, "lr": lr}
            rows.append(json.dumps(row))
    (folder / "log.jsonl").write_text("\n".join(rows) + "\n")


def report(
    path: Path,
    *,
    seed: int = 0,
    width: int = BASE,
    lr: float = 3e-3,
    decay: float = 0.3,
    transfer: bool = False,
    plain: bool = False,
) -> None:
    """Train in a temporary folder and analyse into `path`."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    model = Network(width, transfer)
    with tempfile.TemporaryDirectory() as folder:
        train(Path(folder) / path.stem, model, seed=seed, lr=lr, decay=decay, plain=plain)
        run = open_run(str(Path(folder) / path.stem))
        problem = Problem(
            model=model,
            batches=[digits().data()[0]],
            loss=lambda outputs, batch: cross_entropy(outputs, batch[1]),
        )
        metrics = METRICS[:4] if plain else METRICS
        analyze(run, make_plan(run, list(metrics), problem=problem), path)


def make(folder: Path) -> None:
    """All reports."""
    for seed in range(6):
        report(folder / f"seeds/base-{seed}.h5", seed=seed)
        report(folder / f"seeds/nodecay-{seed}.h5", seed=seed, decay=0.0)
    for width in (32, 64, 128, 256):
        for seed in range(3):
            for name, transfer in (("sp", False), ("mup", True)):
                path = folder / f"widths/{name}-{width}-{seed}.h5"
                report(path, seed=seed, width=width, lr=0.02, plain=True, transfer=transfer)
    for lr in (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1):
        report(folder / f"rates/decay-{lr:g}.h5", lr=lr)
        report(folder / f"rates/nodecay-{lr:g}.h5", lr=lr, decay=0.0)


COMMAND = r"```console\n\$ dyntools (?P<line>compare [^\n]*)\n```\n\n"
BLOCK = re.compile(rf"(?P<before>{COMMAND}```text\n).*?(?P<after>```\n)", re.DOTALL)


def refresh(folder: Path) -> None:
    """Every command of the page that is followed by its output, run anew."""

    def printed(found: re.Match[str]) -> str:
        words = [sys.executable, "-m", "dyntools", *shlex.split(found["line"])]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)
        return found["before"] + done.stdout.rstrip() + "\n" + found["after"]

    page = HERE / "compare-runs.md"
    page.write_text(BLOCK.sub(printed, page.read_text()))
    for picture in folder.glob("compare-*.png"):
        (HERE.parent / "images" / picture.name).write_bytes(picture.read_bytes())


def seeds_span(folder: Path) -> tuple[float, float]:
    """The least and the largest median spread of the sharpness of four seeds of one recipe, over
    all fours of the six: what runs of one width differ by without any width."""
    found = []
    for recipe in ("base", "nodecay"):
        files = sorted(folder.glob(f"seeds/{recipe}-*.h5"))
        for four in combinations(files, 4):
            sides = sides_of([(str(path), gathering.read(path)) for path in four], {})
            said = {side.name: 1.0 + i for i, side in enumerate(sides)}
            found.append(width_transfer(sides, said).curves[0].median_spread)
    return min(found), max(found)


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    make(folder)
    refresh(folder)
    least, most = seeds_span(folder)
    print(f"median spread of the sharpness of four seeds: {least:.2f} to {most:.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
