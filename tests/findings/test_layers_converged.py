"""Layers that converged early: the bounds, the hindsight, and what freezing them really costs."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from types import ModuleType

import pytest

from dyntools.findings import Severity
from dyntools.findings.layers_converged import rule
from dyntools.report import Report
from tests.findings.courses import layers_course, numbers_course, together

STEPS = (0, 100, 200, 500, 1000)
EARLY, LATE = [0.6, 0.9, 0.97, 0.99, 1.0], [0.1, 0.4, 0.7, 0.9, 1.0]
FIXTURE = Path(__file__).parents[2] / "fixtures" / "runs" / "digits-cnn" / "problem.py"


def cka(error: float | None = 0.005, **layers: list[float]) -> Report:
    return layers_course("cka_to_final", layers, steps=STEPS, error=error)


def test_an_early_layer_beside_a_late_one() -> None:
    (found,) = rule(cka(stem=EARLY, head=LATE))
    assert found.severity is Severity.note
    assert found.sentence == (
        "stem puts out at step 200, 20 % of the run, what the last checkpoint does (CKA at least "
        "0.95 from there on); head is at 0.7 there."
    )
    assert found.evidence == ("stem: CKA 0.97 at step 200, at least 0.95 since step 200",)
    assert found.layers == ("stem",)
    assert "next run" in found.remedy
    assert "hindsight" in found.caveat


@pytest.mark.parametrize(("value", "fires"), [(0.961, True), (0.959, False)])
def test_the_lower_bound_counts_two_errors(value: float, fires: bool) -> None:
    assert bool(rule(cka(stem=[0.6, 0.9, value, 0.99, 1.0], head=LATE))) == fires


@pytest.mark.parametrize(("value", "fires"), [(0.889, True), (0.891, False)])
def test_some_layer_must_still_be_far_from_the_end(value: float, fires: bool) -> None:
    assert bool(rule(cka(stem=EARLY, head=[0.1, 0.4, value, 0.95, 1.0]))) == fires


def test_a_layer_that_leaves_again_has_not_converged() -> None:
    assert rule(cka(stem=[0.6, 0.9, 0.97, 0.9, 1.0], head=LATE)) == ()


def test_layers_that_converge_together_are_silent() -> None:
    assert rule(cka(a=EARLY, b=EARLY)) == ()
    assert rule(cka(a=LATE, b=LATE)) == ()


def test_a_layer_that_never_left_the_end_is_told_as_such() -> None:
    (found,) = rule(cka(stem=[0.98, 0.98, 0.98, 0.99, 1.0], head=LATE))
    assert found.evidence[0].endswith("since step 0 (the first measured)")


def test_two_steps_before_the_last_are_too_few() -> None:
    few = layers_course(
        "cka_to_final", {"a": [0.97, 0.98, 1.0], "b": [0.1, 0.5, 1.0]}, steps=(0, 100, 1000)
    )
    assert rule(few) == ()


def test_a_first_step_behind_a_fifth_of_the_run_tells_nothing() -> None:
    late = layers_course("cka_to_final", {"a": EARLY, "b": LATE}, steps=(210, 300, 400, 500, 1000))
    assert rule(late) == ()


def test_weights_that_still_move_are_told() -> None:
    moving = layers_course(
        "relative_update",
        {"stem.weight": [0.2], "stem.bias": [0.01], "head.weight": [0.1], "stemmed": [9.0]},
        steps=(1000,),
    )
    (found,) = rule(together(cka(stem=EARLY, head=LATE), moving))
    assert found.evidence[-1].endswith("as the median tensor: stem.weight")


def test_absent_numbers_are_no_error() -> None:
    assert rule(Report({}, {})) == ()
    assert rule(numbers_course("cka_to_final", [1.0], steps=(0,))) == ()
    assert rule(cka(a=[math.nan] * 5)) == ()
    assert rule(cka(error=None, stem=EARLY, head=LATE)) == ()
    assert rule(cka(error=math.nan, stem=EARLY, head=LATE)) == ()
    gap = [0.1, math.nan, 0.7, 0.9, 1.0]
    assert rule(cka(stem=EARLY, head=gap)) == ()
    assert rule(cka(stem=EARLY, head=LATE, gap=gap))[0].layers == ("stem",)


@pytest.mark.slow
def test_freezing_what_the_rule_names_costs_least() -> None:
    """On digits-cnn it names the first convolution and its norm, at 20 of 100 steps.

    Ten seeds: 0.05 of a validation loss of 1.11, against 0.45 for either of the other two thirds.
    """
    problem = _problem()
    full = _loss(problem, 0, ())
    costs = {layers: _loss(problem, 0, layers) - full for layers in ((0, 1), (4, 5), (9,))}
    assert costs[0, 1] < 0.25 * min(costs[4, 5], costs[9,])


def _problem() -> ModuleType:
    spec = importlib.util.spec_from_file_location("digits_cnn", FIXTURE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _loss(problem: ModuleType, seed: int, frozen: tuple[int, ...]) -> float:
    """The validation loss after 100 steps, with these layers held from the 20th on."""
    import torch

    (images, labels), (others, truth) = problem.data()
    loss = torch.nn.functional.cross_entropy
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = problem.network()
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 100)
    for step in range(100):
        model.train()
        for layer in frozen if step >= 20 else ():
            model[layer].requires_grad_(False).eval()
        taken = torch.randint(0, len(images), (30,), generator=generator)
        optimizer.zero_grad(set_to_none=True)
        loss(model(images[taken]), labels[taken]).backward()
        optimizer.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        return float(loss(model(others), truth))
