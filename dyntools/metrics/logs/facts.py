"""Facts: what a recipe, a log and the state of an optimizer tell of how a run was made.

The recipe that a person gave comes first, then the optimizer's settings, then the log. Of several
parameter groups the one with the most parameters counts: the others are biases and gains.

The peak learning rate is what a scheduler left in the optimizer (`max_lr` of one cycle, else
`initial_lr`), as a log cannot know a peak that is still to come. A schedule may also multiply
`initial_lr` by factors whose largest is not 1 (a rate of 1 times Noam's, say): the log's largest
rate counts where it is above, or where it is not the last one and below half of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from dyntools.log import Role
from dyntools.metrics.logs.history import History, history
from dyntools.metrics.logs.laws import NAN, Facts

if TYPE_CHECKING:
    from dyntools.layer_kinds import Kinds
    from dyntools.snapshot import Snapshot

FAR_BELOW = 0.5  # of the optimizer's peak; a log of every k-th step misses less of it; chosen
VOCABULARY = ("embedding", "head", "position")  # kinds that the laws do not count


def facts_of(snapshot: Snapshot) -> tuple[Facts, str]:
    """The facts, and a sentence on where they come from."""
    recipe = snapshot.recipe
    told = recipe.told
    family, group = _group(snapshot)
    rates = history(snapshot, Role.learning_rate).finite
    peak, whose = _peak(group, rates)
    warmup = NAN
    if len(rates) and 0 < (first := int(np.argmax(rates.values))) < len(rates) - 1:
        warmup = float(rates.steps[first])
    betas = group.get("betas")
    beta1, beta2 = betas if isinstance(betas, tuple | list) and len(betas) == 2 else (NAN, NAN)
    tokens_per_step = _or_nan(recipe.tokens_a_step)
    seen = history(snapshot, Role.tokens).finite
    decoupled = group.get("decoupled_weight_decay")
    facts = Facts(
        learning_rate=told.get("learning_rate", peak),
        rate_now=float(rates.values[-1]) if len(rates) else _number(group, "lr", NAN),
        weight_decay=told.get("weight_decay", _number(group, "weight_decay", NAN)),
        beta1=told.get("beta1", _plain(beta1)),
        beta2=told.get("beta2", _plain(beta2)),
        epsilon=told.get("epsilon", _number(group, "eps", NAN)),
        batch_size=_or_nan(recipe.batch_size),
        tokens_per_step=tokens_per_step,
        steps=_or_nan(recipe.steps),
        tokens=_or_nan(recipe.tokens),
        tokens_now=float(seen.values[-1]) if len(seen) else snapshot.step * tokens_per_step,
        dataset_size=_or_nan(recipe.dataset_size),
        parameters=told.get("parameters", _counted(snapshot.params.shapes, snapshot.kinds)),
        warmup_steps=told.get("warmup_steps", warmup),
        family=family,
        decoupled=decoupled if isinstance(decoupled, bool) else None,
    )
    return facts, _sources(told, family, whose)


def _peak(group: Mapping[str, object], rates: History) -> tuple[float, str]:
    """The peak learning rate and where it is from; see the head of this module."""
    lowered = "max_lr" if "max_lr" in group else "initial_lr"
    stored = _number(group, lowered, NAN)
    if not len(rates):
        if math.isnan(stored):
            return _number(group, "lr", NAN), "lr of the optimizer" if "lr" in group else ""
        return stored, f"{lowered} of the optimizer"
    logged = float(np.max(rates.values))
    passed = int(np.argmax(rates.values)) < len(rates) - 1
    if math.isnan(stored) or stored < logged or (passed and logged < FAR_BELOW * stored):
        return logged, "the largest of the log so far"
    return stored, f"{lowered} of the optimizer"


def _sources(told: Mapping[str, float], family: str, whose: str) -> str:
    parts = [f"{', '.join(told)} from the recipe"] if told else []
    parts += [f"settings of {family}"] if family else []
    parts += [f"peak learning rate: {whose}"] if whose and "learning_rate" not in told else []
    return "; ".join(parts) or "nothing is known of the optimizer"


def _group(snapshot: Snapshot) -> tuple[str, Mapping[str, object]]:
    """The optimizer's family and the group with the most parameters; empty where there is none."""
    state = snapshot.known_optimizer
    if state is None or not state.groups:
        return ("" if state is None else state.family), {}
    shapes = snapshot.params.shapes

    def size(group: Mapping[str, object]) -> int:
        names = group.get("params")
        names = names if isinstance(names, tuple | list) else ()
        return sum(math.prod(shapes.get(str(name), ())) for name in names)

    return state.family, max(state.groups, key=size)


def _counted(shapes: Mapping[str, tuple[int, ...]], kinds: Kinds) -> float:
    """Parameters without those of the vocabulary, told by their names; NaN without parameters."""
    counted = [math.prod(s) for n, s in shapes.items() if kinds.of(n, s) not in VOCABULARY]
    return float(sum(counted)) if counted else NAN


def _number(group: Mapping[str, object], key: str, default: float) -> float:
    value = group.get(key)
    return default if value is None else _plain(value)


def _plain(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else NAN


def _or_nan(value: float | None) -> float:
    return NAN if value is None else value
