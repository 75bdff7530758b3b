"""Laws: what papers say a hyperparameter means, or should be, each with the conditions it had.

A law is a pure function of the facts of a run. It gives a number with what the run used and the
conditions under which it was found; or the facts that it lacks. The constants are the papers'; none
is fitted here. What each paper says stands beside its law.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

NAN = math.nan
# Shen et al. 2024, section 3.1 and table 2: sequences of 4096 tokens.
POWER_SEQUENCE = 4096


@dataclass(frozen=True)
class Facts:
    """What is known of a run; NaN where nothing is.

    learning_rate: at its peak. rate_now: at this step. step: optimizer steps so far.
    tokens: planned; tokens_now: seen so far. parameters: without those of the vocabulary.
    decoupled: whether the weight decay is AdamW's; None where the optimizer does not say.
    """

    learning_rate: float = NAN
    rate_now: float = NAN
    weight_decay: float = NAN
    beta1: float = NAN
    beta2: float = NAN
    epsilon: float = NAN
    batch_size: float = NAN
    tokens_per_step: float = NAN
    steps: float = NAN
    tokens: float = NAN
    tokens_now: float = NAN
    dataset_size: float = NAN
    parameters: float = NAN
    warmup_steps: float = NAN
    family: str = ""
    decoupled: bool | None = None


@dataclass(frozen=True)
class Condition:
    """Under which a law was found; holds: None where the run does not tell."""

    sentence: str
    holds: bool | None


@dataclass(frozen=True)
class Law:
    """One number.

    of: what it is a prediction of, the same word for laws that can disagree; "" for a number that
        only says what was chosen. needs: fields of Facts. used: the run's own, if it has one.
    """

    name: str
    of: str
    needs: tuple[str, ...]
    value: Callable[[Facts], float]
    used: Callable[[Facts], float] = lambda facts: NAN
    conditions: Callable[[Facts], tuple[Condition, ...]] = lambda facts: ()


def within(name: str, value: float, low: float, high: float) -> Condition:
    """Whether a number lies in the range that a law was fitted over."""
    return Condition(
        f"{name} from {low:g} to {high:g}; here {value:g}",
        None if math.isnan(value) else low <= value <= high,
    )


def adam(facts: Facts) -> Condition:
    """Whether the optimizer is Adam."""
    holds = None if not facts.family else facts.family.startswith("adam")
    return Condition("trained with Adam", holds)


def decoupled(facts: Facts) -> tuple[Condition, ...]:
    """AdamW's weight decay, constant rate: what makes the weights an average of updates."""
    return adam(facts), Condition("weight decay decoupled from the gradient", facts.decoupled)


def half_life(beta: float) -> float:
    """Steps after which a gradient's weight in a moving average is halved; 0 for beta 0."""
    return math.log(2) / -math.log(beta) if beta > 0 else 0.0


def _step_law(facts: Facts) -> tuple[Condition, ...]:
    return (
        adam(facts),
        within("parameters", facts.parameters, 5.9e7, 1.1e9),
        within("tokens", facts.tokens, 1e9, 1e11),
        Condition("cosine decay to a fixed last rate of 1e-5 after 2000 steps of warm-up", None),
    )


def _power(facts: Facts) -> tuple[Condition, ...]:
    sequences = facts.tokens_per_step / POWER_SEQUENCE
    return (
        adam(facts),
        within("batches of 4096-token sequences", sequences, 16, 512),
        within("tokens", facts.tokens, 2e9, 2.56e11),
        Condition("maximal update parametrisation, with the multipliers of the paper", None),
        Condition("warm-up, a stable phase, and decay over the last tenth", None),
    )


def _share(facts: Facts) -> float:
    return facts.learning_rate * facts.weight_decay


def _timescale(facts: Facts) -> float:
    return 1 / _share(facts) if _share(facts) > 0 else math.inf


_DECAY = ("learning_rate", "weight_decay")

