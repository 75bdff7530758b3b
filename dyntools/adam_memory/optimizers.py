"""Optimizers: what the state of others would take for this model, in bytes of float32.

For a matrix of m × n, m ≤ n, beside weights and gradients:

    AdamW 2mn     NovoGrad mn + 1     Lion, Muon mn     SM3 with momentum mn + m + n
    SlimAdam, Adam-mini, Adafactor with momentum mn + numbers kept of v
    GaLore of rank r mr + 2nr     APOLLO 2nr + 2     APOLLO-mini 2n + 2

Only what was measured on this run's moments has an error; the rest is an option, with its source
and without a promise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from dyntools.adam_memory.decision import TRAINING_BYTES, Decision
from dyntools.adam_memory.rules import SLIMADAM
from dyntools.adam_memory.tensor import Tensor
from dyntools.forms import EIGHT_BIT, FACTORED, FLOAT32

RANK_SHARE = 0.25  # of the smaller side: the "1/4 rank" of GaLore in Zhu et al. 2024
SMALLEST_8_BIT = 4096  # weights below which bitsandbytes keeps 32 bit: its min_8bit_size
NOT_HIDDEN = ("embedding", "position", "head", "classifier", "first", "norm", "bias")
PLAN = "this plan"
Basis = Literal["measured", "option"]


@dataclass(frozen=True)
class Priced:
    """One optimizer on this model.

    state: bytes of all its moments, training: with weights and gradients, at 16 bytes a weight for
        AdamW. saved: share of AdamW's state.
    update_error: the largest |u' - u| / |u| of a tensor, NaN where it was not measured.
    """

    name: str
    state: int
    training: int
    saved: float
    basis: Basis
    update_error: float
    what: str
    source: str


@dataclass(frozen=True)
class Optimizer:
    """state: bytes for one tensor. label: of the candidates that show what it does to the update,
    where any does."""

    name: str
    state: Callable[[Tensor], int]
    what: str
    source: str
    label: str = ""


def compare(decision: Decision) -> tuple[Priced, ...]:
    """AdamW, the decision, and the others, priced from shapes and kinds alone."""
    tensors = decision.evidence.tensors
    size = decision.evidence.size

    def priced(one: Optimizer) -> Priced:
        basis, error = _measured(tensors, one.label)
        state = sum(map(one.state, tensors))
        return _priced(one.name, state, size, basis, error, one.what, one.source)

    adamw, *others = map(priced, OPTIMIZERS)
    errors = [
        choice.candidate.update_error for choice in decision.choices if choice.candidate is not None
    ]
    worst = math.nan if any(map(math.isnan, errors)) else max(errors, default=0.0)
    state, what = decision.optimizer_state.after, f"m, and v as decided by {decision.rule}"
    ours = _priced(PLAN, state, size, "measured", worst, what, SLIMADAM)
    return adamw, ours, *others


def _priced(
    name: str, state: int, size: int, basis: Basis, error: float, what: str, source: str
) -> Priced:
    full = 2 * FLOAT32 * size
    training = (TRAINING_BYTES - 2 * FLOAT32) * size + state
    saved = 1 - state / full if full else 0.0
    return Priced(name, state, training, saved, basis, error, what, source)


def _measured(tensors: tuple[Tensor, ...], label: str) -> tuple[Basis, float]:
    """Measured is what has an error for every matrix."""
    if label == "full":
        return "measured", 0.0
    errors = [
        next((c.update_error for c in tensor.candidates if c.label == label), math.nan)
        for tensor in tensors
        if len(tensor.shape) > 1
    ]
    if not label or not errors or any(map(math.isnan, errors)):
        return "option", math.nan
    return "measured", max(errors)


def _hidden(tensor: Tensor) -> bool:
    return len(tensor.shape) == 2 and tensor.kind not in NOT_HIDDEN


def _both(tensor: Tensor) -> int:
    return 2 * FLOAT32 * tensor.size


def _beside_m(kept: Callable[[Tensor], int]) -> Callable[[Tensor], int]:
    return lambda tensor: FLOAT32 * (tensor.size + kept(tensor))


def _alone(kept: Callable[[Tensor], int]) -> Callable[[Tensor], int]:
    return lambda tensor: FLOAT32 * kept(tensor)


def _on_hidden(floats: Callable[[int, int, int], int]) -> Callable[[Tensor], int]:
    """`floats` of (m, n, r) for hidden matrices, AdamW for the rest."""

    def state(tensor: Tensor) -> int:
        if not _hidden(tensor):
            return _both(tensor)
        m, n = sorted(tensor.shape)
        return FLOAT32 * floats(m, n, math.ceil(RANK_SHARE * m))

    return state


def _factors(tensor: Tensor) -> int:
    """A vector cannot be factored."""
    return FACTORED.values(tensor.shape) if FACTORED.fits(tensor.shape) else tensor.size


def _blocks(tensor: Tensor) -> int:
    """Adam-mini's, as measured; else one an output row, of a vector one. Heads, which are fewer,
    are not known here."""
    for one in tensor.candidates:
        if one.label == "adam-mini":
            return one.form.values(tensor.shape)
    return tensor.shape[0] if len(tensor.shape) > 1 else 1


def _eight_bit(tensor: Tensor) -> int:
    if tensor.size < SMALLEST_8_BIT:
        return _both(tensor)
    return 2 * EIGHT_BIT.bytes(tensor.shape)


_QUARTER = "rank a quarter of the smaller side, hidden matrices only, AdamW for the rest"

OPTIMIZERS = (
    Optimizer(
        "AdamW", _both, "m and v in full", "Loshchilov & Hutter 2019, arXiv:1711.05101", "full"
    ),
    Optimizer(
        "Adam-mini",
        _beside_m(_blocks),
        "m, and v one value a block of rows or heads",
        "Zhang et al. 2024, arXiv:2406.16793",
        "adam-mini",
    ),
    Optimizer(
        "Adafactor with momentum",
        _beside_m(_factors),
        "m, and v as row and column means; without its clipping and schedule",
        "Shazeer & Stern 2018, arXiv:1804.04235",
        FACTORED.label,
    ),
    Optimizer(
        "Adafactor",
        _alone(_factors),
        "v as row and column means, no m",
        "Shazeer & Stern 2018, arXiv:1804.04235",
    ),
    Optimizer(
        "SM3 with momentum",
        _beside_m(lambda tensor: sum(tensor.shape)),
        "m, and one vector an axis",
        "Anil et al. 2019, arXiv:1901.11150",
    ),
    Optimizer(
        "NovoGrad",
        _beside_m(lambda tensor: 1),
        "m, and one value a tensor",
        "Ginsburg et al. 2019, arXiv:1905.11286",
    ),
    Optimizer(
        "Lion", _alone(lambda tensor: tensor.size), "m alone", "Chen et al. 2023, arXiv:2302.06675"
    ),
    Optimizer(
        "Muon",
        _on_hidden(lambda m, n, r: m * n),
        "m alone in hidden matrices, AdamW for the rest",
        "Jordan et al. 2024; Liu et al. 2025, arXiv:2502.16982",
    ),
    Optimizer(
        "GaLore",
        _on_hidden(lambda m, n, r: m * r + 2 * n * r),
        _QUARTER,
        "Zhao et al. 2024, arXiv:2403.03507",
    ),
    Optimizer(
        "APOLLO",
        _on_hidden(lambda m, n, r: 2 * n * r + 2),
        _QUARTER,
        "Zhu et al. 2024, arXiv:2412.05270",
    ),
    Optimizer(
        "APOLLO-mini",
        _on_hidden(lambda m, n, r: 2 * n + 2),
        "rank 1, hidden matrices only, AdamW for the rest",
        "Zhu et al. 2024, arXiv:2412.05270",
    ),
    Optimizer(
        "8-bit Adam",
        _eight_bit,
        "m and v in codes of 8 bit, small tensors in full; needs bitsandbytes",
        "Dettmers et al. 2022, arXiv:2110.02861",
    ),
)
