"""What all tests share: where the fixtures lie, a small run made on the spot, the command line."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from dyntools import cli
from tests.small_run import write_small_run

# In the background of a shell pytest begins with SIGINT ignored, and so would every process that it
# starts: those that tests interrupt would never end.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Tests run side by side with other work; one thread is steadier than two that spin."""
    torch.set_num_threads(1)


@pytest.fixture
def small_run(tmp_path: Path) -> Path:
    return write_small_run(tmp_path / "small-run")


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def dyntools(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Outcome]:
    """The command line, run in this process with the temporary folder as working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = cli.run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run
