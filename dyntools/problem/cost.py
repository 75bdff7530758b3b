"""Cost: the memory of evaluating a piece of b examples, found by trials on a few.

    peak(b) ≈ a + s · b,   kept(b) ≈ a' + s' · b

The highest point of a small piece may lie elsewhere than that of a large one (vectors as long as
the parameters against activations), so trials grow fourfold as far as that is cheap, and the last
two draw the line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dyntools.problem.memory import Footprint, footprint, ran_out

GROWTH = 4  # from trial to trial; chosen
TRIED = 8  # a trial takes at most 1/8 of the examples, and 1/8 of the memory limit; chosen


@dataclass(frozen=True)
class Cost:
    """Bytes as (a, slope): kept by the graph of a piece, and at the highest point."""

    kept: tuple[float, float]
    peak: tuple[float, float]

    def kept_of(self, examples: int) -> float:
        return self.kept[0] + self.kept[1] * examples

    def peak_of(self, examples: int) -> float:
        return max(self.peak[0] + self.peak[1] * examples, self.kept_of(examples))

    @classmethod
    def dearest(cls, costs: Sequence[Cost]) -> Cost:
        """The largest entry of each kind, as ranks may have measured different examples."""
        kept, peak = ([getattr(c, name) for c in costs] for name in ("kept", "peak"))
        return cls(
            (max(k[0] for k in kept), max(k[1] for k in kept)),
            (max(p[0] for p in peak), max(p[1] for p in peak)),
        )


def measured(
    trial: Callable[[int], Callable[[], object]],
    available: int,
    examples: int,
    limit: float,
    whole: bool = False,
) -> Cost:
    """The memory of a piece. `trial(b)()` builds the graph of b examples and uses it once.

    available: examples that a trial can have. examples: of the whole problem. whole: one trial on
    all that are available, as they must not be cut.
    """
    if whole:
        found = _footprint(trial(available))
        return Cost((float(found.kept), 0.0), (float(found.peak), 0.0))
    size, last = 1, _footprint(trial(1))
    cost = Cost((0.0, float(last.kept)), (0.0, float(last.peak)))
    while size < available:
        larger = min(GROWTH * size, available)
        dear = cost.peak_of(larger) > limit / TRIED or larger > examples / TRIED
        if size > 1 and dear:
            break
        try:
            found = _footprint(trial(larger))
        except RuntimeError as error:
            if not ran_out(error):
                raise
            break
        span = larger - size
        cost = Cost(
            _line(last.kept, found.kept, span, larger), _line(last.peak, found.peak, span, larger)
        )
        size, last = larger, found
    return cost


def _line(before: int, after: int, span: int, at: int) -> tuple[float, float]:
    """(a, slope) through two trials, the second `at` so many examples."""
    slope = max((after - before) / span, 0.0)
    return max(after - slope * at, 0.0), slope


def _footprint(compute: Callable[[], object]) -> Footprint:
    graph, found = footprint(compute)
    del graph
    return found
