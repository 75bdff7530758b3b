"""A file is written whole or not at all, and what was there before stays until then."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from dyntools.whole_file import write_whole
from tests.processes import python

OLD, NEW = b"old", bytes(range(256)) * 300


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file.bin"
    path.write_bytes(OLD)
    return path


def fails(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def left(path: Path) -> list[str]:
    return sorted(one.name for one in path.parent.iterdir())


def test_every_byte_is_written_in_place_of_the_old(path: Path) -> None:
    write_whole(path, NEW)
    assert path.read_bytes() == NEW
    assert left(path) == ["file.bin"]


def test_no_byte_is_a_file_too(path: Path) -> None:
    write_whole(path, b"")
    assert path.read_bytes() == b""


@pytest.mark.parametrize("act", ["fsync", "replace"])
@pytest.mark.parametrize("what", [fails, interrupted])
def test_what_fails_half_way_leaves_the_old_file_and_no_litter(
    act: str, what: Callable[..., None], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, act, what)
    with pytest.raises((OSError, KeyboardInterrupt)):
        write_whole(path, NEW)
    assert path.read_bytes() == OLD
    assert left(path) == ["file.bin"]


def test_a_disk_that_is_full_leaves_the_old_file(tmp_path: Path) -> None:
    """A real limit of the system in the midst of `write`, in a process of its own."""
    (tmp_path / "file.bin").write_bytes(OLD)
    done = python(
        "import pathlib, resource, signal, sys\n"
        "from dyntools.whole_file import write_whole\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "try:\n"
        "    write_whole(pathlib.Path(sys.argv[1]), bytes(80000))\n"
        "except OSError as error:\n"
        "    print(type(error).__name__)",
        str(tmp_path / "file.bin"),
    )
    assert (done.stdout, done.stderr) == ("OSError\n", "")
    assert (tmp_path / "file.bin").read_bytes() == OLD
    assert left(tmp_path / "file.bin") == ["file.bin"]


def test_the_new_file_is_on_the_disk_before_it_takes_the_place(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a machine that stops in between keeps the name with nothing in it."""
    acts: list[tuple[str, bytes, int]] = []
    fsync, replace = os.fsync, os.replace

    def synced(handle: int) -> None:
        acts.append(("fsync", path.read_bytes(), os.fstat(handle).st_size))
        fsync(handle)

    def moved(one: Path, two: Path) -> None:
        acts.append(("replace", path.read_bytes(), one.stat().st_size))
        assert one.parent == two.parent  # of one disk: moved, not copied
        replace(one, two)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", moved)
    write_whole(path, NEW)
    assert acts == [("fsync", OLD, len(NEW)), ("replace", OLD, len(NEW))]


def test_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "of" / "many" / "file.bin"
    write_whole(path, NEW)
    assert path.read_bytes() == NEW


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_mode_is_that_of_any_new_file(umask: int, mode: int, path: Path) -> None:
    """A temporary file is made for its owner alone; the umask itself stays."""
    before = os.umask(umask)
    try:
        write_whole(path, NEW)
        found = os.umask(umask)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert found == umask


def test_a_folder_that_is_a_file_is_an_error_of_the_system(path: Path) -> None:
    with pytest.raises(OSError, match=r"exists|directory"):
        write_whole(path / "below.bin", NEW)
    assert path.read_bytes() == OLD
    assert left(path) == ["file.bin"]


def test_a_folder_in_its_place_is_an_error_and_stays(tmp_path: Path) -> None:
    (tmp_path / "folder" / "within").mkdir(parents=True)
    with pytest.raises(OSError, match="folder"):
        write_whole(tmp_path / "folder", NEW)
    assert left(tmp_path / "folder") == ["folder"]
    assert left(tmp_path / "folder" / "within") == ["within"]
