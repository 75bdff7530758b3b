"""Journals made by hand, as a recorder would write them, in one session or in several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from dyntools.journal import Journal, Row
from dyntools.measurement import Measurement, per_layer

LAYERS = tuple(f"h.{i}.{part}.weight" for i in range(5) for part in ("attn", "mlp"))


def entry(metric: str, dims: tuple[str, ...] = ("layer",)) -> dict[str, object]:
    return {
        "metric": metric,
        "group": "weights",
        "version": 1,
        "unit": "",
        "what": metric,
        "paper": "",
        "settings": {},
        "step_unit": "step",
        "dims": list(dims),
    }


PLAN = [
    entry("layer_rotation"),
    entry("effective_rank"),
    entry("relative_update"),
    entry("adam_sharpness", ("rank",)),
]


def begin(journal: Journal, identity: str = "a", **attributes: object) -> None:
    journal.header(
        {"run": "by hand", "step_unit": "step", "identity": identity, **attributes}, PLAN
    )


def measured(
    journal: Journal, step: int, rotation: Mapping[str, float], seconds: float = 0.5
) -> None:
    """Rotation as given, rank at 0.9 of its null, Adam's sharpness at 0.9 of its threshold."""
    journal.measurement(Row("layer_rotation", step, seconds, per_layer(rotation)))
    rank = per_layer(dict.fromkeys(rotation, 9.0), beside={"null": dict.fromkeys(rotation, 10.0)})
    journal.measurement(Row("effective_rank", step, seconds, rank))
    beside = {"threshold": np.array([20.0]), "learning_rate": np.array([0.1])}
    found = Measurement(np.array([18.0]), ("rank",), {"rank": (1,)}, beside=beside)
    journal.measurement(Row("adam_sharpness", step, seconds, found))


def scalars(journal: Journal, at: Iterable[tuple[int, float]], **values: float) -> None:
    """Steps with their wall times, and a loss and a learning rate that fall steadily."""
    for step, time in at:
        content = {"loss": 5.0 - step / 200, "lr": 0.1 - step / 8000, **values}
        journal.write("scalars", step=step, time=time, values=content)


def session(path: Path, steps: int = 100, identity: str = "a", *, finished: bool = False) -> Path:
    """One loss a step at ten a second from 2026 on, two reports."""
    began = 1767225600.0
    with Journal(path) as journal:
        begin(journal, identity, started="2026-01-01T00:00:00+00:00", budget=0.05)
        half = steps // 2
        scalars(journal, ((i, began + i / 10) for i in range(half)))
        measured(journal, half, dict.fromkeys(LAYERS, 0.1))
        scalars(journal, ((i, began + i / 10) for i in range(half, steps + 1)))
        rotation = {name: 0.2 + 0.01 * i for i, name in enumerate(LAYERS)}
        measured(journal, steps, {**rotation, "h.3.mlp.weight": 0.9})
        journal.note("effective_rank was left out 3 times to stay within 5 % of wall time")
        if finished:
            journal.write("finished", time="2026-01-01T00:01:00+00:00")
    return path
