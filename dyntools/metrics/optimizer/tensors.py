"""What the metrics of optimizer state share: the moments of each tensor, or why there are none."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from dyntools.metrics.layers import Row, collect, missing
from dyntools.moments import Moments, moments_of

if TYPE_CHECKING:
    from dyntools.measurement import Measurement
    from dyntools.snapshot import Snapshot


def moments(snapshot: Snapshot) -> dict[str, Moments | str]:
    """Of every tensor of a snapshot; also of states that have no name, as `param[3] (16, 8)`."""
    state = snapshot.moments
    assert state is not None
    return {
        name: moments_of(state, name, snapshot.params.shapes.get(name))
        for name in snapshot.tensors()
    }


def by_tensor(
    snapshot: Snapshot,
    row: Callable[[str, Moments], Row],
    *,
    beside: Iterable[str] = (),
    error: bool = False,
) -> Measurement:
    """One number a tensor; a tensor without moments is skipped with its reason."""
    rows = {
        name: missing(found) if isinstance(found, str) else row(name, found)
        for name, found in moments(snapshot).items()
    }
    return collect(rows, beside=beside, error=error, method=method(snapshot))


def method(snapshot: Snapshot) -> str:
    """How the moments were come by, "" where they are the optimizer's own."""
    state = snapshot.moments
    return "" if state is None else state.estimated
