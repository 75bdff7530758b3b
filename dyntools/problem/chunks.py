"""Chunks: how many examples a pass over gradients of examples takes at once, by memory.

largest b with a + s · b ≤ memory       by trials on a few examples, see `cost`
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dyntools.errors import ProblemError
from dyntools.problem.batches import Batch, take
from dyntools.problem.cost import measured
from dyntools.problem.memory import ran_out
from dyntools.problem.pieces import limit_of
from dyntools.problem.probe import heaviest, read_batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from dyntools.problem.risk import Risk


def chunk_size(risk: Risk, use: Callable[[Batch], object]) -> int:
    """The most examples that `use` can have within the memory limit; once for all snapshots.

    Raises ProblemError when one example alone is beyond it.
    """
    probe = risk.probe
    limit = limit_of(probe)

    def decided() -> int:
        index = heaviest(probe, whole=False)
        batch, count = read_batch(probe, index), probe.rows[index]
        cost = measured(
            lambda size: lambda: use(take(batch, slice(0, size))), count, probe.examples, limit
        )
        if cost.peak_of(1) > limit:
            raise ProblemError(
                "The memory limit is too small for the gradient of one example.",
                where=probe.problem.source or None,
                found=f"{limit / 2**20:.0f} MiB, needed {cost.peak_of(1) / 2**20:.0f} MiB",
                remedy=f"--memory {math.ceil(1.1 * cost.peak_of(1) / 2**20)}MiB",
            )
        most, each = max(probe.rows), cost.peak[1]
        room = (limit - cost.peak[0]) / each if each > 0.0 else math.inf
        size = int(min(room, most))
        return max(size if cost.peak_of(max(size, 1)) <= limit else 1, 1)

    key = ("chunk", probe.device, probe.dtype)
    return probe.problem.once(key, decided)  # type: ignore[no-any-return]


@contextmanager
def enough(risk: Risk) -> Iterator[None]:
    """Memory that runs out in spite of the plan, in plain words: sums half made are of no use."""
    try:
        yield
    except RuntimeError as error:
        if not ran_out(error):
            raise
        raise ProblemError(
            "Memory ran out with gradients of examples.",
            where=risk.problem.source or None,
            found=" ".join(str(error).split())[:160],
            remedy="--memory, with half of what it was or of what is free",
        ) from error
