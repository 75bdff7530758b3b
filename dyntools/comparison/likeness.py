"""Likeness: why the numbers of two sides must not be tested against one another, in sentences.

The rules are those of `checks.comparable`: unit, version, settings and probe of the metric, and the
shape of the tensor. Steps are left to the alignment, which has chosen them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dyntools.checks.comparable import unlike
from dyntools.checks.quantity import Quantity
from dyntools.checks.tensor_shapes import shape_of
from dyntools.comparison.entries import Label
from dyntools.comparison.side import Side
from dyntools.report import Report


def reasons_of(
    sides: Sequence[Side], metric: str, labels: Sequence[Label]
) -> tuple[tuple[str, ...], ...]:
    """For each side, for each entry, a sentence or ""; the first side is held against itself."""
    name = metric.partition(".")[0]
    having = [[r for r in side.reports if name in r.series] for side in sides]
    first = having[0][0]
    found = []
    for side, reports in zip(sides, having, strict=True):
        names = (sides[0].name, side.name)
        said = next((s for r in reports if (s := _unlike(first, r, metric, names))), "")
        found.append(tuple(said or _shapes(first, reports, name, x, names) for x in labels))
    return tuple(found)


def _unlike(first: Report, other: Report, metric: str, names: tuple[str, str]) -> str:
    """What differs in the metric as a whole. Steps may count in another unit; see `alignment`."""
    one, two = _quantity(first, metric), _quantity(other, metric)
    places = (f"in {names[0]}", f"in {names[1]}")
    return unlike(replace(one, step_unit=two.step_unit), two, places) or ""


def _quantity(report: Report, metric: str) -> Quantity:
    name, _, companion = metric.partition(".")
    series = report.series[name]
    return Quantity(
        metric=name,
        companion=companion,
        labels=(),
        reduction="last",
        samples=(),
        unit="" if companion else series.unit,
        version=series.version,
        settings={key: value for key, value in series.settings.items() if key != "probe"},
        step_unit=series.step_unit,
        probe=str(series.settings.get("probe", "")),
    )


def _shapes(
    first: Report, others: Sequence[Report], name: str, label: Label, names: tuple[str, str]
) -> str:
    dims = first.series[name].dims
    if "layer" not in dims:
        return ""
    at = (("layer", str(label[dims.index("layer")])),)
    one = shape_of([first.shapes], at)
    for other in others:
        two = shape_of([other.shapes], at)
        if one and two and one != two:
            a, b = ("×".join(map(str, shape)) for shape in (one, two))
            return f"The tensor has another shape: {a} in {names[0]}, {b} in {names[1]}."
    return ""
