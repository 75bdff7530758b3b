"""Small JSON files beside a checkpoint: configurations, indices, the state of a trainer."""

from __future__ import annotations

import json
from pathlib import Path

from dyntools.errors import CheckpointError

_LARGEST = 200_000_000  # an index of a million tensors has 100 MB; chosen


def read_json(path: Path) -> dict[str, object]:
    """The object in a file; an error if there is none."""
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError("larger than any file of its kind")
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            "a JSON file of the checkpoint cannot be read", where=str(path), found=str(error)[:200]
        ) from error
    if not isinstance(value, dict):
        raise CheckpointError("a JSON file that holds no object", where=str(path))
    return value


def read_json_if_there(path: Path) -> dict[str, object]:
    """The object in a file, empty if the file is missing."""
    return read_json(path) if path.is_file() else {}
