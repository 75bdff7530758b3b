"""Comparable: whether two quantities are the same measurement of two trainings.

Probe, metric version, settings, unit, the shape of the layer and the steps must agree; then a
difference is one of the training. The device and the number of threads may differ: they change a
number by rounding, which is in its error, while the same training on another device already differs
by more. The floating-point type of the loss is part of the probe.
"""

from __future__ import annotations

from collections.abc import Mapping

from dyntools.checks.quantity import Quantity, Sample


def reason(before: Quantity, now: Quantity) -> str | None:
    """Why two quantities must not be compared, as a sentence; None where they may be."""
    return unlike_or_mixed(before, now) or other_steps(before, now)


def unlike_or_mixed(before: Quantity, now: Quantity) -> str | None:
    """`reason` without the steps, which a number that could not be computed changes too."""
    if before.mixed:
        return f"The reports of the baseline do not belong together. {before.mixed}"
    if now.mixed:
        return f"The reports do not belong together. {now.mixed}"
    return unlike(before, now)


def unlike(before: Quantity, now: Quantity) -> str | None:
    """The first thing that must agree and does not, the steps aside."""
    for what, one, two in (
        ("unit", before.unit, now.unit),
        ("version of the metric", before.version, now.version),
        ("unit of the steps", before.step_unit, now.step_unit),
    ):
        if one != two:
            return f"The {what} differs: {one} in the baseline, {two} now."
    if before.probe != now.probe:
        return (
            f"The loss was probed otherwise: {before.probe or 'no probe'} in the baseline, "
            f"{now.probe or 'no probe'} now."
        )
    if setting := _other_setting(before.settings, now.settings):
        return setting
    if before.shape and now.shape and before.shape != now.shape:
        one, two = ("×".join(map(str, shape)) for shape in (before.shape, now.shape))
        return f"The tensor has another shape: {one} in the baseline, {two} now."
    return None


def _other_setting(before: Mapping[str, object], now: Mapping[str, object]) -> str | None:
    for name in dict.fromkeys((*before, *now)):
        one, two = (side.get(name, "not given") for side in (before, now))
        if one != two:
            return f"The setting {name} differs: {one} in the baseline, {two} now."
    return None


def other_steps(before: Quantity, now: Quantity) -> str | None:
    """Where the numbers were taken at other steps, so at another part of the schedule."""
    usable = (*before.usable, *now.usable)
    if len({sample.steps for sample in usable}) <= 1:
        return None
    one = before.usable[0]
    two = next((s for s in now.usable if s.steps != one.steps), None)
    if two is None:
        two = next(s for s in before.usable if s.steps != one.steps)
        return (
            "The reports of the baseline were taken at other steps of the training: "
            f"{_span(one, before)}, and {_span(two, before)}."
        )
    return (
        "They were taken at other steps of the training: "
        f"{_span(one, before)} in the baseline, {_span(two, now)} now."
    )


def _span(sample: Sample, quantity: Quantity) -> str:
    steps, unit = sample.steps, quantity.step_unit
    if len(steps) == 1:
        return f"{unit} {steps[0]}"
    return f"{len(steps)} {unit}s from {steps[0]} to {steps[-1]}"
