"""What a live step is compared with is what the checkpoints saved beside it would say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dyntools.callbacks import Recorder, at, every
from dyntools.journal import Row
from dyntools.measuring import measure
from dyntools.opening import open_run
from dyntools.run import snapshots
from tests.trainings import TinyGPT, batch, cnn, loss_of, problem_of, seeded


@pytest.mark.parametrize("make", [TinyGPT, cnn])
def test_predictions_drift_also_from_steps_at_which_they_were_not_measured(
    make: type, tmp_path: Path
) -> None:
    """From the start before the first report, and from reports of other metrics alone.

    The copy of such a step knows neither a pass nor the problem; buffers are those of its step.
    """
    problem, rows = problem_of(make), list[Row]()
    seeded(0)
    model = make()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    recorder = Recorder(
        model,
        optimizer,
        problem=problem,
        metrics={"weight_norm": every(2), "output_drift": at(2, 8)},
        path=tmp_path / "live.jsonl",
        budget=1.0,
        sinks=[lambda step, scalars, found: rows.extend(found)],
    )
    saved = tmp_path / "saved"
    saved.mkdir()
    with recorder:
        for step in range(9):
            if step:
                given = batch(make)
                optimizer.zero_grad()
                loss_of(model(given[0]), given).backward()
                optimizer.step()
                recorder.step(step)
            if step % 2 == 0:
                torch.save({"model": model.state_dict(), "step": step}, saved / f"step_{step}.pt")
    live = {row.step: row.measurement for row in rows if row.metric == "output_drift"}
    run = open_run(saved)
    assert list(live) == [2, 8]
    for snapshot in snapshots(run, steps=[2, 8], problem=problem):
        stored = measure(snapshot, "output_drift")
        assert stored.values > 0.0
        assert live[snapshot.step].values.tobytes() == stored.values.tobytes()
        assert live[snapshot.step].error is not None
        assert live[snapshot.step].error.tobytes() == stored.error.tobytes()
        assert live[snapshot.step].beside["between"] == 2
