"""DistributedDataParallel with two processes: rank 0 records, and neither of them is changed."""

from __future__ import annotations

from pathlib import Path

import torch

from dyntools.gathering import read
from tests.processes import ROOT, torchrun
from tests.trainings import differences

WORKER = ROOT / "tests" / "workers" / "recorded.py"


def test_the_first_rank_records_and_no_rank_is_changed(tmp_path: Path) -> None:
    modes = ("bare", "recorded", "saboteur")
    done = torchrun(2, str(WORKER), str(tmp_path), *modes)
    assert done.returncode == 0, done.stderr[-2000:]
    bare, recorded, sabotaged = (
        [torch.load(tmp_path / f"{mode}{rank}.pt", weights_only=False) for rank in (0, 1)]
        for mode in modes
    )
    assert differences(bare, recorded) == []
    assert differences(bare[0], bare[1])  # each rank has batches of its own
    assert differences(bare, sabotaged)
    assert not (tmp_path / "rank1").exists()
    # What was recorded last, by the saboteur, is set beside it.
    report = read(tmp_path / "rank0" / "live-1.jsonl")
    assert report.series["hessian_top"].ok.any()
    assert "0.weight" in report.series["weight_norm"].coords["layer"]  # without `module.`
