"""Probe: the fixed examples of a problem, counted, hashed and held on the device where they fit.

Eigenvalues depend on the examples far beyond any solver's tolerance (one checkpoint gave 20.4, 8.8
and 5.7 with 64, 256 and 1024 examples), so every curvature number names its probe by this hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dyntools.errors import ProblemError
from dyntools.problem.batches import (
    Batch,
    contents,
    digest,
    nbytes,
    placed,
    plain,
    rows,
    take,
    tensors,
)
from dyntools.problem.conditions import is_whole, undisturbed
from dyntools.problem.memory import free_memory
from dyntools.problem.problem import Problem

HELD_SHARE = 4  # a probe up to a quarter of the free memory is held; chosen


@dataclass(frozen=True)
class Piece:
    """Examples start … stop of one batch, evaluated together."""

    batch: int
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class Probe:
    """The examples of a problem.

    rows: of each batch. digest: a hash of all examples in order, however cut into batches.
    held: the batches on the device, or None when they are read anew for each pass.
    sizes: the bytes of each batch.
    chosen: for a part of the examples, which of each batch; None for all.
    """

    problem: Problem
    device: torch.device
    dtype: torch.dtype
    digest: str
    rows: tuple[int, ...]
    sizes: tuple[float, ...]
    held: tuple[Batch, ...] | None
    chosen: tuple[Tensor, ...] | None = None

    @property
    def examples(self) -> int:
        return sum(self.rows)

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """The number of the first example of each batch, counted through all of them."""
        return tuple(accumulate(self.rows, initial=0))

    def numbers(self, piece: Piece) -> range:
        """The numbers of the examples of a piece."""
        first = self.starts[piece.batch]
        return range(first + piece.start, first + piece.stop)

    def batches(self) -> Iterator[Batch]:
        """Every batch on the device, in order."""
        if self.held is not None:
            yield from self.held
            return
        for i, batch in enumerate(_passed(self.problem, self.device)):
            kept = batch if self.chosen is None else take(batch, self.chosen[i])
            yield placed(kept, self.device, self.dtype)

    def cut(self, most: int | None) -> list[Piece]:
        """The batches in pieces of `most` examples; None leaves them whole."""
        pieces = []
        for i, count in enumerate(self.rows):
            size = count if most is None else min(most, count)
            bounds = range(0, count, max(size, 1))
            pieces += [Piece(i, start, min(start + size, count)) for start in bounds]
        return pieces

    def read(self, pieces: Sequence[Piece]) -> Iterator[tuple[Piece, Batch]]:
        """The pieces, which are in the order of their batches, with their examples."""
        wanted: dict[int, list[Piece]] = {}
        for piece in pieces:
            wanted.setdefault(piece.batch, []).append(piece)
        for i, batch in enumerate(self.batches()):
            for piece in wanted.get(i, ()):
                whole = (piece.start, piece.stop) == (0, self.rows[i])
                yield piece, batch if whole else take(batch, slice(piece.start, piece.stop))

    def part(self, examples: NDArray[np.int64]) -> Probe:
        """Some of the examples, by their numbers counted through all batches."""
        index = [
            torch.from_numpy(examples[(examples >= a) & (examples < b)] - a)
            for a, b in pairwise(self.starts)
        ]
        counts = tuple(len(i) for i in index)
        key = hashlib.sha256(self.digest.encode() + examples.tobytes()).hexdigest()[:16]
        each = (size / max(c, 1) for size, c in zip(self.sizes, self.rows, strict=True))
        sizes = tuple(size * c for size, c in zip(each, counts, strict=True))
        found = replace(self, digest=key, rows=counts, sizes=sizes)
        if self.held is not None:
            kept = (take(batch, i) for batch, i in zip(self.held, index, strict=True))
            return replace(found, held=tuple(kept))
        if self.chosen is not None:
            index = [c[i] for c, i in zip(self.chosen, index, strict=True)]
        return replace(found, chosen=tuple(index))


def probe_of(problem: Problem, device: torch.device, dtype: torch.dtype) -> Probe:
    """The probe of a problem, read once and shared by all snapshots.

    Raises ProblemError when there is no example, or when a second pass gives other batches.
    """
    return problem.once(  # type: ignore[no-any-return]
        ("probe", device, dtype), lambda: _read(problem, device, dtype)
    )


def refuse_other_examples(problem: Problem, probe: Probe) -> None:
    """Raises ProblemError: every rank needs all examples, and takes its share of them itself."""
    digests = problem.ranks.gather(probe.digest)
    if len(set(digests)) > 1:
        raise ProblemError(
            "The processes have different examples.",
            where=problem.source or None,
            found=", ".join(digests),
            remedy="the same batches in every process, without a DistributedSampler and without"
            " the rank: dyntools spreads them itself",
        )


def _read(problem: Problem, device: torch.device, dtype: torch.dtype) -> Probe:
    room = free_memory(device) // HELD_SHARE
    held: list[Batch] | None = []
    counts, hashes, sizes = [], [], []
    state, shared = hashlib.sha256(), b""
    with undisturbed(device):
        torch.manual_seed(0)  # of the two passes differ, so that a random order shows
        for batch in _passed(problem, device):
            common, examples = contents(batch)
            hashes.append(hashlib.sha256(common + examples).digest())
            state.update(examples if common == shared else common + examples)
            shared = common
            counts.append(rows(batch))
            sizes.append(nbytes(batch))
            full = held is None or sum(sizes) > room
            held = None if full else [*held, placed(batch, device, dtype)]  # type: ignore[misc]
        torch.manual_seed(1)
        again = hashes if _is_fixed(problem) else [digest(b) for b in _passed(problem, device)]
    if sum(counts) == 0:
        raise ProblemError(
            "The problem has no examples.",
            where=problem.source or None,
            remedy="batches=[…]: tensors, tuples or dictionaries whose first axis counts examples",
        )
    if again != hashes:
        raise ProblemError(
            "Two passes over the batches gave different examples.",
            where=problem.source or None,
            found=_difference(hashes, again),
            remedy="no shuffling and no random augmentation: batches=list(loader)",
        )
    # Batch statistics make the cut into batches part of the problem; otherwise it changes nothing.
    if is_whole(problem):
        state.update(repr(counts).encode())
    key = state.hexdigest()[:16]
    kept = None if held is None else tuple(held)
    return Probe(problem, device, dtype, key, tuple(counts), tuple(sizes), kept)


def _is_fixed(problem: Problem) -> bool:
    return isinstance(problem.batches, list | tuple)


def _passed(problem: Problem, device: torch.device) -> Iterator[Batch]:
    """One pass over the batches; a loader's own random numbers are taken back."""
    with undisturbed(device):
        iterator = iter(problem.batches)
    while True:
        with undisturbed(device):
            batch = next(iterator, None)
        if batch is None:
            return
        batch = plain(batch)
        if next(tensors(batch), None) is None:
            raise ProblemError(
                "A batch of the problem holds no tensor.",
                where=problem.source or None,
                found=type(batch).__name__,
                remedy="tensors, or tuples, lists or dictionaries of them; torch.from_numpy(array)",
            )
        yield batch


