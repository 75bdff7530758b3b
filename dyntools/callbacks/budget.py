"""Budget: which metrics there is time for, so that measuring takes a given share of wall time.

    a metric runs if  spent + its price ≤ share · time since the start

The price of a metric is what its last measurement took; work that several share, as the spectrum of
a layer, is on the account of the first of them. A metric that has never run has no price yet: new
ones run first, one after another until more than a second is owed, then others, cheap ones first.
One that may take long, as it is with a problem, waits for a report without another new one and runs
last; it is broken off between two products with the Hessian where its time is up. Twice what it
took by then is its price until it has been finished once: it waits for that much, so that its
attempts together waste less than twice what it takes. What does not fit is left out at this step,
counted, and said with its price when it happens first.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

CREDIT = 1.0  # seconds that may be owed when a new metric is tried; chosen: small models try all
AGAIN = 2.0  # times what a metric took till it was broken off is its price; chosen


class OutOfTime(Exception):
    """Raised inside a metric whose time is up."""


@dataclass
class Budget:
    """share: of wall time, 1 for no limit. clock: seconds, of whatever origin.

    costs: the price of each metric in seconds; those in `unfinished` take at least as long.
    """

    share: float
    clock: Callable[[], float] = time.perf_counter
    spent: float = 0.0
    costs: dict[str, float] = field(default_factory=dict)
    unfinished: set[str] = field(default_factory=set)
    dropped: Counter[str] = field(default_factory=Counter)
    started: float = field(init=False)
    _since: float | None = field(init=False, default=None)
    _stopped: set[str] = field(init=False, default_factory=set)
    _unsaid: list[str] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.started = self.clock()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self.clock() - self.started

    @property
    def room(self) -> float:
        """Seconds that measuring may still take now; below 0 what it owes."""
        running = 0.0 if self._since is None else self.clock() - self._since
        return self.share * self.elapsed - self.spent - running

    @property
    def taken(self) -> float:
        """The share of wall time that measuring has taken."""
        return self.spent / self.elapsed if self.elapsed > 0 else 0.0

    def rounds(self, names: Sequence[str], long: Container[str] = ()) -> Iterator[list[str]]:
        """Those of `names` that there is time for, some at a time; the others are counted.

        What is measured between two rounds counts for the next one. long: those whose first
        measurement may take long, as it is with a problem.
        """
        if self.share >= 1.0:
            yield list(names)
            return
        new = [name for name in names if name not in self.costs]
        known = [name for name in names if name in self.costs]
        tried = False
        for name in (name for name in new if name not in long):
            if self._fits(name, self.room + CREDIT):
                tried = True
                yield [name]
        if chosen := self._affordable(known):
            yield chosen
        for name in (name for name in new if name in long):
            if tried:  # one of them a round: each may take long
                self._drop(name)
            elif self._fits(name, self.room):
                tried = True
                yield [name]

    def _affordable(self, names: Sequence[str]) -> list[str]:
        room, chosen = self.room, set()
        for name in sorted(names, key=lambda one: self.costs[one]):
            if self._fits(name, room):
                chosen.add(name)
                room -= self.costs[name]
        return [name for name in names if name in chosen]

    def _fits(self, name: str, room: float) -> bool:
        """Whether it does; counted where it does not."""
        fits = room >= self.costs.get(name, 0.0)
        if not fits:
            self._drop(name)
        return fits

    def check(self, name: str) -> None:
        """To be called while a metric runs. Raises OutOfTime where it should take no longer.

        One that was finished before may take twice its price.
        """
        known = name in self.costs and name not in self.unfinished
        if self.share < 1.0 and self.room < (-self.costs[name] if known else 0.0):
            self._stopped.add(name)
            raise OutOfTime(f"{name} is broken off: its time is up")

    def paid(self, name: str, seconds: float) -> bool:
        """What a metric took, and whether it was finished."""
        if name not in self._stopped:
            self.costs[name] = seconds
            self.unfinished.discard(name)
            return True
        self._stopped.remove(name)
        self.costs[name] = AGAIN * seconds
        self.unfinished.add(name)
        self._drop(name)
        return False

    def _drop(self, name: str) -> None:
        if not self.dropped[name]:
            self._unsaid.append(name)
        self.dropped[name] += 1

    @contextmanager
    def taking(self) -> Iterator[None]:
        """What is done inside counts as measuring, once where a sink comes back to the recorder."""
        if self._since is not None:
            yield
            return
        self._since = self.clock()
        try:
            yield
        finally:
            self.spent += self.clock() - self._since
            self._since = None

    def wait(self, device: torch.device) -> None:
        """Let a GPU end what training asked of it; that time is training's own."""
        if device.type == "cuda":
            started = self.clock()
            torch.cuda.synchronize(device)
            self.spent -= self.clock() - started

    def news(self, step: int) -> str:
        """What was left out for the first time, with its price; "" where nothing was."""
        names, self._unsaid = self._unsaid, []
        if not names:
            return ""
        priced = [f"{name} ({self.price(name)})" for name in names if name in self.costs]
        others = [name for name in names if name not in self.costs]
        parts = [", ".join(priced)] if priced else []
        parts += [f"not measured so far, {', '.join(others)}"] if others else []
        return f"step {step} has no time within {self._limit} for " + "; ".join(parts)

    def price(self, name: str) -> str:
        """What a metric takes, in words; one that was broken off takes longer."""
        over = name in self.unfinished
        seconds = self.costs[name] / (AGAIN if over else 1.0)
        return ("over " if over else "") + f"{seconds:{'.0f' if seconds >= 10.0 else '.2g'}} s"

    @property
    def _limit(self) -> str:
        return f"{100 * self.share:g} % of wall time"

    def notes(self) -> tuple[str, ...]:
        """How often what was left out, what each metric takes, and what measuring took."""
        counts: dict[str, list[str]] = {}
        for name, count in self.dropped.most_common():
            counts.setdefault(f"{count} times" if count > 1 else "once", []).append(name)
        prices = sorted(self.costs, key=lambda name: -self.costs[name])
        return (
            *(
                f"left out {often} to stay within {self._limit}: {', '.join(names)}"
                for often, names in counts.items()
            ),
            *([f"prices: {', '.join(f'{n} {self.price(n)}' for n in prices)}"] * bool(prices)),
            f"measuring took {100 * self.taken:.2g} % of wall time",
        )
