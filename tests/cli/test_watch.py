"""The live view: one frame, a session at a terminal, and how it leaves."""

from __future__ import annotations

import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fcntl import ioctl
from pathlib import Path

import pytest

from dyntools.journal import Journal
from tests.conftest import Outcome
from tests.journals import begin, scalars, session
from tests.processes import ROOT, python

Command = Callable[..., Outcome]
ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


def test_one_frame(tmp_path: Path, dyntools: Command) -> None:
    outcome = dyntools("watch", session(tmp_path / "j"), "--once")
    assert outcome.code == 0
    head = outcome.out.splitlines()[0]
    # 1.5 s of measuring before the last logged step, of 10 s
    assert head.startswith("by hand · step 100 · 10.0 steps/s · 10 s · measuring 15 % of 5.0 %")
    assert "0.900 × threshold 20.0" in outcome.out
    assert "highest 0.900 in h.3.mlp" in outcome.out
    assert "\x1b" not in outcome.out


def test_off_a_terminal_it_is_one_frame(tmp_path: Path, dyntools: Command) -> None:
    path = session(tmp_path / "j")
    assert dyntools("watch", path).out == dyntools("watch", path, "--once").out


def test_a_running_journal_is_not_said_to_have_stopped(tmp_path: Path, dyntools: Command) -> None:
    for finished in (False, True):
        outcome = dyntools("watch", session(tmp_path / "j", 400, finished=finished), "--once")
        assert ("The run stopped" in outcome.out) is finished


def test_layers_by_order_and_pattern(tmp_path: Path, dyntools: Command) -> None:
    path = session(tmp_path / "j")

    def rows(*arguments: str) -> list[str]:
        out = dyntools("watch", path, "--once", *arguments).out
        table = out[out.rindex("───\n") + 4 :]
        return [line.split()[0] for line in table.splitlines()]

    assert rows()[0] == "h.3.mlp"
    assert rows("--sort", "model") == [
        f"h.{i}.{part}" for i in range(5) for part in ("attn", "mlp")
    ]
    assert rows("--sort", "layer_rotation")[:2] == ["h.3.mlp", "h.4.mlp"]
    assert rows("--sort", "layer_rotation", "--reverse")[:2] == ["h.0.attn", "h.0.mlp"]
    assert len(rows("--layer", "*attn*")) == 5


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["missing", "--once"], "There is no journal here"),
        (["empty", "--once"], "The journal is empty"),
        (["j", "--sort", "rotation"], "--sort layer_rotation"),
        (["j", "--every", "0"], "0.1 seconds"),
        (["j", "--once", "--layer", "nothing*"], "No layer is like 'nothing*'"),
        (["log.txt", "--once"], "not HDF5"),
    ],
)
def test_mistakes(tmp_path: Path, dyntools: Command, arguments: list[str], sentence: str) -> None:
    session(tmp_path / "j")
    (tmp_path / "empty").touch()
    (tmp_path / "log.txt").write_text("epoch 1\n")
    outcome = dyntools("watch", *arguments)
    assert outcome.code == 2
    assert sentence in outcome.err


def test_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from dyntools.cli import run; code = run(sys.argv[1:]);"
        "assert 'torch' not in sys.modules; sys.exit(code)"
    )
    path = str(session(tmp_path / "j"))
    for arguments in (["watch", path, "--once"], ["seal", path]):
        assert python(code, *arguments, cwd=tmp_path).returncode == 0


