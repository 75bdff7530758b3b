"""A fresh interpreter, for what must not be seen from this one: imports, kills, memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
FIXTURES = ROOT / "fixtures"


def python(code: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter, for what must not be seen from this one (imports, kills, memory)."""
    return _run(["-c", code, *arguments], cwd)


# A process that used DistributedDataParallel keeps gloo's threads after `destroy_process_group`,
# and one of them may meet an interpreter that is going (pytorch/pytorch#179291): an abort of torch
# at exit, after all work, on a busy machine once in some hundred runs. Such a run is repeated.
TORCH_ABORTED_AT_EXIT = "terminate called without an active exception"


def torchrun(
    count: int, *arguments: str, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """`count` processes of `python …` under torchrun, on a free port; with gloo on the CPU."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    for _ in range(3):
        done = _run([*launcher, *arguments], cwd)
        if TORCH_ABORTED_AT_EXIT not in done.stderr:
            break
    return done


def _run(arguments: list[str], cwd: Path | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        cwd=cwd,
        check=False,
        timeout=300,
    )
