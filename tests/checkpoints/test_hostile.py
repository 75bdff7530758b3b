"""Nothing stored in a checkpoint is ever executed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

AUDIT = Path(__file__).with_name("audit.py")
# What must be refused outright; all else is read around its hostile part.
REFUSED = ("dcp-metadata/step-1", "os-system.pt", "raw-pickle.pkl", "sharded-escape/checkpoint-1")


@pytest.mark.slow
def test_opening_and_reading_hostile_files_runs_nothing(fixtures, tmp_path):
    canary = tmp_path / "canary"
    payload = fixtures / "hostile" / "payload.py"
    root = Path(__file__).parents[2]
    environment = os.environ | {
        "DYNTOOLS_CANARY": str(canary),
        "DYNTOOLS_PAYLOAD": str(payload),
        "PYTHONPATH": str(root),
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", AUDIT, fixtures / "hostile", fixtures / "runs"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == [], "a payload ran"
    report = json.loads(done.stdout)
    assert report["seen"] == []
    outcomes = report["outcomes"]
    assert all(outcomes[path] != "read" for path in REFUSED)
    assert outcomes["posix-system.pt"] == outcomes["trainer/checkpoint-1"] == "read"
    assert outcomes["deepspeed/global_step5"] == outcomes["legacy.pt"] == "read"
