"""The layout of `torch.save` before torch 1.6: five pickles, then the storages one after another.

The pickles are a magic number, the version, the sizes of the writer's types, the object, and the
keys of its storages in the order in which they follow, each as its length and its elements, always
little-endian. As in torch's serialization.py, `_legacy_save` and `_legacy_load`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from dyntools.checkpoints.dtypes import ITEMSIZE
from dyntools.checkpoints.inert import Name, StorageRef
from dyntools.checkpoints.torch_objects import TABLE, storage
from dyntools.checkpoints.unpickle import unpickle
from dyntools.checkpoints.zip_records import Record
from dyntools.errors import CheckpointError

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001


def legacy_contents(path: Path, size: int) -> tuple[object, Mapping[str, Record]]:
    """The stored object and its storages by key."""
    dtypes: dict[str, str] = {}

    def persistent(identity: object) -> StorageRef | Name:
        if isinstance(identity, tuple) and len(identity) == 4 and identity[0] == "module":
            return Name("", str(identity[1]))  # a class with its source, as torch 0.4 stored it
        ref = _storage(identity)
        if dtypes.setdefault(ref.key, ref.dtype) != ref.dtype:
            raise ValueError("a storage of two types")
        return ref

    with path.open("rb") as file:
        if unpickle(file, size, {}, _none) != _MAGIC:
            raise CheckpointError(
                "a plain pickle, not a file of torch.save",
                remedy="tensors in a plain pickle are not read: save them with torch.save",
            )
        if unpickle(file, size, {}, _none) != _PROTOCOL:
            raise CheckpointError("an unknown version of the legacy torch format")
        unpickle(file, size, {}, _none)
        root = unpickle(file, size, TABLE, persistent)
        keys = unpickle(file, size, {}, _none)
        if not isinstance(keys, list) or not set(map(str, keys)) <= set(dtypes):
            raise CheckpointError("a list of storages that does not fit the object")
        storages: dict[str, Record] = {}
        for key in map(str, keys):
            nbytes = int.from_bytes(file.read(8), "little") * ITEMSIZE[dtypes[key]]
            if file.tell() + nbytes > size:
                raise CheckpointError("the file is shorter than its tensors: it is truncated")
            storages[key] = Record(file.tell(), nbytes, None)
            file.seek(nbytes, io.SEEK_CUR)
    return root, storages


def _storage(identity: object) -> StorageRef:
    if not isinstance(identity, tuple) or len(identity) != 6 or identity[0] != "storage":
        raise ValueError("a storage that is not described as torch does")
    _, kind, key, _, numel, view = identity
    if view is not None and (not isinstance(view, tuple) or len(view) != 3):
        raise ValueError("a view of a storage that is not described as torch does")
    return storage(kind, key, numel, view)


def _none(identity: object) -> object:
    raise ValueError("a persistent object where none may be")
