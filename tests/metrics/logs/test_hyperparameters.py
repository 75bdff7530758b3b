"""The laws against values of their papers and closed forms; what lacks or contradicts is said."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from dyntools.checkpoint import OptimizerState
from dyntools.measurement import Measurement, Status
from dyntools.metrics.logs.hyperparameters import measure
from dyntools.metrics.logs.laws import half_life
from dyntools.recipe import Recipe
from dyntools.snapshot import Snapshot, Tensors
from tests.metrics.logs.hand_made import log_of

GROUP = {
    "lr": 5e-4,
    "betas": (0.9, 0.95),
    "eps": 1e-8,
    "weight_decay": 0.1,
    "params": ("w",),
    "decoupled_weight_decay": True,
}
LEFT = ("lr", "initial_lr", "max_lr")  # what a scheduler leaves in a group
BIAS = {**GROUP, "weight_decay": 0.0, "params": ("b",)}


def snapshot(recipe: Recipe, *groups: dict[str, object], family: str = "adam") -> Snapshot:
    params = Tensors.of(
        {"w": torch.zeros(8, 4), "b": torch.zeros(8), "lm_head.weight": torch.zeros(99, 4)}
    )
    rates = ([0, 100, 200, 1000], [1e-5, 1e-3, 2e-3, 1e-3])
    log = log_of(learning_rate=rates)
    state = OptimizerState(family, groups, {}, "by name") if groups else None
    opener = None if state is None else lambda: state
    return Snapshot(1000, params, log=log, recipe=recipe, open_optimizer=opener)


def law(found: Measurement, name: str, what: str = "") -> float:
    at = found.coords["law"].index(name)
    return float((found.beside[what] if what else found.values)[at])


def test_timescale_of_adamw_in_steps_data_and_epochs() -> None:
    told = Recipe(batch_size=50, total_steps=20_000, dataset_size=1e5)
    found = measure(snapshot(told, BIAS, GROUP))
    assert law(found, "timescale_steps") == pytest.approx(1 / (2e-3 * 0.1))  # the logged peak
    assert law(found, "timescale_share") == pytest.approx(5000 / 20_000)
    assert law(found, "timescale_epochs") == pytest.approx(5000 * 50 / 1e5)
    assert law(found, "timescale_steps", "conditions_met") == 2
    by_tokens = replace(told, total_steps=None, tokens_per_step=4096, total_tokens=4096 * 20_000)
    share = law(measure(snapshot(by_tokens, GROUP)), "timescale_share")
    assert share == pytest.approx(4096 / (2e-3 * 0.1 * 4096 * 20_000))  # B / (ηλD)


def rated(steps: list[int], rates: list[float], **group: object) -> float:
    """The peak learning rate that is taken: 1 / (ηλ) at λ = 1."""
    params = Tensors.of({"w": torch.zeros(8, 4)})
    log = log_of(learning_rate=(steps, rates)) if steps else None
    state = OptimizerState("adam", ({**GROUP, "weight_decay": 1.0, **group},), {}, "by name")
    found = measure(Snapshot(1000, params, log=log, open_optimizer=lambda: state))
    return 1 / law(found, "timescale_steps")


def test_the_peak_that_a_warm_up_has_not_reached_is_the_optimizers() -> None:
    """A cosine to 3e-3 over 20 steps, logged at every 5th, looked at at the 10th."""
    assert rated([5, 10], [7.5e-4, 1.35e-3], initial_lr=3e-3) == pytest.approx(3e-3)
    assert rated([5, 10, 25], [7.5e-4, 1.35e-3, 2.99e-3], initial_lr=3e-3) == pytest.approx(3e-3)
    assert rated([], [], initial_lr=3e-3) == pytest.approx(3e-3)
    assert rated([5, 10], [7.5e-4, 1.35e-3]) == pytest.approx(1.35e-3)  # no scheduler left it
    assert rated([], []) == pytest.approx(5e-4)


def test_a_schedule_of_torch_knows_its_peak_from_the_first_step() -> None:
    """Of one cycle `initial_lr` is where it starts, a 25th of the peak."""
    schedulers = torch.optim.lr_scheduler
    for make in (
        lambda o: schedulers.OneCycleLR(o, max_lr=3e-3, total_steps=100),
        lambda o: schedulers.LambdaLR(o, lambda s: min(1.0, (s + 1) / 50)),
    ):
        optimizer = torch.optim.AdamW([torch.zeros(2, requires_grad=True)], lr=3e-3)
        schedule, logged = make(optimizer), []
        for _ in range(10):
            logged.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        group = {k: v for k, v in optimizer.param_groups[0].items() if k in LEFT}
        assert logged[-1] < 2e-3
        assert rated(list(range(10)), logged, **group) == pytest.approx(3e-3)


def test_a_schedule_with_other_factors_than_shares_is_read_off_the_log() -> None:
    """Noam's rates of a base rate of 1; and a base rate that is multiplied by 4."""
    noam = [1e-4, 2e-4, 3e-4, 2.6e-4]
    assert rated([0, 100, 200, 300], noam, initial_lr=1.0) == pytest.approx(3e-4)
    assert rated([0, 100], [1e-3, 4e-3], initial_lr=1e-3) == pytest.approx(4e-3)


