"""The zip layout of `torch.save` since torch 1.6: `data.pkl`, `byteorder`, and `data/0`, `data/1` …

The pickle names each storage by a persistent id; the storage of key 3 is the record `data/3`.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping
from pathlib import Path

from dyntools.checkpoints.inert import StorageRef
from dyntools.checkpoints.torch_objects import TABLE, storage
from dyntools.checkpoints.unpickle import unpickle
from dyntools.checkpoints.zip_records import Record, zip_records
from dyntools.errors import CheckpointError

_STORAGES = "data/"


def zip_contents(path: Path, start: int, length: int) -> tuple[object, Mapping[str, Record], str]:
    """The stored object, its storages by key and the byte order, of the archive at `start`."""
    records = zip_records(path, start, length)
    if "constants.pkl" in records:
        raise CheckpointError(
            "a TorchScript archive holds code besides weights and is not read",
            remedy="save the state_dict of the module with torch.save or safetensors",
        )
    if "data.pkl" not in records:
        raise CheckpointError("a zip archive that torch.save did not write: no data.pkl in it")
    pickle = _content(path, records["data.pkl"])
    root = unpickle(io.BytesIO(pickle), len(pickle), TABLE, _storage)
    order = _content(path, records["byteorder"]) if "byteorder" in records else b"little"
    if order not in (b"little", b"big"):
        raise CheckpointError("an unknown byte order", found=repr(order[:16]))
    storages = {n.removeprefix(_STORAGES): r for n, r in records.items() if n.startswith(_STORAGES)}
    return root, storages, order.decode()


def _content(path: Path, record: Record) -> bytes:
    with path.open("rb") as file:
        file.seek(record.offset)
        content = file.read(record.nbytes)
    if record.crc is not None and zlib.crc32(content) != record.crc:
        raise CheckpointError("a record does not match the checksum stored with it")
    return content


def _storage(identity: object) -> StorageRef:
    if not isinstance(identity, tuple) or len(identity) != 5 or identity[0] != "storage":
        raise ValueError("a storage that is not described as torch does")
    _, kind, key, _, numel = identity
    return storage(kind, key, numel)
