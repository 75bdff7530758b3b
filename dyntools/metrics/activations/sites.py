"""The pass over the probe of a snapshot: one, shared by all metrics of activations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from dyntools.activations.functions import Kind
    from dyntools.activations.probe_pass import Activations
    from dyntools.snapshot import Snapshot

NOT_FINITE = "its values hold NaN or inf"
NOTHING_KEPT = "none of the examples that are kept went through it"


def activations(snapshot: Snapshot) -> Activations:
    """Raises ProblemError as `Snapshot.risk` does, and where memory holds no single example."""
    from dyntools.activations.probe_pass import activations_of

    return snapshot.attempted(
        "activations", lambda: kept(snapshot, activations_of(snapshot.risk()))
    )


def kept(snapshot: Snapshot, found: Activations) -> Activations:
    """The pass; of it the predictions, or why there are none, are kept for the next step."""
    snapshot.once("predictions", lambda: found.logits.refused or found.predictions)
    return found


def kinds_told(kinds: Iterable[Kind]) -> str:
    """How many sites of each function, for `method`."""
    names = [kind.name for kind in kinds]
    return ", ".join(f"{names.count(name)} {name}" for name in dict.fromkeys(names))


def error_of_ratio(sums: Tensor, terms: Tensor) -> float:
    """One standard error of Σ sums / Σ terms, by the jackknife over groups of examples.

    NaN where a group is empty.
    """
    from dyntools.activations.patterns import jackknife_error

    if not bool((terms > 0).all()):
        return math.nan
    return jackknife_error(((sums.sum() - sums) / (terms.sum() - terms)).numpy())