def test_half_lives() -> None:
    assert half_life(0.5) == 1
    assert half_life(0) == 0
    assert 0.95 ** half_life(0.95) == pytest.approx(0.5)
    found = measure(snapshot(Recipe(batch_size=8, sequence_length=64), GROUP))
    assert law(found, "beta2_half_life_steps") == pytest.approx(math.log(0.5, 0.95))
    assert law(found, "beta2_half_life_tokens") == pytest.approx(512 * math.log(0.5, 0.95))


def test_the_half_life_in_tokens_is_kept_by_the_rule_that_keeps_it() -> None:
    """Four times the batch with β2^4 has the same half-life in tokens."""
    found = measure(snapshot(Recipe(tokens_per_step=1e3), GROUP), batch_factor=4.0)
    scaled = law(found, "half_life_beta2")
    kept = half_life(scaled) * 4e3
    assert kept == pytest.approx(law(found, "beta2_half_life_tokens"))


def test_step_law_by_its_exponents_and_one_point() -> None:
    """By hand at N = 1e9, D = 1e11: lg η = lg 1.79 - 9 · 0.713 + 11 · 0.307 = -2.787."""
    big = measure(snapshot(Recipe(parameters=1e9, total_tokens=1e11, tokens_per_step=1e6), GROUP))
    expected = math.log10(1.79) - 9 * 0.713 + 11 * 0.307
    assert math.log10(law(big, "step_law_learning_rate")) == pytest.approx(expected)
    assert law(big, "step_law_learning_rate") == pytest.approx(1.633e-3, rel=1e-3)
    assert law(big, "step_law_batch_tokens") == pytest.approx(0.58 * 10 ** (11 * 0.571))
    assert law(big, "step_law_learning_rate", "used") == 2e-3
    assert law(big, "step_law_learning_rate", "used_share") == pytest.approx(
        2e-3 / 1.633e-3, rel=1e-3
    )
    assert law(big, "step_law_learning_rate", "conditions_broken") == 0
    assert law(big, "step_law_learning_rate", "conditions_unknown") == 1


def test_power_law_at_the_example_of_the_paper() -> None:
    """Shen et al. 2024, section 3.2: ten trillion tokens in batches of 1024 give 0.0011."""
    told = Recipe(tokens_per_step=1024 * 4096, total_tokens=1e13)
    found = measure(snapshot(told, GROUP))
    assert law(found, "power_law_learning_rate") == pytest.approx(0.0011, abs=5e-5)
    assert law(found, "power_law_learning_rate", "conditions_broken") == 2  # batch, tokens
    now = 1024 * 4 * (1000 * 1024 * 4096) ** -0.51
    assert now > 0.02
    assert law(found, "power_scheduler_learning_rate") == 0.02  # its largest
    assert law(found, "power_scheduler_learning_rate", "used") == 1e-3  # the last logged
    late = measure(replace(snapshot(Recipe(tokens_per_step=4096 * 512), GROUP), step=10**6))
    expected = 512 * 4 * (1e6 * 4096 * 512) ** -0.51
    assert expected < 0.02
    assert law(late, "power_scheduler_learning_rate") == pytest.approx(expected)


