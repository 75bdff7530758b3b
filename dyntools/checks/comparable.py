"""Comparable: whether two quantities are the same measurement of two trainings.

Probe, metric version, settings, unit, the shape of the layer, the steps, and the part of the
training that these are must agree; then a difference is one of the training. The device and the
number of threads may differ: they change a number by rounding, which is in its error, while the
same training on another device already differs by more. The floating-point type of the loss is part
of the probe.
"""

from __future__ import annotations

from collections.abc import Mapping

from dyntools.checks.quantity import Quantity, Sample
from dyntools.checks.training_end import SAME


def reason(before: Quantity, now: Quantity) -> str | None:
    """Why two quantities must not be compared, as a sentence; None where they may be."""
    return unlike_or_mixed(before, now) or other_steps(before, now) or other_parts(before, now)


def pooled(now: Quantity) -> str | None:
    """Why the reports of one side must not be judged together by a bound; None where they may be.

    Steps at which a report has no number are no other steps: they are told apart in `deciding`.
    """
    if now.mixed:
        return f"The reports do not belong together. {now.mixed}"
    meant = {tuple(sorted({*s.steps, *s.missed, *s.skipped})): s for s in now.usable}
    if len(meant) > 1:
        one, two = list(meant.values())[:2]
        return (
            "The reports were taken at other steps of the training: "
            f"{_span(one, now)}, and {_span(two, now)}."
        )
    return other_parts(None, now)


def unlike_or_mixed(before: Quantity, now: Quantity) -> str | None:
    """`reason` without the steps, which a number that could not be computed changes too."""
    if before.mixed:
        return f"The reports of the baseline do not belong together. {before.mixed}"
    if now.mixed:
        return f"The reports do not belong together. {now.mixed}"
    return unlike(before, now)


def unlike(
    before: Quantity, now: Quantity, names: tuple[str, str] = ("in the baseline", "now")
) -> str | None:
    """The first thing that must agree and does not, the steps aside.

    names: how the sentence calls the two sides, behind what each has.
    """
    there, here = names
    for what, one, two in (
        ("unit", before.unit, now.unit),
        ("version of the metric", before.version, now.version),
        ("unit of the steps", before.step_unit, now.step_unit),
    ):
        if one != two:
            return f"The {what} differs: {one} {there}, {two} {here}."
    if before.probe != now.probe:
        return (
            f"The loss was probed otherwise: {before.probe or 'no probe'} {there}, "
            f"{now.probe or 'no probe'} {here}."
        )
    if setting := _other_setting(before.settings, now.settings, names):
        return setting
    if before.shape and now.shape and before.shape != now.shape:
        one, two = ("×".join(map(str, shape)) for shape in (before.shape, now.shape))
        return f"The tensor has another shape: {one} {there}, {two} {here}."
    return None


def _other_setting(
    before: Mapping[str, object], now: Mapping[str, object], names: tuple[str, str]
) -> str | None:
    for name in dict.fromkeys((*before, *now)):
        one, two = (side.get(name, "not given") for side in (before, now))
        if one != two:
            return f"The setting {name} differs: {one} {names[0]}, {two} {names[1]}."
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


def other_parts(before: Quantity | None, now: Quantity) -> str | None:
    """Where the same steps are other parts of trainings that differ in length.

    Nothing is said where a report does not know its end, as in a baseline file of schema 1.0.
    """
    earlier, later = [] if before is None else _ends(before), _ends(now)
    if len({*earlier, *later}) <= 1:
        return None
    step = max(sample.steps[-1] for sample in now.usable)
    one = (earlier or later)[0]
    two = max((*later, *earlier), key=lambda end: abs(step / max(end, 1) - step / max(one, 1)))
    if abs(step / max(two, 1) - step / max(one, 1)) <= SAME:
        return None
    place, other = (f"{now.step_unit} {step} of {end}" for end in (one, two))
    if earlier and two in later:
        words = "They were taken at other parts of the training"
        return f"{words}: {place} in the baseline, {other} now."
    whose = " of the baseline" if earlier else ""
    words = f"The reports{whose} were taken at other parts of the training"
    return f"{words}: {place}, and {other}."


def _ends(side: Quantity) -> list[int]:
    """Of the trainings whose sample counts, those that are known."""
    known = zip(side.samples, side.ends, strict=True) if side.ends else ()
    return [end for sample, end in known if sample.usable and end is not None]


def _span(sample: Sample, quantity: Quantity) -> str:
    steps, unit = sample.steps, quantity.step_unit
    if len(steps) == 1:
        return f"{unit} {steps[0]}"
    return f"{len(steps)} {unit}s from {steps[0]} to {steps[-1]}"
