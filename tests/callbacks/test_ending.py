"""However a training ends, what was measured is there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dyntools import hdf5, read_report
from dyntools.callbacks.ending import on_ending
from dyntools.gathering import read
from tests.processes import ROOT

WORKER = ROOT / "tests" / "workers" / "killed.py"


def start(path: Path, how: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, str(WORKER), str(path), how],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def ended(path: Path, number: signal.Signals, seconds: float) -> int:
    """The last step that was reported whole before the signal."""
    process = start(path, "forever")
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(seconds)
    process.send_signal(number)
    rest = process.communicate(timeout=60)[0]
    assert process.returncode == -number
    lines = (first + rest).split("\n")
    return int(lines[-2])


def test_a_killed_training_leaves_every_report_that_was_whole(tmp_path: Path) -> None:
    process = start(tmp_path, "often")
    told, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    lasts = [int(line) for line in told.split()]
    assert len(lasts) == 20
    for attempt, last in enumerate(lasts):
        path = tmp_path / f"{attempt}.jsonl"
        report = read(path)
        assert set(range(1, last + 1)) <= set(report.series["weight_norm"].steps.tolist())
        hdf5.write(report, path.with_suffix(".h5"))
        sealed = read_report(path.with_suffix(".h5"))
        assert sealed.series["weight_norm"].values.tobytes() == (
            report.series["weight_norm"].values.tobytes()
        )


def test_sigterm_seals(tmp_path: Path) -> None:
    last = ended(tmp_path / "live.jsonl", signal.SIGTERM, 0.1)
    report = read_report(tmp_path / "live.h5")
    assert last in report.series["weight_norm"].steps


@pytest.mark.parametrize(("how", "code"), [("exit", 3), ("raise", 1)])
def test_an_exit_and_an_exception_seal(how: str, code: int, tmp_path: Path) -> None:
    process = start(tmp_path / "live.jsonl", how)
    process.communicate(timeout=60)
    assert process.returncode == code
    assert read_report(tmp_path / "live.h5").series["weight_norm"].steps.tolist() == [1, 2, 3]


def test_a_forked_process_that_is_ended_seals_nothing() -> None:
    acts: list[int] = []
    with on_ending(lambda: acts.append(os.getpid())):
        child = os.fork()
        if child == 0:
            handler = signal.getsignal(signal.SIGTERM)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            assert callable(handler)
            os.kill = lambda *_: os._exit(17 if acts else 0)  # type: ignore[assignment]
            handler(signal.SIGTERM, None)
            os._exit(18)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_the_handler_of_somebody_else_stays() -> None:
    def own(*_: object) -> None: ...

    before = signal.signal(signal.SIGTERM, own)
    try:
        with on_ending(lambda: None):
            assert signal.getsignal(signal.SIGTERM) is own
        assert signal.getsignal(signal.SIGTERM) is own
    finally:
        signal.signal(signal.SIGTERM, before)
