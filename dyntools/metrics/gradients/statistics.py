"""The statistics of a snapshot's gradients by examples: one pass, shared by all metrics of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dyntools.errors import CheckpointError, ProblemError

if TYPE_CHECKING:
    from torch import Tensor

    from dyntools.problem.per_example import PerExample
    from dyntools.snapshot import Snapshot


def statistics(snapshot: Snapshot) -> PerExample:
    """With products by the inverse of Adam's preconditioner where its second moments are there.

    Raises ProblemError as `Snapshot.risk` does, and when there are fewer than two examples.
    """
    from dyntools.problem.per_example import STATISTICS, per_example

    def compute() -> PerExample | ProblemError:
        try:
            return per_example(snapshot.risk(), _preconditioner(snapshot))
        except ProblemError as error:
            return error  # once for all metrics

    found = snapshot.once(STATISTICS, compute)
    if isinstance(found, ProblemError):
        raise found
    return found


def told(found: PerExample) -> str:
    """What a number rests on, for `method`."""
    units = f"{len(found.units.terms)} {'batches' if found.units.whole else 'examples'}"
    uneven = "" if found.units.even else ", which weigh by their terms"
    return f"{found.method}; {units}{uneven}"


def _preconditioner(snapshot: Snapshot) -> Tensor | None:
    """P (n,) of Adam, None where there is none that covers the parameters."""
    from dyntools.operators.adam import preconditioner

    try:
        state = snapshot.moments
        return None if state is None else preconditioner(snapshot.risk(), state)
    except (CheckpointError, ProblemError):
        return None
