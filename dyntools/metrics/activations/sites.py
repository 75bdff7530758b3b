"""The pass over the probe of a snapshot: one, shared by all metrics of activations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dyntools.errors import ProblemError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dyntools.activations.functions import Kind
    from dyntools.activations.probe_pass import Activations
    from dyntools.snapshot import Snapshot

NOT_FINITE = "its values hold NaN or inf"


def activations(snapshot: Snapshot) -> Activations:
    """Raises ProblemError as `Snapshot.risk` does, and where memory holds no single example."""
    from dyntools.activations.probe_pass import activations_of

    def compute() -> Activations | ProblemError:
        try:
            return activations_of(snapshot.risk())
        except ProblemError as error:
            return error  # once for all metrics

    found = snapshot.once("activations", compute)
    if isinstance(found, ProblemError):
        raise found
    return found


def kinds_told(kinds: Iterable[Kind]) -> str:
    """How many sites of each function, for `method`."""
    names = [kind.name for kind in kinds]
    return ", ".join(f"{names.count(name)} {name}" for name in dict.fromkeys(names))
