"""The figure of ci-gate.py: one dot a run, for two curves of the log, two curvatures, two ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from ci_gate_runs import BASE, CURVATURE, RANKS
from ci_gate_verdicts import CURVES, WIDE, Judged, Runs, last, limits, quantities
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dyntools.checks.limit import Limit
from dyntools.views.style import BLUE, GREY, ORANGE, PALE, quiet_grid, styled

FIGURE = Path(__file__).parent / "figures" / "ci-gate.png"
SHOWN = (  # in the figure
    *("training loss", "validation loss", "hessian_trace@mean"),
    *("hessian_top[block=all,rank=1]@mean", "effective_rank[layer=first.weight]@mean"),
    "update_rank[layer=second.weight]@mean",
)


def draw(runs: Runs, found: Sequence[Judged], spread: Mapping[str, float]) -> None:
    """One dot a run: two curves of the log, two curvatures, two ranks."""
    recipes = [BASE, *(one.recipe for one in found)]
    failed = {(one.recipe, c.quantity) for one in found for c in one.failed(CURVATURE + RANKS)}
    values = {recipe: quantities(runs[recipe]) for recipe in recipes}
    with styled():
        figure = Figure(figsize=(9.0, 5.4), layout="constrained")
        for axes, shown in zip(figure.subplots(2, 3, sharex=True).flat, SHOWN, strict=True):
            for at, recipe in enumerate(recipes):
                if shown in CURVES:
                    dots = [last(report, CURVES[shown]) for report in runs[recipe]]
                else:
                    dots = [sample.value for sample in values[recipe][shown].samples]
                colour = ORANGE if (recipe, shown) in failed else BLUE
                axes.plot(np.full(len(dots), at), dots, "o", ms=3.5, color=colour, alpha=0.6, mew=0)
            if shown in spread:
                _band(axes, values[BASE][shown].value, limits({shown: spread[shown]}, WIDE)[0])
            _dress(axes, shown, [recipe.name for recipe in recipes])
        FIGURE.parent.mkdir(exist_ok=True)
        figure.savefig(FIGURE, dpi=96, metadata={"Software": None})


def _band(axes: Axes, middle: float, limit: Limit) -> None:
    half = abs(middle) * (limit.relative or 0.0)
    axes.axhspan(middle - half, middle + half, color=PALE, zorder=0)
    axes.axhline(middle, color=GREY, lw=0.8, ls="--", zorder=1)


def _dress(axes: Axes, shown: str, names: Sequence[str]) -> None:
    axes.set_title(short(shown), fontsize=8.5, loc="left")
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    quiet_grid(axes)


def short(key: str) -> str:
    """`update_rank[layer=first.weight]@mean` as `update_rank, first.weight`."""
    name, _, inside = key.partition("@")[0].partition("[")
    layer = next((part[6:] for part in inside.rstrip("]").split(",") if "layer=" in part), "")
    return f"{name}, {layer}" if layer else name
