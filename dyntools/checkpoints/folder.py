"""Going through the folder of a run: every checkpoint once, and whatever should be one and is not.

A folder that a format recognises is one checkpoint and its own files are not looked at again; its
subfolders are, unless they belong to it, since a trainer leaves the last model beside the folders
of the steps. Files with the same inode (timm's `last`, hard links) are one checkpoint.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from dyntools.checkpoint import Checkpoint, Damaged
from dyntools.checkpoints.format import Format, format_of, open_as
from dyntools.errors import CheckpointError

_EXTENSIONS = frozenset((".pt", ".pth", ".bin", ".ckpt", ".pkl", ".tar", ".safetensors", ".distcp"))
# Files that belong to a checkpoint beside them and are none of their own.
_PARTS = re.compile(
    r"^(optimizer(_\d+)?\.(pt|bin)|scheduler(_\d+)?\.(pt|bin)|scaler(_\d+)?\.pt|training_args\.bin"
    r"|rng_state.*\.pth|random_states.*\.pkl|custom_checkpoint_\d+\.pkl|(sampler|dl_state).*\.bin"
    r"|.*_optim_states\.pt|.*-\d{5}-of-\d{5}\.(safetensors|bin))$"
)
_PART_FOLDERS = re.compile(r"^(\..*|__pycache__|optimizer_\d+)$")

Identity = frozenset[tuple[int, int]]


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
            if path.is_dir():
                self._visit_folder(path)
            else:
                self._visit_file(path)
        except OSError as error:
            self.damaged.append(Damaged(path, "unknown", f"it cannot be read: {error}"))

    def _visit_folder(self, path: Path) -> None:
        status = path.stat()
        if (status.st_dev, status.st_ino) in self._folders:
            return  # a loop of links, or a second link to the same folder
        self._folders.add((status.st_dev, status.st_ino))
        claimed = self._take(path)
        own = {file.parent for file in self.good[-1].files} if claimed and self.good else set()
        for child in sorted(path.iterdir()):
            if child.is_dir():
                if not _PART_FOLDERS.match(child.name) and child not in own:
                    self.visit(child)
            elif not claimed and is_candidate(child):
                self.visit(child)

    def _visit_file(self, path: Path) -> None:
        if not self._take(path) and is_candidate(path):
            with path.open("rb") as file:
                start = file.read(8)
            found = f"it begins with {start!r}" if start else "it is empty"
            self.damaged.append(Damaged(path, "unknown", f"No format is recognised: {found}."))

    def _take(self, path: Path) -> bool:
        """Opens a path in the format that recognises it; False if none does."""
        name = "unknown"
        try:
            format = format_of(path, self._formats)
            if format is None:
                return False
            name = format.NAME
            self._keep(open_as(format, path, mmap=self._mmap))
        except CheckpointError as error:
            reason = f"{error.what} ({error.found})" if error.found else error.what
            self.damaged.append(Damaged(path, name, reason[:1].upper() + reason[1:] + "."))
        return True

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
    for file in files:
        status = file.stat()
        yield status.st_dev, status.st_ino
