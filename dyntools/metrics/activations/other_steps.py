"""Passes over the probe at other steps than the one that is measured: the one before, the last.

A pass that was made when that checkpoint was measured is not made again. The last checkpoint serves
every step, so of its pass only the Gram matrices stay.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from dyntools.errors import CheckpointError, ProblemError
from dyntools.metrics.activations.sites import activations, kept

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dyntools.activations.predictions import Predictions
    from dyntools.activations.representations import Representation
    from dyntools.snapshot import Snapshot

T = TypeVar("T")


def representations(snapshot: Snapshot) -> Mapping[str, Representation]:
    """Of the layers at this step; the pass serves the other metrics of activations as well.

    Raises ProblemError as `activations` does.
    """
    from dyntools.activations.probe_pass import activations_of

    found = activations_of(snapshot.risk(), represented=True)
    represented, found.represented = found.represented, None
    snapshot.once("activations", lambda: kept(snapshot, found))
    return {} if represented is None else represented.found


def final_representations(final: Snapshot) -> Mapping[str, Representation]:
    """Of the layers at the last checkpoint, made once for all steps.

    Raises ProblemError, also where the checkpoint cannot be read.
    """
    from dyntools.activations.probe_pass import activations_of

    def compute() -> Mapping[str, Representation]:
        represented = activations_of(final.risk(), represented=True).represented
        return {} if represented is None else represented.found

    told = f"the last checkpoint, of step {final.step}"
    return final.attempted("representations", lambda: _alone(final, compute, told))


def predictions(snapshot: Snapshot) -> Predictions | str:
    """At this step; or why there are none. Raises ProblemError as `activations` does."""

    def compute() -> Predictions | str:
        found = activations(snapshot)
        return found.logits.refused or found.predictions

    return snapshot.once("predictions", compute)


def predictions_before(snapshot: Snapshot, previous: Snapshot) -> Predictions | str:
    """At the checkpoint before, by the problem of this one.

    Raises ProblemError, also where the checkpoint cannot be read.
    """
    before = replace(previous, problem=snapshot.problem)  # that of a live copy has none
    told = f"the checkpoint before, of step {before.step}"
    return _alone(before, lambda: predictions(before), told)


def _alone(other: Snapshot, compute: Callable[[], T], told: str) -> T:
    """`compute()`, after which nothing of a risk stays that was not there."""
    held = other.known("risk") is not None
    try:
        return compute()
    except CheckpointError as error:
        raise ProblemError(f"{told}, cannot be read: {error.what}", found=error.found) from error
    except ProblemError as error:
        raise ProblemError(f"{told}: {error.what}", found=error.found) from error
    finally:
        if not held:
            other.release()
