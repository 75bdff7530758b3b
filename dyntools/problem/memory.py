"""Memory: how many bytes of tensors a computation holds at once, and how much there is.

Counted are the storages that operations make, from their birth to their end, so that a trial on a
few examples tells what a piece of any size will take; process-wide figures would be blurred by the
allocator.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from dyntools.problem.watch import Watch

T = TypeVar("T")


@dataclass(frozen=True)
class Footprint:
    """Bytes at the highest point, and bytes still held by the result."""

    peak: int
    kept: int


def footprint(compute: Callable[[], T]) -> tuple[T, Footprint]:
    """The result of `compute` and the memory of the tensors made on the way."""
    with _LiveBytes() as meter:
        result = compute()
    return result, Footprint(meter.peak, meter.live)


class _LiveBytes(Watch):  # type: ignore[no-untyped-call]
    """Follows the storages that operations make."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._followed: set[int] = set()

    def saw(self, given: Sequence[Tensor], made: Sequence[Tensor]) -> None:
        known = {tensor.untyped_storage()._cdata for tensor in given}
        for tensor in made:
            self._follow(tensor.untyped_storage(), known)

    def _follow(self, storage: torch.UntypedStorage, known: set[int]) -> None:
        address, size = storage._cdata, storage.nbytes()
        if address in known or address in self._followed:  # a view, or written in place
            return
        self._followed.add(address)
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._ended, address, size)

    def _ended(self, address: int, size: int) -> None:
        self._followed.discard(address)
        self.live -= size


def ran_out(error: BaseException) -> bool:
    """Whether an operation failed because there was no memory for its result."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device; of the machine, for the CPU."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if (limit := _cgroup_room()) is not None:
        return min(limit, _available())
    return _available()


def _available() -> int:
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) // 2


def _cgroup_room() -> int | None:
    """What a container may still take, where one sets a limit."""
    limit, used = _read("/sys/fs/cgroup/memory.max"), _read("/sys/fs/cgroup/memory.current")
    if not limit.strip().isdecimal() or not used.strip().isdecimal():
        return None
    return max(int(limit) - int(used), 0)


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
