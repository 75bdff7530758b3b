"""The figures of overfitting.md: what OUI and rotation go with; the gap, predicted and by rank."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from overfitting_relations import (
    BAND,
    gap,
    of,
    told,
    widening,
)
from overfitting_runs import (
    DECAYS,
    EARLY,
    GAP_RATES,
    RATES,
    SETS,
    SETTINGS,
    Results,
)

from dyntools.views.style import BLUE, GREEN, GREY, INK, ORANGE, PALE, quiet_grid, styled, ticks

CHOICE, GAP = (
    Path(__file__).parent / "figures" / f"overfitting{part}.png" for part in ("", "-gap")
)
PINK = "#CC79A7"  # Okabe & Ito
COLOURS = dict(zip(SETTINGS, (BLUE, GREEN, INK, ORANGE, PINK), strict=True))


def draw_choice(results: Results) -> None:
    """OUI over weight decay; accuracy over OUI; accuracy over rotation."""
    with styled():
        figure = Figure(figsize=(10.0, 3.6), layout="constrained")
        decay, oui, rotation = figure.subplots(1, 3)
        decay.axhspan(*BAND, color=PALE)
        oui.axvspan(*BAND, color=PALE)
        places = range(len(DECAYS))
        for setting, runs in results.decayed.items():
            colour, test = COLOURS[setting], of(runs, "test")
            found = of(runs, "oui")
            decay.plot(places, found.mean(1), "o-", ms=4, color=colour, label=told(setting))
            decay.plot(places, of(runs, "oui", EARLY).mean(1), ":", color=colour, lw=1.2)
            oui.plot(found, test, "o", ms=2.5, alpha=0.35, mew=0, color=colour)
            oui.plot(found.mean(1), test.mean(1), "-", lw=1, color=colour)
            best = int(test.mean(1).argmax())
            oui.plot(found.mean(1)[best], test.mean(1)[best], "o", ms=7, mfc="white", color=colour)
        decay.set(xlabel="weight decay", ylabel="OUI: end (line), a tenth (dots)", ylim=(0, 1))
        decay.set_xticks(places, [f"{value:g}" for value in DECAYS])
        oui.set(xlabel="OUI at the end", ylabel="held-out accuracy, true labels")
        for (noise, runs), colour in zip(results.turned.items(), (BLUE, GREEN), strict=True):
            x, y = runs[:, :, 3:].mean(2), runs[:, :, 1]
            rotation.plot(x, y, "o", ms=2.5, alpha=0.35, mew=0, color=colour)
            rotation.plot(x.mean(1), y.mean(1), "o-", ms=4, lw=1, color=colour)
            ends = (f" rate {RATES[0]:g}, {100 * noise:.0f} % noise", f"rate {RATES[-1]:g} ")
            for i, text, side in zip((0, -1), ends, ("left", "right"), strict=True):
                at, height = x[i].mean() + (0.01, -0.01)[i], y[i].mean()
                rotation.text(at, height, text, ha=side, va="center", size=7, color=colour)
        rotation.set_xlim(-0.08, 0.95)
        rotation.set(xlabel="mean rotation of the kernels", ylabel="held-out accuracy, true labels")
        _finish(figure, (decay, oui, rotation), CHOICE)


def draw_gap(results: Results) -> None:
    """Measured over predicted widening of the gap; gap over the rank of the features."""
    with styled():
        figure = Figure(figsize=(9.0, 3.8), layout="constrained")
        left, right = figure.subplots(1, 2)
        colours = dict(zip(SETS, (BLUE, GREEN, ORANGE), strict=True))
        for descent, runs in results.growth.items():
            wider, predicted = (each.mean(0)[1:] for each in widening(runs))
            colour = colours[descent.size, descent.noise]
            name = f"N {descent.size}, {100 * descent.noise:.0f} % noise"
            shown = name if not descent.small and descent.rate == GAP_RATES[0] else None
            dashes = "--" if descent.small else "-"
            left.loglog(predicted, wider, dashes, label=shown, color=colour, lw=1.1)
        ends = np.array([2e-4, 2.0])
        left.plot(ends, ends, color=GREY, lw=0.8)
        left.text(0.4, 0.75, "equal", color=GREY, ha="right", size=8)
        left.set(xlabel="widening predicted: sum of gap_growth", ylabel="widening measured (loss)")
        left.legend(
            frameon=False, fontsize=7.5, title="all at once; dashed: 20", title_fontsize=7.5
        )
        right.set(yscale="log")
        for axis in (left.xaxis, left.yaxis, right.yaxis):
            axis.set_major_formatter(ticks())
            axis.set_minor_formatter("")
        for setting, runs in results.decayed.items():
            rank, y, colour = of(runs, "rank"), gap(runs), COLOURS[setting]
            right.plot(rank, y, "o", ms=2.5, alpha=0.35, mew=0, color=colour)
            right.plot(rank.mean(1), y.mean(1), "-", lw=1, color=colour, label=told(setting))
            right.plot(rank.mean(1)[0], y.mean(1)[0], "o", ms=7, mfc="white", color=colour)
        right.set(xlabel="rank of the last features, at the end", ylabel="gap at the end (loss)")
        right.legend(frameon=False, fontsize=7.5, title="ring: no decay", title_fontsize=7.5)
        _finish(figure, (left, right), GAP)


def _finish(figure: Figure, panels: Sequence[Axes], path: Path) -> None:
    for axes in panels:
        quiet_grid(axes)
    if path == CHOICE:
        panels[0].legend(frameon=False, fontsize=7, loc="lower left")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=96, metadata={"Software": None})
