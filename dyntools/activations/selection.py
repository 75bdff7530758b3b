"""Selection: which entries or places stand for all of them, the same ones at every step.

Entries by a step that meets every channel. Places that are not counted beforehand by the golden
ratio φ: k φ mod 1 < s holds for a share s of any long stretch of k, and no order of the examples
is in step with it (Knuth, The Art of Computer Programming, vol. 3, 6.4).
"""

from __future__ import annotations

import math

from torch import Tensor

WORD = 1 << 32
GOLDEN = 2654435769  # 2³² / φ, rounded to odd


def evenly_chosen(number: Tensor, count: int, most: int) -> Tensor:
    """Whether each number (b,) from 0 to count - 1 is one of an even selection of `most`."""
    most = min(most, count)
    return number * most // count != (number - 1) * most // count


def golden(places: Tensor) -> Tensor:
    """2³² (k φ mod 1) of each place k: whole numbers below WORD."""
    return (places * GOLDEN) % WORD


def evenly(flat: Tensor, most: int) -> Tensor:
    """At most so many entries along the last axis, in a step that meets every channel.

    It is the least that has no divisor in common with their number, whichever axis they lie along.
    """
    step = step_of(flat.shape[-1], most)
    return flat[..., ::step]


def step_of(count: int, most: int) -> int:
    """The step of `evenly`."""
    step = -(-count // most)
    while math.gcd(step, count) > 1:
        step += 1
    return step
