"""A run of a few checkpoints and a log, made on the spot."""

from __future__ import annotations

import json
from pathlib import Path

import torch


def write_small_run(folder: Path, steps: tuple[int, ...] = (0, 10, 20, 40), seed: int = 0) -> Path:
    """A run of a 2-layer model whose weights drift from their start, with a log that overfits."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(seed)
    start = {
        "0.weight": torch.randn(12, 8, generator=generator),
        "0.bias": torch.zeros(12),
        "2.weight": torch.randn(4, 12, generator=generator),
        "2.bias": torch.zeros(4),
    }
    drift = {name: torch.randn(w.shape, generator=generator) for name, w in start.items()}
    for step in steps:
        weights = {name: w + 0.02 * step * drift[name] for name, w in start.items()}
        torch.save({"model": weights, "step": step}, folder / f"step-{step:05d}.pt")
    rows = []
    for step in range(0, max(steps) + 1, 2):
        row = {"step": step, "train/loss": 2.0 / (1 + step)}
        if step % 4 == 0:
            row["val/loss"] = 1.0 + abs(step - 12) / 20
        rows.append(json.dumps(row))
    (folder / "log.jsonl").write_text("\n".join(rows) + "\n")
    return folder