def test_warm_up_and_where_the_log_had_its_peak() -> None:
    found = measure(snapshot(Recipe(), GROUP))
    assert law(found, "warmup_steps") == pytest.approx(40)
    assert law(found, "warmup_steps", "used") == 200
    assert law(measure(snapshot(Recipe(warmup_steps=7), GROUP)), "warmup_steps", "used") == 7


@pytest.mark.parametrize("factor", [4.0, 0.25])
def test_scaling_rules(factor: float) -> None:
    found = measure(snapshot(Recipe(), GROUP), batch_factor=factor)
    root = factor**0.5
    expected = {
        "sde_learning_rate": root * 2e-3,
        "sde_beta1": 1 - factor * 0.1,
        "sde_beta2": 1 - factor * 0.05,
        "sde_epsilon": 1e-8 / root,
        "linear_learning_rate": factor * 2e-3,
        "half_life_beta2": 0.95**factor,
    }
    for name, value in expected.items():
        assert law(found, name) == pytest.approx(value, rel=1e-12), name
    assert law(found, "linear_learning_rate", "conditions_broken") == 1  # it is Adam


def test_scaling_that_would_need_a_negative_beta_breaks_a_condition() -> None:
    found = measure(snapshot(Recipe(), GROUP), batch_factor=16.0)
    assert law(found, "sde_beta1") < 0
    assert law(found, "sde_beta1", "conditions_broken") == 1
    assert "both betas stay above 0" in found.skipped["sde_beta1: conditions"]


def test_laws_that_disagree_are_shown_as_disagreeing() -> None:
    told = Recipe(parameters=1e9, total_tokens=1e11, tokens_per_step=64 * 4096)
    found = measure(snapshot(told, GROUP))
    step, power = law(found, "step_law_learning_rate"), law(found, "power_law_learning_rate")
    factor = max(step / power, power / step)
    assert factor > 2
    for name, other in (("step_law", "power_law"), ("power_law", "step_law")):
        name, other = f"{name}_learning_rate", f"{other}_learning_rate"
        assert law(found, name, "disagreement") == pytest.approx(factor)
        assert found.skipped[f"{name}: disagreement"].startswith(other)
    assert law(found, "sde_beta2", "disagreement") == pytest.approx(0.95**2 / 0.9)
    assert "sde_beta2: disagreement" not in found.skipped  # within a factor of two
    assert np.isnan(law(found, "timescale_steps", "disagreement"))


def test_what_is_not_known_names_the_key_to_give() -> None:
    found = measure(snapshot(Recipe()))
    assert found.status[found.coords["law"].index("timescale_steps")] == Status.skipped
    assert "weight_decay" in found.skipped["timescale_steps"]
    assert "--config" in found.skipped["timescale_steps"]
    assert "total_tokens" in found.skipped["step_law_batch_tokens"]
    assert found.skipped["power_scheduler_learning_rate"].count("tokens_per_step") == 1
    told = Recipe(beta2=0.99, weight_decay=0.5, learning_rate=0.1, epsilon=1e-7)
    assert law(measure(snapshot(told)), "timescale_steps") == pytest.approx(20)
    assert law(measure(snapshot(told, GROUP)), "timescale_steps") == pytest.approx(20)  # told first


def test_no_weight_decay_is_an_endless_timescale() -> None:
    found = measure(snapshot(Recipe(), {**GROUP, "weight_decay": 0.0}))
    assert found.status[found.coords["law"].index("timescale_steps")] == Status.failed
    assert found.skipped["timescale_steps"] == "there is no weight decay"


def test_conditions_of_the_optimizer() -> None:
    sgd = {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4, "params": ("w",)}
    found = measure(snapshot(Recipe(), sgd, family="sgd"))
    assert law(found, "timescale_steps", "conditions_broken") == 1  # not Adam
    assert law(found, "timescale_steps", "conditions_unknown") == 1
    assert law(found, "linear_learning_rate", "conditions_broken") == 0
    coupled = measure(snapshot(Recipe(), {**GROUP, "decoupled_weight_decay": False}))
    assert "decoupled" in coupled.skipped["timescale_steps: conditions"]


def test_the_vocabulary_does_not_count() -> None:
    """w and b: 40 parameters; the head of 396 is left out."""
    found = measure(snapshot(Recipe(total_tokens=1e9), GROUP))
    assert law(found, "step_law_learning_rate") == pytest.approx(1.79 * 40**-0.713 * 1e9**0.307)
