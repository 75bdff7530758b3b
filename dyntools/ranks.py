"""Ranks: the processes that share a measurement; the only place that speaks to torch.distributed.

Examples are spread over the ranks: a sum over examples is a sum on every rank followed by `sum`.
Each rank then holds the same numbers and takes the same decisions, and only rank 0 writes. Nothing
is added before all ranks have said that they stand at the same place and that none of them failed
(`agreeing`), so no rank waits for one that has gone another way. Started by torchrun, which sets
RANK, WORLD_SIZE and LOCAL_RANK.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from zlib import crc32

import torch
import torch.distributed as distributed
from torch import Tensor

from dyntools.errors import DyntoolsError, UsageError

# Others wait as long as rank 0 measures weights; one that dies is noticed by torchrun. Chosen.
PATIENCE = timedelta(days=7)
PLACES = 1 << 20  # of which a place in the program is one number; their squares are exact; chosen


class RankError(DyntoolsError):
    """One of the processes failed or went another way: all of them end."""


@dataclass(frozen=True)
class Ranks:
    """This process among `count`."""

    rank: int = 0
    count: int = 1

    @property
    def writes(self) -> bool:
        """Whether this is the one process that writes files and talks."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all ranks, the same on each; `tensor` may be changed."""
        if self.count > 1:
            with _told_of_loss():
                distributed.all_reduce(tensor)
        return tensor

    def whole(self, part: Tensor) -> Tensor:
        """The parts of all ranks, (c,) each, one after another: (count · c,). Differentiable.

        Its gradient is summed over the ranks and cut into parts again, and so on to any order,
        which is what a Hessian of sharded parameters needs.
        """
        return _Whole.apply(part) if self.count > 1 else part  # type: ignore[no-untyped-call]

    def gather(self, value: object) -> list[Any]:
        """The value of each rank, on every rank."""
        if self.count == 1:
            return [value]
        values: list[object] = [None] * self.count
        with _told_of_loss():
            distributed.all_gather_object(values, value)
        return values

    @contextmanager
    def agreeing(self, place: str) -> Iterator[None]:
        """Work of each rank alone, after which all know whether it succeeded everywhere.

        place: what is being done, the same words on every rank.
        An error that every rank meets is raised on each as it is, as by one process alone. Raises
        RankError, the same on every rank, when only some fail or when they stand at other places.
        """
        if self.count == 1:
            yield
            return
        failure: Exception | None = None
        try:
            yield
        except RankError:
            raise
        except Exception as error:
            failure = error
        self._compare(place, failure)
        if failure is not None:
            raise failure

    def failed(self, error: Exception) -> RankError:
        """What is to be raised where the others are in the middle of something with this one."""
        return _failed(self.rank, self.count, _sentences(error))

    def _compare(self, place: str, failure: Exception | None) -> None:
        """One small sum where all is well: of the failures, of the places and of their squares."""
        number = crc32(place.encode()) % PLACES
        told = torch.tensor(
            [failure is not None, number, number**2], dtype=torch.float64, device=_device()
        )
        failed, first, second = self.sum(told).tolist()
        if failed == 0 and self.count * second == first**2:
            return
        found = self.gather((place, None if failure is None else _sentences(failure)))
        places = [place for place, _ in found]
        if len(set(places)) == 1 and failed == self.count:
            return
        for rank, (_, sentences) in enumerate(found):
            if sentences is not None:
                raise _failed(rank, self.count, sentences)
        raise RankError(
            "The processes have come to different decisions.",
            found="; ".join(f"{rank}: {place}" for rank, place in enumerate(places)),
            remedy="equal hardware and software for all processes",
        )


ALONE = Ranks()

# Renamed in torch 2.13, where the old name warns.
_reduce_scatter: Any = getattr(distributed, "reduce_scatter_single", None) or getattr(
    distributed, "reduce_scatter_tensor", None
)


