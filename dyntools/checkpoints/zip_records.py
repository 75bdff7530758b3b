"""Where the records of a torch zip lie in its file.

`torch.save` writes a zip whose records are stored, not compressed, so a tensor's bytes are a range
of the file. The archive may itself be a part of a file: distributed checkpoints put many in one.
Format: PKWARE APPNOTE 6.3; torch's caffe2/serialize/inline_container.cc.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dyntools.errors import CheckpointError

_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, lengths of the name and the extra field

_MALFORMED = (zipfile.BadZipFile, NotImplementedError, OSError, EOFError, ValueError, OverflowError)


@dataclass(frozen=True)
class Record:
    """A stored record: a range of the file, and the checksum of it if there is one."""

    offset: int
    nbytes: int
    crc: int | None


class Section(io.RawIOBase):
    """The bytes of a file from `start` on, `length` many, as a file of their own."""

    def __init__(self, file: IO[bytes], start: int, length: int) -> None:
        self._file, self._start, self._length, self._position = file, start, length, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        if origin + offset < 0:
            raise OSError("a position before the start of the file")
        self._position = origin + offset
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        wanted = max(0, min(len(buffer), self._length - self._position))
        self._file.seek(self._start + self._position)
        data = self._file.read(wanted)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def zip_records(path: Path, start: int, length: int) -> Mapping[str, Record]:
    """Records of the archive at `start` by name, without the archive's own folder."""
    try:
        with path.open("rb") as file, zipfile.ZipFile(Section(file, start, length)) as archive:
            infos = archive.infolist()
            records = {info.filename: _record(file, start, length, info) for info in infos}
            if len(records) != len(infos):
                raise zipfile.BadZipFile("two records of one name")
    except _MALFORMED as error:
        raise CheckpointError(
            "the zip archive is truncated or damaged",
            where=str(path),
            found=str(error)[:200],
            remedy="copy the file again, or use an earlier checkpoint",
        ) from error
    return _without_folder(records)


def _record(file: IO[bytes], start: int, length: int, info: zipfile.ZipInfo) -> Record:
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
        raise zipfile.BadZipFile(f"the record {info.filename} is compressed or encrypted")
    file.seek(start + info.header_offset)
    header = file.read(_LOCAL_HEADER.size)
    if len(header) < _LOCAL_HEADER.size or not header.startswith(b"PK\3\4"):
        raise zipfile.BadZipFile(f"no header for the record {info.filename}")
    _, name, extra = _LOCAL_HEADER.unpack(header)
    begin = info.header_offset + _LOCAL_HEADER.size + name + extra
    if info.file_size < 0 or begin + info.file_size > length:
        raise zipfile.BadZipFile(f"the record {info.filename} reaches beyond the file")
    # torch writes 0 when told not to compute checksums (`set_crc32_options(False)`).
    return Record(start + begin, info.file_size, info.CRC or None)


def _without_folder(records: Mapping[str, Record]) -> dict[str, Record]:
    folder = next((n.removesuffix("data.pkl") for n in records if n.endswith("/data.pkl")), "")
    return {n.removeprefix(folder): r for n, r in records.items() if n.startswith(folder)}
