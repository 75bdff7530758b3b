"""Meter: how far an analysis has come, learnt from what the checkpoint before took."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dyntools.journal import Row
from dyntools.measuring import Advance
from dyntools.plan import Task

ALMOST = 0.95  # a metric is no more done than this before it ends; chosen

Progress = Callable[[str, float, int], None]  # what is being measured, done, total


@dataclass
class Meter:
    """How much is done, in units of one metric on one checkpoint, told to whoever draws the bar.

    Within a checkpoint a metric counts by the seconds, and a product by the number of products,
    that it took on the checkpoint before; this makes the remaining time a useful number.
    """

    total: int
    progress: Progress | None
    done: float = 0
    seconds: dict[str, float] = field(default_factory=dict)
    products: dict[str, int] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)

    def tell(self, what: str, more: float = 0) -> None:
        if self.progress is not None:
            self.progress(what, self.done + more, self.total)

    def hear(self, what: str, tasks: Sequence[Task], advance: Advance) -> None:
        """Tell of the tasks of one checkpoint."""
        for name in advance.metrics:
            self.shares[name] = advance.share or self._share_of(name, advance.products)
        worth = {task.name: self.seconds.get(task.name, 1.0) for task in tasks}
        done = sum(self.shares.get(name, 0.0) * worth[name] for name in worth)
        if advance.products:
            (name,) = advance.metrics
            what += f" {name}: {advance.products} products of {advance.seconds:.2g} s"
        self.tell(what, len(tasks) * done / max(sum(worth.values()), 1e-9))

    def _share_of(self, name: str, products: int) -> float:
        expected = self.products.get(name, 0)
        return min(products / expected, ALMOST) if expected else 0.0

    def learn(self, rows: Sequence[Row]) -> None:
        """What the tasks of a checkpoint took is what they are expected to take at the next."""
        self.done += len(rows)
        self.seconds = {row.metric: row.seconds for row in rows}
        self.products = {row.metric: row.measurement.matvecs for row in rows}
        self.shares = {}