class Terminal:
    """`dyntools watch` at a pseudo-terminal; `text` is all that it has written."""

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self.master, self.process, self.text = master, process, ""

    def until(self, wanted: str, since: int = 0, seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while wanted not in self.text[since:]:
            assert time.monotonic() < end, f"{wanted!r} never came: {self.text[-2000:]!r}"
            self._read(0.2)

    def ended(self) -> int:
        while self._read(30.0):
            pass
        return self.process.wait(30)

    def _read(self, seconds: float) -> bool:
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:  # the other end is closed
            return False
        self.text += data.decode("utf-8", "replace")
        return bool(data)


@contextmanager
def terminal(
    *arguments: object, rows: int = 40, columns: int = 100, **variables: str
) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONUTF8": "1", **variables}
    for name in ("COLUMNS", "LINES", "NO_COLOR"):
        environment.pop(name, None)
    words = [sys.executable, "-m", "dyntools", "watch", *map(str, arguments)]
    process = subprocess.Popen(
        words, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
    )
    os.close(slave)
    try:
        yield Terminal(master, process)
    finally:
        process.kill()
        process.wait()
        os.close(master)


def test_a_session_from_waiting_to_ctrl_c(tmp_path: Path) -> None:
    path = tmp_path / "live.jsonl"
    with terminal(path, "--every", "0.1") as screen:
        screen.until("waiting for")
        with Journal(path) as journal:
            begin(journal)
            scalars(journal, [(1, 1.0), (2, 2.0)])
            screen.until("step 2")
            with path.open("ab") as file:
                file.write(b'{"kind": "scal')  # torn: nothing is drawn of it
            before = path.stat().st_size
        path.rename(tmp_path / "live-1.jsonl")
        screen.until("the file is gone")
        with Journal(path) as journal:
            begin(journal, "b")
            scalars(journal, [(7, 9.0)])
            screen.until("step 7")
        assert before == (tmp_path / "live-1.jsonl").stat().st_size
        os.kill(screen.process.pid, signal.SIGINT)
        assert screen.ended() == 0
        left = screen.text[screen.text.index(LEAVE) :]
        assert "step 7" in left  # the last frame stays
        assert "interrupted" not in left
        _is_clean(screen.text)


def test_terminated_it_puts_the_terminal_back(tmp_path: Path) -> None:
    with terminal(session(tmp_path / "j"), "--every", "0.1") as screen:
        screen.until("by hand")
        os.kill(screen.process.pid, signal.SIGTERM)
        assert screen.ended() == 128 + signal.SIGTERM
        _is_clean(screen.text)
        assert "Traceback" not in screen.text


def test_what_turns_out_to_be_no_journal_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with terminal(path, "--every", "0.1") as screen:
        screen.until("waiting for")
        path.write_text("this is not a journal\n")
        assert screen.ended() == 2
        _is_clean(screen.text)


def test_suspended_it_shows_the_usual_screen_and_comes_back(tmp_path: Path) -> None:
    with terminal(session(tmp_path / "j"), "--every", "0.1") as screen:
        screen.until("by hand")
        os.kill(screen.process.pid, signal.SIGTSTP)  # discarded in a session of its own
        screen.until(LEAVE)
        os.kill(screen.process.pid, signal.SIGCONT)
        screen.until(ENTER, since=screen.text.index(LEAVE))
        screen.until("by hand", since=screen.text.rindex(ENTER))
        os.kill(screen.process.pid, signal.SIGINT)
        assert screen.ended() == 0
        assert screen.text.count(ENTER) == screen.text.count(LEAVE) == 2
        assert screen.text.rindex(SHOW) > screen.text.rindex(HIDE)


def test_a_terminal_without_these_characters(tmp_path: Path) -> None:
    path = session(tmp_path / "j")
    with terminal(path, "--every", "0.1", PYTHONIOENCODING="ascii", PYTHONUTF8="0") as screen:
        screen.until("0.900 x threshold")
        os.kill(screen.process.pid, signal.SIGINT)
        assert screen.ended() == 0
        assert screen.text.isascii()


@pytest.mark.parametrize(("rows", "columns"), [(24, 80), (10, 40), (5, 20), (50, 160)])
def test_a_frame_fits_the_screen(tmp_path: Path, rows: int, columns: int) -> None:
    with terminal(session(tmp_path / "j"), "--every", "0.1", rows=rows, columns=columns) as screen:
        screen.until("by hand")
        screen.until("\x1b[H", since=screen.text.index("by hand"))
        assert screen.process.poll() is None


def _is_clean(text: str) -> None:
    """The usual screen is back, the cursor is there, and colours are reset."""
    assert text.count(ENTER) == text.count(LEAVE) == 1
    assert text.rindex(SHOW) > text.rindex(HIDE)
    assert text.index(LEAVE) > text.index(ENTER)
