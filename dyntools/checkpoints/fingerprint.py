"""A fingerprint of a checkpoint: cheap, and honest about what it is.

Not a hash of the content: of each file its name, its size, the first and last 64 KiB and 16 blocks
of 4 KiB spread evenly between. Headers, indices and most changes of weights show; a change of a few
bytes elsewhere does not. It tells checkpoints apart for resuming and for provenance.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from dyntools.checkpoint import Checkpoint
from dyntools.errors import CheckpointError

# Chosen: half a hundredth of a second for a file, whatever its size.
_ENDS = 64 * 1024
_BLOCK = 4 * 1024
_BLOCKS = 16


def fingerprint(checkpoint: Checkpoint) -> str:
    """64 hexadecimal digits that depend on the files of a checkpoint, not on where they lie."""
    digest = hashlib.sha256()
    for path in checkpoint.files:
        digest.update(path.name.encode() + b"\0")
        try:
            _add(digest, path)
        except OSError as error:
            raise CheckpointError(
                "a file of the checkpoint cannot be read", where=str(path), found=str(error)
            ) from error
    return digest.hexdigest()


def _add(digest: hashlib._Hash, path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        size = path.stat().st_size
        digest.update(size.to_bytes(8, "little"))
        between = max(0, size - 2 * _ENDS)
        offsets = [_ENDS + between * index // _BLOCKS for index in range(_BLOCKS)]
        ranges = [
            (0, _ENDS),
            *((o, _BLOCK) for o in offsets if between),
            (max(0, size - _ENDS), _ENDS),
        ]
        for offset, length in ranges:
            file.seek(offset)
            digest.update(file.read(length))
