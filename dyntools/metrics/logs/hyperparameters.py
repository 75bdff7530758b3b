"""Hyperparameters: what those of a run mean, and what published laws would have chosen.

    timescale      1 / (ηλ) steps; B / (ηλD) of the data
    half-life      ln 2 / -ln β steps
    warm-up        2 / (1 - β2) steps
    Step Law       η = 1.79 N^-0.713 D^0.307,  B = 0.58 D^0.571 tokens
    power law      η = β · 4.6 T^-0.51;  Power Scheduler: min(0.02, β · 4 n^-0.51)
    batch κ times  Adam: √κ η, 1 - κ (1 - β), ε / √κ;  SGD: κ η;  half-life kept: β2^κ

Each number stands beside what the run used and how many of the law's conditions hold. A law outside
of the range it was fitted over is an extrapolation, and a condition that nothing in the run tells
of is counted as unknown. Two laws for the same quantity are both shown, with the factor between
them; none is preferred.

Bergsma et al. 2025, arXiv:2505.13738; Marek et al. 2025, arXiv:2507.07101; Ma & Yarats 2019,
arXiv:1910.04209; Li et al. 2025, arXiv:2503.04715; Shen et al. 2024, arXiv:2408.13359; Malladi et
al. 2022, arXiv:2205.10287.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dyntools.measurement import Measurement, Status
from dyntools.metrics.logs.facts import facts_of
from dyntools.metrics.logs.laws import LAWS, Condition, Facts, Law, scaling
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from dyntools.snapshot import Snapshot

APART = 2.0  # two laws that differ by more are said to disagree; chosen, no source
# What to write into the file of --config for a fact that is not known.
KEYS: Mapping[str, str] = {
    "steps": "total_steps",
    "tokens": "total_tokens",
    "tokens_now": "tokens_per_step",
}


def measure(snapshot: Snapshot, *, batch_factor: float = 2.0) -> Measurement:
    """Every law that the known facts allow.

    batch_factor: how many times as large a batch the scaling rules are asked for; chosen: a
    doubling, the smallest change that is common.
    """
    facts, where = facts_of(snapshot)
    laws = (*LAWS, *scaling(batch_factor))
    values = [_value(law, facts) for law in laws]
    used = [law.used(facts) for law in laws]
    held = [law.conditions(facts) for law in laws]
    finite = np.isfinite(values)
    reasons = _reasons(laws, values, held, facts)
    return Measurement(
        np.where(finite, values, np.nan),
        ("law",),
        {"law": tuple(law.name for law in laws)},
        status=np.array([_status(law, facts, v) for law, v in zip(laws, values, strict=True)]),
        beside={
            "used": np.array(used),
            "used_share": np.array([_ratio(u, v) for u, v in zip(used, values, strict=True)]),
            "conditions_met": np.array([_count(c, True) for c in held]),
            "conditions_broken": np.array([_count(c, False) for c in held]),
            "conditions_unknown": np.array([_count(c, None) for c in held]),
            "disagreement": np.array([_apart(law, laws, values)[0] for law in laws]),
        },
        skipped=reasons,
        method=f"batch factor {batch_factor:g}; " + where,
    )


def _value(law: Law, facts: Facts) -> float:
    if _lacks(law, facts):
        return math.nan
    try:
        return float(law.value(facts))
    except (ArithmeticError, ValueError):  # 0 to a negative power, the logarithm of 0
        return math.nan


def _lacks(law: Law, facts: Facts) -> list[str]:
    return [need for need in law.needs if math.isnan(getattr(facts, need))]


def _status(law: Law, facts: Facts, value: float) -> Status:
    if math.isfinite(value):
        return Status.ok
    return Status.skipped if _lacks(law, facts) else Status.failed


def _ratio(used: float, value: float) -> float:
    return used / value if math.isfinite(value) and value != 0 else math.nan


def _count(conditions: Sequence[Condition], holds: bool | None) -> float:
    return float(sum(condition.holds is holds for condition in conditions))


def _apart(law: Law, laws: Sequence[Law], values: Sequence[float]) -> tuple[float, str]:
    """The largest factor to another law for the same quantity, and that law's name."""
    mine = values[laws.index(law)]
    found, name = math.nan, ""
    for other, value in zip(laws, values, strict=True):
        if other is law or not law.of or other.of != law.of or not min(mine, value) > 0:
            continue
        factor = max(mine / value, value / mine)
        if not factor <= found:
            found, name = factor, other.name
    return found, name


def _reasons(
    laws: Sequence[Law],
    values: Sequence[float],
    held: Sequence[Sequence[Condition]],
    facts: Facts,
) -> dict[str, str]:
    """Why a law has no number; and of those that have one, what speaks against it."""
    reasons = {}
    for law, value, conditions in zip(laws, values, held, strict=True):
        if lacks := _lacks(law, facts):
            keys = ", ".join(dict.fromkeys(KEYS.get(need, need) for need in lacks))
            reasons[law.name] = f"not known: {keys}; give it in a file with --config FILE"
            continue
        if not math.isfinite(value):
            undecayed = "weight_decay" in law.needs and facts.weight_decay == 0
            reasons[law.name] = (
                "there is no weight decay" if undecayed else "these facts give no finite number"
            )
            continue
        if broken := [c.sentence for c in conditions if c.holds is False]:
            reasons[f"{law.name}: conditions"] = "does not hold: " + "; ".join(broken)
        factor, other = _apart(law, laws, values)
        if factor > APART:
            reasons[f"{law.name}: disagreement"] = (
                f"{other} says {factor:.3g} times as much or as little of the {law.of}"
            )
    return reasons


METRIC = Metric(
    name="hyperparameters",
    group="logs",
    version=1,
    measure=measure,
    needs=("params",),
    dims=("law",),
    unit="that of the law",
    what="what the hyperparameters mean, and what published laws would have chosen",
    paper="Bergsma et al. 2025, arXiv:2505.13738; Marek et al. 2025, arXiv:2507.07101; "
    "Li et al. 2025, arXiv:2503.04715; Shen et al. 2024, arXiv:2408.13359; "
    "Malladi et al. 2022, arXiv:2205.10287",
    cost="reads headers",
    least={"batch_factor": 1e-6},
)
