"""DistributedDataParallel with two processes: rank 0 records, and neither of them is changed."""

from __future__ import annotations

from pathlib import Path

import torch

from dyntools import read_report
from tests.processes import ROOT, torchrun
from tests.trainings import differences

WORKER = ROOT / "tests" / "workers" / "recorded.py"


def _ends(folder: Path, mode: str) -> list[object]:
    done = torchrun(2, str(WORKER), str(folder), mode)
    assert done.returncode == 0, done.stderr[-2000:]
    return [torch.load(folder / f"{mode}{rank}.pt", weights_only=False) for rank in (0, 1)]


def test_the_first_rank_records_and_no_rank_is_changed(tmp_path: Path) -> None:
    bare, recorded = _ends(tmp_path, "bare"), _ends(tmp_path, "recorded")
    assert differences(bare, recorded) == []
    assert differences(bare[0], bare[1])  # each rank has batches of its own
    assert not (tmp_path / "rank1").exists()
    report = read_report(tmp_path / "rank0" / "live.h5")
    assert report.series["hessian_top"].ok.any()
    assert "0.weight" in report.series["weight_norm"].coords["layer"]  # without `module.`
    assert differences(bare, _ends(tmp_path, "saboteur"))
