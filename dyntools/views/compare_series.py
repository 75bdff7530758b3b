"""Compare series: views over several runs: width transfer, coordinate check, sensitivity to lr."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from rich.text import Text

from dyntools.comparison.coordinate_check import SCALE, CoordinateCheck
from dyntools.comparison.lr_sensitivity import LrSensitivity, Sensitivity
from dyntools.comparison.powers import Power
from dyntools.comparison.width_transfer import LEAST, MOST, Curves, Verdict, WidthTransfer
from dyntools.views.cells import PICKED, QUIET
from dyntools.views.columns import Column
from dyntools.views.compare_sheet import Sheet
from dyntools.views.compare_tables import HEAD_WIDTH
from dyntools.views.names import shorten
from dyntools.views.numbers import MISSING, number

SHARPNESS_PAPER = "Noci et al. 2024, arXiv:2402.17457"
TOP_PAPER = "Robust Layerwise Scaling Rules 2025, arXiv:2510.15262"
SCALE_PAPER = "Yang et al. 2022, arXiv:2203.03466"
SAID = {
    Verdict.collapse: "lie on one another",
    Verdict.unclear: "lie as far apart as seeds of one width may",
    Verdict.within_seeds: "lie no further apart than their seeds",
    Verdict.apart: "do not lie on one another",
    Verdict.unknown: "are not known",
}
RATE_PAPER = "Wortsman et al. 2023, arXiv:2309.14322"


def width_sheets(found: WidthTransfer) -> list[Sheet]:
    """The last values of every curve with their spread, and one course in full."""
    heads = _heads(found.sides, found.widths.values)
    columns = [
        Column(head, [number(float(c.values[i, -1])) for c in found.curves])
        for i, head in enumerate(heads)
    ]
    columns += [
        Column("spread\nat the end", [_percent(float(c.spread[-1])) for c in found.curves]),
        Column("spread\nmedian", [_percent(c.median_spread) for c in found.curves]),
        Column("verdict", [_verdict(c) for c in found.curves], right=False),
        *_p_column(found.curves),
        Column("exponent of\nthe width", [_power(c.power) for c in found.curves]),
    ]
    said = f"{found.sentence} {found.widths.sentence} {SHARPNESS_PAPER}; {TOP_PAPER}."
    names = [f"{c.metric} {c.entry}".strip() for c in found.curves]
    summary = Sheet("Width transfer", said, "quantity", names, columns, _width_notes(found))
    return [summary, _course(found.curves[0], heads)]


def _width_notes(found: WidthTransfer) -> list[str]:
    first = found.curves[0]
    notes = [
        f"The curves of {first.metric} {SAID[first.verdict]}: median spread"
        f" {_percent(first.median_spread)}, largest {_percent(_largest(first))}."
    ]
    if math.isfinite(first.smallest_p):
        notes.append(
            "p: of equal means of all widths, analysis of variance of the logarithms over the"
            " seeds; the smallest behind the start, adjusted over the places (Holm)."
        )
    else:
        notes.append(
            f"One run a width: up to {_percent(LEAST)} (median behind the start) counts as"
            f" collapse, above {_percent(MOST)} as apart. Four seeds of one recipe span that much;"
            " seeds of every width decide it: --group NAME='GLOB'."
        )
    return [
        *notes,
        "spread: (largest - smallest) / median of the widths at one fraction of the training.",
        "Where curves collapse, the rate that is best for one width is a candidate for another.",
    ]


def _largest(curves: Curves) -> float:
    known = curves.spread[curves.behind & np.isfinite(curves.spread)]
    return float(known.max()) if len(known) else math.nan


def _course(curves: Curves, heads: Sequence[str]) -> Sheet:
    columns = [
        Column(head, [number(float(x)) for x in curves.values[i]]) for i, head in enumerate(heads)
    ]
    columns.append(Column("spread", [_percent(float(x)) for x in curves.spread]))
    names = [f"{100 * place:.3g} %" for place in curves.places]
    title = f"{curves.metric} {curves.entry}".strip() + " along the training"
    return Sheet(title, "", "of training", names, columns)


def coordinate_sheets(found: CoordinateCheck) -> list[Sheet]:
    """The exponent of every layer at the first and at the last place."""
    heads = _heads(found.sides, found.widths.values)
    columns = [
        Column(head, [number(fit.values[i]) for fit in found.fits]) for i, head in enumerate(heads)
    ]
    columns += [
        Column(f"exponent\n{found.at[1]}", [_power(fit.last) for fit in found.fits]),
        Column("", [_flat(fit.last) for fit in found.fits], right=False),
        Column(f"exponent\n{found.at[0]}", [_power(fit.first) for fit in found.fits]),
    ]
    notes = [found.note] if found.note else []
    if found.metric == SCALE:
        notes.append("In a parametrisation that transfers the exponent is near 0 in every layer.")
    if any(fit.last.points == 2 for fit in found.fits):
        notes.append("Two widths give an exponent without an error: add a third.")
    left_out = sum(fit.last.left_out for fit in found.fits)
    if left_out:
        notes.append(f"left out of the fits, being no positive number: {left_out} points")
    notes.append("flat: zero lies within two standard errors of the exponent.")
    said = f"{found.metric} ~ width^exponent, least squares of the logarithms. {SCALE_PAPER}."
    said = f"{said} {found.sentence} {found.widths.sentence}"
    layers = [fit.layer for fit in found.fits]
    return [Sheet("Coordinate check", said, "layer", layers, columns, notes)]


def sensitivity_sheets(found: LrSensitivity) -> list[Sheet]:
    """The loss of every recipe at every rate, then what is lost on average."""
    rates = sorted({point.rate for one in found.recipes for point in one.points})
    names = [one.recipe or "loss" for one in found.recipes]
    columns = []
    for name, one in zip(shorten(names, HEAD_WIDTH).names, found.recipes, strict=True):
        columns.append(Column(name, [_loss(one, rate) for rate in rates]))
    said = f"{found.loss.replace('_', ' ')} at the end, or at the start where that is less."
    notes = [_sentence(one, len(found.recipes) > 1) for one in found.recipes]
    if any(point.diverged for one in found.recipes for point in one.points):
        notes.append("! ended no lower than it began, and counts as its start")
    if not found.one_grid:
        notes.append("The recipes were tried at different rates: their numbers do not compare.")
    if any(one.at_edge for one in found.recipes):
        notes.append("Where the best rate is at an edge of the grid, a better one may lie beyond.")
    notes.append(
        "LR sensitivity: the mean over the grid of min(loss, loss at the start), minus the best."
        " Lower is better; another grid gives another number."
    )
    labels = [f"{rate:.3g}" for rate in rates]
    said = f"{said[0].upper()}{said[1:]} {RATE_PAPER}."
    return [Sheet("Learning-rate sensitivity", said, "learning rate", labels, columns, notes)]


def _loss(one: Sensitivity, rate: float) -> Text:
    point = next((p for p in one.points if p.rate == rate), None)
    if point is None:
        return Text(MISSING, QUIET)
    mark = "!" if point.diverged else " "
    return Text(number(point.counted) + mark, PICKED if point is one.best else "")


def _sentence(one: Sensitivity, named: bool) -> str:
    start = f"{one.recipe}: " if named else ""
    low, high = one.points[0].rate, one.points[-1].rate
    return (
        f"{start}LR sensitivity {number(one.value)} over {len(one.points)} rates from {low:.3g} to"
        f" {high:.3g}; best {number(one.best.counted)} at {one.best.rate:.3g}."
    )


def _heads(sides: Sequence[str], widths: Sequence[float]) -> list[str]:
    short = shorten(sides, HEAD_WIDTH).names
    return [f"{name}\n{width:g}" for name, width in zip(short, widths, strict=True)]


def _power(power: Power) -> str:
    if math.isnan(power.exponent):
        return MISSING
    error = power.error if np.isfinite(power.error) else None
    text = number(power.exponent, error)
    return text if power.exponent < 0 else f"+{text}"


def _flat(power: Power) -> Text:
    if power.flat is None:
        return Text("no error", QUIET)
    return Text("flat", QUIET) if power.flat else Text("grows" if power.exponent > 0 else "falls")


def _verdict(curves: Curves) -> Text:
    apart = curves.verdict is Verdict.apart
    return Text(curves.verdict.value, PICKED if apart else "")


def _p_column(all_curves: Sequence[Curves]) -> list[Column]:
    smallest = [curves.smallest_p for curves in all_curves]
    if not np.isfinite(smallest).any():
        return []
    return [Column("p", [number(p, digits=2) for p in smallest])]


def _percent(share: float) -> str:
    return MISSING if math.isnan(share) else f"{number(100 * share, digits=2)} %"
