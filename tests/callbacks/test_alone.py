"""What a recorder measures of one metric does not depend on which others it was asked for.

A recorder copies the weights before training, and those of the report before, where a metric looks
at them. Once it did so only for metrics that cannot be without: `loss_barrier` alone found no
checkpoint before, and `alignment` no change, and with `layer_rotation` beside them they did.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from dyntools.callbacks import Recorder, at
from dyntools.journal import Row
from dyntools.measurement import Measurement
from dyntools.metrics import METRICS
from tests.metrics.test_contract import assert_same_bits
from tests.trainings import TinyGPT, batch, loss_of, problem_of, seeded

STEPS = (2, 4)
# Of the log a recorder has what the loop tells; a training that goes on has no last step.
KNOWN = [m for m in METRICS if not {"log", "final", "validation"} & set(m.needs)]
NAMES, LOOKING = [m.name for m in KNOWN], [m.name for m in KNOWN if m.uses]
Found = dict[tuple[str, int], Measurement]


def live(names: Sequence[str], folder: Path) -> Found:
    problem = problem_of(TinyGPT)
    seeded(0)
    model, rows = TinyGPT(), list[Row]()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    settings = {"schedule": at(*STEPS), "budget": 1.0, "path": folder / "live.jsonl"}
    sinks = [lambda step, scalars, found: rows.extend(found)]
    with Recorder(model, optimizer, problem=problem, metrics=names, sinks=sinks, **settings) as rec:
        for step in range(1, STEPS[-1] + 1):
            given = batch(TinyGPT)
            optimizer.zero_grad()
            loss_of(model(given[0]), given).backward()
            optimizer.step()
            rec.step(step)
    return {(row.metric, row.step): row.measurement for row in rows}


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Found:
    return live(NAMES, tmp_path_factory.mktemp("together"))


@pytest.mark.parametrize("name", LOOKING)
def test_alone_a_recorder_gives_the_same_bits(name: str, together: Found, tmp_path: Path) -> None:
    alone = live([name], tmp_path)
    assert sorted(alone) == [(name, step) for step in STEPS]
    for place, found in alone.items():
        assert_same_bits(found, together[place])
