"""Why two quantities must not be compared."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dyntools.checks.comparable import reason, unlike
from dyntools.checks.quantity import Quantity, Sample

ONE = Quantity(
    metric="hessian_top",
    companion="",
    labels=(("rank", "1"),),
    reduction="last",
    samples=(Sample(1.0, steps=(100,)),),
    unit="1",
    version=1,
    settings={"k": 10},
    step_unit="step",
    probe="ab: 300 examples, eval, float32",
    shape=(3, 4),
    ends=(200,),
)


def test_the_sides_are_called_as_asked() -> None:
    for other, said in (
        (replace(ONE, version=2), "The version of the metric differs: 1 in a, 2 in b."),
        (replace(ONE, settings={"k": 5}), "The setting k differs: 10 in a, 5 in b."),
        (replace(ONE, probe=""), f"otherwise: {ONE.probe} in a, no probe in b."),
        (replace(ONE, shape=(4, 4)), "another shape: 3×4 in a, 4×4 in b."),
    ):
        assert (unlike(ONE, other, ("in a", "in b")) or "").endswith(said)


def test_the_same_measurement_of_another_training_may_be_compared() -> None:
    both = (Sample(9.0, 0.1, steps=(100,)), Sample(2.0, steps=(100,)))
    other = replace(ONE, samples=both, ends=(200, None))
    assert reason(ONE, other) is None
    assert reason(ONE, replace(ONE, shape=())) is None  # a report that does not know the shapes


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"unit": "loss"}, "The unit differs: 1 in the baseline, loss now."),
        ({"version": 2}, "The version of the metric differs: 1 in the baseline, 2 now."),
        ({"step_unit": "epoch"}, "The unit of the steps differs: step in the baseline, epoch now."),
        ({"probe": "cd: 300 examples, eval, float32"}, "cd: 300 examples, eval, float32 now."),
        ({"probe": "ab: 300 examples, eval, float64"}, "ab: 300 examples, eval, float64 now."),
        ({"probe": ""}, "float32 in the baseline, no probe now."),
        ({"settings": {"k": 20}}, "The setting k differs: 10 in the baseline, 20 now."),
        ({"settings": {}}, "The setting k differs: 10 in the baseline, not given now."),
        ({"settings": {"k": 10, "r": 1}}, "not given in the baseline, 1 now."),
        ({"shape": (3, 5)}, "another shape: 3×4 in the baseline, 3×5 now."),
        ({"ends": (300,)}, "step 100 of 200 in the baseline, step 100 of 300 now."),
        ({"samples": (Sample(1.0, steps=(80,)),)}, "step 100 in the baseline, step 80 now."),
        (
            {"samples": (Sample(1.0, steps=(0, 50, 80)),)},
            "step 100 in the baseline, 3 steps from 0 to 80 now.",
        ),
        ({"mixed": "The unit differs."}, "The reports do not belong together. The unit differs."),
    ],
)
def test_each_thing_that_must_agree(change: dict[str, object], sentence: str) -> None:
    found = reason(ONE, replace(ONE, **change))  # type: ignore[arg-type]
    assert found is not None
    assert found.endswith(sentence)


def test_a_baseline_that_does_not_belong_together() -> None:
    samples = (Sample(1.0, steps=(100,)), Sample(1.0, steps=(90,)))
    longer = reason(replace(ONE, samples=samples[:1] * 2, ends=(200, 400)), ONE)
    assert longer is not None
    assert longer.startswith("The reports of the baseline were taken at other parts")
    assert longer.endswith("step 100 of 200, and step 100 of 400.")
    found = reason(replace(ONE, samples=samples, ends=()), ONE)
    assert found is not None
    assert "step 100, and step 90" in found
    mixed = reason(replace(ONE, mixed="The unit differs."), ONE)
    assert mixed == "The reports of the baseline do not belong together. The unit differs."