def _difference(first: Sequence[bytes], second: Sequence[bytes]) -> str:
    if len(first) != len(second):
        return f"{len(first)} batches, then {len(second)}"
    changed = sum(a != b for a, b in zip(first, second, strict=True))
    order = " in another order" if sorted(first) == sorted(second) else ""
    return f"{changed} of {len(first)} batches changed{order}"


def fixed(probe: Probe, batches: Sequence[Batch], dtype: torch.dtype) -> Probe:
    """A probe of just these batches, in another precision if wanted."""
    held = tuple(placed(batch, probe.device, dtype) for batch in batches)
    counts, sizes = tuple(map(rows, held)), tuple(map(nbytes, held))
    return replace(probe, dtype=dtype, rows=counts, sizes=sizes, held=held, chosen=None)


def heaviest(probe: Probe, *, whole: bool) -> int:
    """The batch that is the largest, or (not whole) whose examples are the largest, for trials."""
    counts = [1 if whole else max(count, 1) for count in probe.rows]
    return int(np.argmax([s / c for s, c in zip(probe.sizes, counts, strict=True)]))


def read_batch(probe: Probe, index: int) -> Batch:
    return next(batch for i, batch in enumerate(probe.batches()) if i == index)


def counted(probe: Probe, most: int | None) -> Batch:
    """Up to `most` examples (None: all) of the first batch in which they count."""
    for batch in probe.batches():
        part = batch if most is None else take(batch, slice(0, most))
        if rows(part) and probe.problem.terms(part) > 0:
            return part
    return next(batch for batch in probe.batches() if rows(batch))