class _Whole(torch.autograd.Function):
    """All-gather; its adjoint is `_Part`."""

    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        whole = part.new_empty(part.numel() * distributed.get_world_size())
        with _told_of_loss():
            distributed.all_gather_into_tensor(whole, part.contiguous())
        return whole

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Part.apply(gradient)  # type: ignore[no-any-return, no-untyped-call]


class _Part(torch.autograd.Function):
    """Sum over the ranks, of which each keeps its part; its adjoint is `_Whole`."""

    @staticmethod
    def forward(ctx: Any, whole: Tensor) -> Tensor:
        part = whole.new_empty(whole.numel() // distributed.get_world_size())
        with _told_of_loss():
            _reduce_scatter(part, whole.contiguous())
        return part

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Whole.apply(gradient)  # type: ignore[no-any-return, no-untyped-call]


def launched() -> bool:
    """Whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def rank_of_training() -> int:
    """The rank of this process in a training that is already distributed; 0 of one that is not."""
    started = distributed.is_available() and distributed.is_initialized()
    return distributed.get_rank() if started else 0


def any_of_training(flag: bool, device: torch.device) -> bool:
    """Whether any process of a distributed training says so; each of them must ask."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return flag
    said = torch.tensor([float(flag)], device=device)
    distributed.all_reduce(said)
    return bool(said.item() > 0)


def own(device: torch.device) -> torch.device:
    """The device of this process: of GPUs the one with its number on this machine.

    Raises UsageError when there are fewer GPUs than processes.
    """
    if not launched() or device.type != "cuda":
        return device
    number, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if device.index is not None:
        raise UsageError(
            "Each process takes a GPU of its own.", found=str(device), remedy="--device cuda"
        )
    if number >= count:
        raise UsageError(
            "There are fewer GPUs than processes.",
            found=f"{count} on this machine",
            remedy=f"torchrun --nproc-per-node {count} …, or --device cpu",
        )
    return torch.device("cuda", number)


def join(device: torch.device) -> Ranks:
    """This process among those torchrun started; alone when there are no others.

    NCCL between GPUs, gloo between CPUs.
    """
    if not launched():
        return ALONE
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if not distributed.is_initialized():
        backend = "nccl" if device.type == "cuda" else "gloo"
        with _told_of_loss():
            distributed.init_process_group(backend, timeout=PATIENCE)
    return Ranks(distributed.get_rank(), distributed.get_world_size())


def leave() -> None:
    """Part from the others once all are done; one that goes earlier aborts those that wait."""
    if distributed.is_available() and distributed.is_initialized():
        with _told_of_loss():
            distributed.barrier()
        distributed.destroy_process_group()


def speaks() -> bool:
    """Whether this process is the first that has something to say before all end.

    They ask the store at which torchrun let them meet. One that cannot ask speaks.
    """
    if not launched():
        return True
    try:
        host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        wait = timedelta(seconds=5)
        store = distributed.TCPStore(host, port, is_master=False, timeout=wait)  # type: ignore[attr-defined]
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        return int(store.add(f"dyntools/spoken/{attempt}", 1)) == 1
    except (KeyError, ValueError, RuntimeError):
        return True


@contextmanager
def _told_of_loss() -> Iterator[None]:
    """Turn what torch says when another process is gone into a RankError."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise RankError(
            "Another of the processes has ended, or cannot be reached.",
            found=" ".join(str(error).split())[:160],
            remedy="what torchrun says of it below; killed without a word: memory ran out there",
        ) from error


def _sentences(error: Exception) -> tuple[str | None, ...]:
    """What, where, found and remedy of an error."""
    if isinstance(error, DyntoolsError):
        return error.what, error.where, error.found, error.remedy
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}", None, None, None


def _failed(rank: int, count: int, sentences: Sequence[str | None]) -> RankError:
    what, where, found, remedy = sentences
    told = f"Process {rank} of {count} failed: {what}"
    return RankError(told, where=where, found=found, remedy=remedy)


def _device() -> torch.device:
    """Where the backend in use wants its tensors."""
    on_gpu = distributed.get_backend() == "nccl"
    return torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")
