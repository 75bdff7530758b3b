"""Going through the folder of a run: every checkpoint once, and whatever should be one and is not.

A folder that a format recognises is one checkpoint and its own files are not looked at again. What
else lies in it is: a trainer leaves the last model beside the folders of the steps, and an index
that is damaged, or another's, must not hide the checkpoints beside it. Files with the same inode
(timm's `last`, hard links) are one checkpoint.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dyntools.checkpoint import Checkpoint, Damaged
from dyntools.checkpoints.folder_weights import INDICES
from dyntools.checkpoints.format import Format, format_of, open_as
from dyntools.errors import CheckpointError

_EXTENSIONS = frozenset((".pt", ".pth", ".bin", ".ckpt", ".pkl", ".tar", ".safetensors", ".distcp"))
# Files that belong to a checkpoint beside them and are none of their own.
_PARTS = re.compile(
    r"^(optimizer(_\d+)?\.(pt|bin)|scheduler(_\d+)?\.(pt|bin)|scaler(_\d+)?\.pt|training_args\.bin"
    r"|rng_state.*\.pth|random_states.*\.pkl|custom_checkpoint_\d+\.pkl|(sampler|dl_state).*\.bin"
    r"|.*[-_](model|optim)_states\.pt|.*\.distcp|.*-\d{5}-of-\d{5}\.(safetensors|bin))$"
)
_FURTHER_MODELS = re.compile(r"^(model_\d+\.safetensors|pytorch_model_\d+\.bin)$")
_INDEXED = frozenset(("sharded", "hf-trainer", "accelerate"))  # formats that read an index
_PART_FOLDERS = re.compile(r"^(\..*|__pycache__|optimizer_\d+)$")

Identity = frozenset[tuple[int, int]]


@dataclass(frozen=True)
class Taken:
    """A path that a format recognised: the files it had, or where its reader failed."""

    format: str
    files: tuple[Path, ...] = ()
    failed: bool = False
    where: str | None = None

    def holds(self, path: Path) -> bool:
        """Whether a file of the folder has been told of with it."""
        if self.format == "accelerate" and _FURTHER_MODELS.match(path.name):
            return True  # named in a note of the checkpoint
        if not self.failed:
            return path.exists() and _inode(path) in set(map(_inode, self.files))
        index = next(
            (path.with_name(name) for name in INDICES if path.with_name(name).is_file()), None
        )
        return str(path) == self.where or (self.format in _INDEXED and path == index)


class Walk:
    """One pass through a folder; the results are in `good` and `damaged`."""

    def __init__(self, formats: Sequence[Format], *, mmap: bool) -> None:
        self._formats, self._mmap = formats, mmap
        self._folders: set[tuple[int, int]] = set()
        self._known: dict[Identity, int] = {}
        self.good: list[Checkpoint] = []
        self.damaged: list[Damaged] = []

    def visit(self, path: Path) -> None:
        """Everything at and below a path, in sorted order."""
        try:
            mode = path.stat().st_mode
            if stat.S_ISDIR(mode):
                self._visit_folder(path)
            elif stat.S_ISREG(mode):
                self._visit_file(path)
            else:  # opening a pipe waits for its writer
                self.damaged.append(Damaged(path, "unknown", "It is not a regular file."))
        except OSError as error:
            self.damaged.append(Damaged(path, "unknown", f"it cannot be read: {error}"))

    def _visit_folder(self, path: Path) -> None:
        status = path.stat()
        if (status.st_dev, status.st_ino) in self._folders:
            return  # a loop of links, or a second link to the same folder
        self._folders.add((status.st_dev, status.st_ino))
        taken = self._take(path)
        own = {file.parent for file in taken.files} if taken else set()
        for child in sorted(path.iterdir()):
            if child.is_dir():
                if not _PART_FOLDERS.match(child.name) and child not in own:
                    self.visit(child)
            elif is_candidate(child) and not (taken and taken.holds(child)):
                self.visit(child)

    def _visit_file(self, path: Path) -> None:
        if self._take(path) is None and is_candidate(path):
            with path.open("rb") as file:
                start = file.read(8)
            found = f"it begins with {start!r}" if start else "it is empty"
            self.damaged.append(Damaged(path, "unknown", f"No format is recognised: {found}."))

    def _take(self, path: Path) -> Taken | None:
        """Opens a path in the format that recognises it; None if none does."""
        name = "unknown"
        try:
            format = format_of(path, self._formats)
            if format is None:
                return None
            name = format.NAME
            checkpoint = open_as(format, path, mmap=self._mmap)
            self._keep(checkpoint)
            return Taken(name, checkpoint.files)
        except CheckpointError as error:
            reason = f"{error.what} ({error.found})" if error.found else error.what
            self.damaged.append(Damaged(path, name, reason[:1].upper() + reason[1:] + "."))
            return Taken(name, failed=True, where=error.where)

    def _keep(self, checkpoint: Checkpoint) -> None:
        identity = frozenset(_inodes(checkpoint.files))
        if identity in self._known:
            index = self._known[identity]
            note = f"{checkpoint.path.name} is the same file and was left out"
            kept = self.good[index]
            self.good[index] = replace(kept, notes=(*kept.notes, note))
            return
        self._known[identity] = len(self.good)
        self.good.append(checkpoint)


def is_candidate(path: Path) -> bool:
    """Whether the name of a file says that it is a checkpoint of its own."""
    if path.name.endswith(".index.json"):
        return True
    return path.suffix in _EXTENSIONS and not _PARTS.match(path.name)


def _inodes(files: Sequence[Path]) -> Iterator[tuple[int, int]]:
    yield from map(_inode, files)


def _inode(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_dev, status.st_ino
