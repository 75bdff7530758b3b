"""Budget: which metrics there is time for, so that measuring takes a given share of wall time.

    a metric runs if  spent + its last cost ≤ share · time since the start

A metric that has never run has no cost yet: it runs where nothing is owed, once, and what it took
beyond the share is paid back before the next; of those that may take long, one at a time. Cheap
ones go first; what does not fit is left out at this step and counted.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch


@dataclass
class Budget:
    """share: of wall time, 1 for no limit. clock: seconds, of whatever origin."""

    share: float
    clock: Callable[[], float] = time.perf_counter
    spent: float = 0.0
    costs: dict[str, float] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.clock()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self.clock() - self.started

    @property
    def taken(self) -> float:
        """The share of wall time that measuring has taken."""
        return self.spent / self.elapsed if self.elapsed > 0 else 0.0

    def affordable(self, names: Sequence[str], long: Container[str] = ()) -> list[str]:
        """Those of `names`, in their order, that there is time for; the others are counted.

        long: those whose first measurement may take long, as it is with a problem.
        """
        room = self.share * self.elapsed - self.spent
        chosen: set[str] = set()
        for name in sorted(names, key=lambda one: (one in long, self.costs.get(one, 0.0))):
            cost = self.costs.get(name)
            unknown = cost is None and name in long
            if self.share >= 1.0 or room >= (cost or 0.0):
                chosen.add(name)
                room -= math.inf if unknown else cost or 0.0
            else:
                self.dropped[name] += 1
        return [name for name in names if name in chosen]

    def paid(self, name: str, seconds: float) -> None:
        """What a metric took."""
        self.costs[name] = seconds

    @contextmanager
    def taking(self) -> Iterator[None]:
        """What is done inside counts as measuring."""
        started = self.clock()
        try:
            yield
        finally:
            self.spent += self.clock() - started

    def wait(self, device: torch.device) -> None:
        """Let a GPU end what training asked of it; that time is training's own."""
        if device.type == "cuda":
            started = self.clock()
            torch.cuda.synchronize(device)
            self.spent -= self.clock() - started

    def notes(self) -> tuple[str, ...]:
        """What was left out, and what measuring took."""
        limit = f"to stay within {100 * self.share:g} % of wall time"
        return (
            *(f"{name} was left out {n} times {limit}" for name, n in self.dropped.items()),
            f"measuring took {100 * self.taken:.2g} % of wall time",
        )