LAWS: tuple[Law, ...] = (
    # Wang & Aitchison 2024, arXiv:2405.13698; Bergsma et al. 2025, arXiv:2505.13738: the weights of
    # AdamW average its updates over 1/(ηλ) steps, B/(ηλD) of the data when D tokens are seen once.
    Law("timescale_steps", "", _DECAY, _timescale, conditions=decoupled),
    Law(
        "timescale_share",
        "",
        (*_DECAY, "steps"),
        lambda f: _timescale(f) / f.steps,
        conditions=decoupled,
    ),
    Law(
        "timescale_epochs",
        "",
        (*_DECAY, "batch_size", "dataset_size"),
        lambda f: _timescale(f) * f.batch_size / f.dataset_size,
        conditions=decoupled,
    ),
    # Marek et al. 2025, arXiv:2507.07101: keep this one, in tokens, when the batch size changes.
    Law("beta1_half_life_steps", "", ("beta1",), lambda f: half_life(f.beta1)),
    Law("beta2_half_life_steps", "", ("beta2",), lambda f: half_life(f.beta2)),
    Law(
        "beta2_half_life_tokens",
        "",
        ("beta2", "tokens_per_step"),
        lambda f: half_life(f.beta2) * f.tokens_per_step,
    ),
    # Ma & Yarats 2019, arXiv:1910.04209: as good as RAdam without its variance formula.
    Law(
        "warmup_steps",
        "warm-up in steps",
        ("beta2",),
        lambda f: 2 / (1 - f.beta2),
        lambda f: f.warmup_steps,
        lambda f: (adam(f),),
    ),
    # Li et al. 2025, arXiv:2503.04715: N without the vocabulary, D in tokens, B in tokens.
    Law(
        "step_law_learning_rate",
        "peak learning rate",
        ("parameters", "tokens"),
        lambda f: 1.79 * f.parameters**-0.713 * f.tokens**0.307,
        lambda f: f.learning_rate,
        _step_law,
    ),
    Law(
        "step_law_batch_tokens",
        "batch in tokens",
        ("tokens",),
        lambda f: 0.58 * f.tokens**0.571,
        lambda f: f.tokens_per_step,
        _step_law,
    ),
    # Shen et al. 2024, arXiv:2408.13359, eq. 5: the rate of the stable phase over the whole run.
    Law(
        "power_law_learning_rate",
        "peak learning rate",
        ("tokens_per_step", "tokens"),
        lambda f: f.tokens_per_step / POWER_SEQUENCE * 4.6 * f.tokens**-0.51,
        lambda f: f.learning_rate,
        _power,
    ),
    # The same, eq. 7 with a = 4, b = -0.51 and at most 0.02 (section 4): the rate now.
    Law(
        "power_scheduler_learning_rate",
        "learning rate now",
        ("tokens_per_step", "tokens_now"),
        lambda f: min(0.02, f.tokens_per_step / POWER_SEQUENCE * 4.0 * f.tokens_now**-0.51),
        lambda f: f.rate_now,
        _power,
    ),
)


def scaling(factor: float) -> tuple[Law, ...]:
    """What a batch `factor` times as large would need, by two rules for Adam and one for SGD."""
    noisy = Condition("gradients dominated by noise, see noise_scale", None)

    def adaptive(f: Facts) -> tuple[Condition, ...]:
        room = factor * (1 - min(f.beta1, f.beta2)) < 1
        known = not math.isnan(f.beta1 + f.beta2)
        return adam(f), noisy, Condition("both betas stay above 0", room if known else None)

    def plain(f: Facts) -> tuple[Condition, ...]:
        return Condition("trained with SGD", f.family == "sgd" if f.family else None), noisy

    return (
        # Malladi et al. 2022, arXiv:2205.10287: the square-root rule.
        Law(
            "sde_learning_rate",
            "learning rate of the scaled batch",
            ("learning_rate",),
            lambda f: math.sqrt(factor) * f.learning_rate,
            conditions=adaptive,
        ),
        Law("sde_beta1", "", ("beta1",), lambda f: 1 - factor * (1 - f.beta1), conditions=adaptive),
        Law(
            "sde_beta2",
            "beta2 of the scaled batch",
            ("beta2",),
            lambda f: 1 - factor * (1 - f.beta2),
            conditions=adaptive,
        ),
        Law(
            "sde_epsilon",
            "",
            ("epsilon",),
            lambda f: f.epsilon / math.sqrt(factor),
            conditions=adaptive,
        ),
        # The same, of SGD: the linear rule.
        Law(
            "linear_learning_rate",
            "learning rate of the scaled batch",
            ("learning_rate",),
            lambda f: factor * f.learning_rate,
            conditions=plain,
        ),
        # Marek et al. 2025: the half-life in tokens stays.
        Law(
            "half_life_beta2",
            "beta2 of the scaled batch",
            ("beta2",),
            lambda f: f.beta2**factor,
            conditions=lambda f: (adam(f),),
        ),
    )
