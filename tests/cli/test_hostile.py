"""Whatever a file asks for when it is loaded, nothing of it happens, through any command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import FIXTURES, ROOT

HOSTILE = FIXTURES / "hostile"
PLACES = sorted(path for path in HOSTILE.iterdir() if path.suffix not in (".md", ".py"))

# An audit hook cannot be removed or fooled by Python code: it sees every process, shell command,
# and file opened for writing. `import` events tell what a pickle would have imported.
WATCH = """
import os, sys
FORBIDDEN = {"os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "pty.spawn"}
import torch, numpy, dyntools.analysis, dyntools.checkpoints, dyntools.cli, runpy, platform
platform.platform()
def watch(event, arguments):
    if event in FORBIDDEN:
        os.write(2, f"EXECUTED {event} {arguments}".encode())
        os._exit(77)
    if event == "import" and arguments[0] in ("payload", "antigravity", "this"):
        os.write(2, f"IMPORTED {arguments[0]}".encode())
        os._exit(78)
sys.addaudithook(watch)
"""


def watched(code: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DYNTOOLS_CANARY": str(cwd / "CANARY"),
        "DYNTOOLS_PAYLOAD": str(HOSTILE / "payload.py"),
    }
    return subprocess.run(
        [sys.executable, "-c", WATCH + code, *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


ONE_BY_ONE = """
from pathlib import Path
from dyntools.checkpoints import find, open_checkpoint
from dyntools.errors import DyntoolsError
for place in map(Path, sys.argv[1:]):
    found, damaged = find(place)
    try:
        found.append(open_checkpoint(place))
    except DyntoolsError as error:
        assert str(error)
    for checkpoint in found:
        checkpoint.optimizer()
        for entry in checkpoint.tensors.values():
            entry.read()
    assert all(bad.reason for bad in damaged)
    print(place.name, len(found), len(damaged))
"""


def test_the_watch_notices_an_execution(tmp_path: Path) -> None:
    assert watched("os.system('true')", cwd=tmp_path).returncode == 77
    assert watched("import subprocess; subprocess.run(['true'])", cwd=tmp_path).returncode == 77
    assert watched("import this", cwd=tmp_path).returncode == 78


def test_opening_and_reading_every_hostile_file_runs_nothing(tmp_path: Path) -> None:
    result = watched(ONE_BY_ONE, *map(str, PLACES), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == len(PLACES)
    assert not list(tmp_path.iterdir())


COMMANDS = """
from dyntools.cli import run
codes = [
    run(["inspect", place]) for place in sys.argv[1:]
] + [
    run(["analyze", place, "-o", "r.h5", "--force", "--preset", "quick"]) for place in sys.argv[1:]
] + [
    run(["init", place, "--force"]) for place in sys.argv[1:]
]
print("CODES", *codes)
"""


@pytest.mark.slow
def test_commands_on_them_run_nothing(tmp_path: Path) -> None:
    result = watched(COMMANDS, *map(str, PLACES), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    assert "mistake of its own" not in result.stderr
    codes = result.stdout.split("CODES")[1].split()
    assert len(codes) == 3 * len(PLACES)
    assert set(codes) <= {"0", "2"}
    assert {path.name for path in tmp_path.iterdir()} <= {"r.h5", "problem.py"}


def test_beside_good_checkpoints_a_hostile_one_does_not_stop_the_run(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for source in sorted((FIXTURES / "runs/digits-mlp").glob("step-000[012]0.pt")):
        (run / source.name).write_bytes(source.read_bytes())
    for i, source in enumerate(path for path in PLACES if path.is_file()):
        (run / f"step-{1000 + i}{source.suffix}").write_bytes(source.read_bytes())
    code = """
from dyntools.cli import run
code = run(["analyze", sys.argv[1], "-o", "r.h5"])
sys.exit(code)
"""
    result = watched(code, str(run), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"run", "r.h5"}
