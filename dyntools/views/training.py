"""Training: the losses of the log, the best validation marked, the learning rate below."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dyntools.log import Curve, Log, Role
from dyntools.views.labels import label_ends
from dyntools.views.losses import SMOOTH_FROM, curve_of, drawable, limits, lowest, smoothed
from dyntools.views.numbers import number
from dyntools.views.steps import StepScale, scale_of
from dyntools.views.style import (
    BLUE,
    GREEN,
    GREY,
    HEAD,
    MARGIN,
    ORANGE,
    SMALL,
    heading,
    panel,
    quiet_grid,
    ticks,
    width_of,
)

__all__ = ["draw", "drawable", "training"]

WIDTH, HEIGHT, BELOW = 6.4, 3.1, 0.75  # inches: of the panels, of the losses, of the rate
LOSSES = ((Role.train_loss, BLUE, "train"), (Role.validation_loss, ORANGE, "validation"))


def training(log: Log, subtitle: str) -> Figure:
    """The figure of a drawable log."""
    left, below = MARGIN + 0.5, curve_of(log, Role.learning_rate) is not None
    bottom = 0.6 + (BELOW + 0.25 if below else 0)
    right = width_of(("validation",), SMALL) + 0.6
    figure = Figure(figsize=(left + WIDTH + right, bottom + HEIGHT + HEAD - 0.1))
    losses = panel(figure, left, bottom, WIDTH, HEIGHT)
    rate = panel(figure, left, 0.6, WIDTH, BELOW) if below else None
    draw(losses, rate, log)
    heading(figure, _title(log), subtitle, left=MARGIN, top=0.15)
    return figure


def draw(losses: Axes, rate: Axes | None, log: Log) -> None:
    """The losses, and the learning rate in the panel below them if there is one."""
    curves = [(curve_of(log, role), colour, name) for role, colour, name in LOSSES]
    drawn = [(curve, colour, name) for curve, colour, name in curves if curve is not None]
    scale = scale_of(np.concatenate([curve.steps for curve, _, _ in drawn]))
    ends = [_draw_loss(losses, scale, curve, colour) for curve, colour, _ in drawn]
    last = max(float(scale(curve.steps)[-1]) for curve, _, _ in drawn)
    first = min(float(scale(curve.steps)[0]) for curve, _, _ in drawn)
    span = (last - first) or 1.0
    losses.set_xlim(first - 0.02 * span, last + 0.02 * span)
    losses.set_ylabel("loss")
    _limit(losses, [curve for curve, _, _ in drawn])
    losses.yaxis.set_major_formatter(ticks())
    quiet_grid(losses)
    scale.mark(losses, log.unit)
    _mark_best(losses, scale, curve_of(log, Role.validation_loss))
    named = [i for i, end in enumerate(ends) if np.isfinite(end)]
    label_ends(
        losses,
        [ends[i] for i in named],
        [drawn[i][2] for i in named],
        [drawn[i][1] for i in named],
        [last] * len(named),
    )
    learning_rate = curve_of(log, Role.learning_rate)
    if rate is not None and learning_rate is not None:
        losses.set_xlabel("")
        losses.tick_params(labelbottom=False)
        _draw_rate(rate, scale, learning_rate, log.unit, losses)


def _draw_loss(axes: Axes, scale: StepScale, curve: Curve, colour: str) -> float:
    """A curve of many points pale, with its running median on top; returns where it ends."""
    x = scale(curve.steps)
    values = np.where(np.isfinite(curve.values), curve.values, np.nan)
    if len(values) >= SMOOTH_FROM:
        axes.plot(x, values, color=colour, alpha=0.22, linewidth=0.6)
        values = smoothed(values)
    axes.plot(
        x, values, color=colour, linewidth=1.8, marker="o" if len(x) == 1 else "", markersize=4
    )
    return float(values[np.flatnonzero(np.isfinite(values))[-1]])


def _limit(axes: Axes, curves: list[Curve]) -> None:
    ends = limits(curves)
    if ends is not None:
        axes.set_ylim(*ends)


def _mark_best(axes: Axes, scale: StepScale, curve: Curve | None) -> None:
    if curve is None:
        return
    best = lowest(curve)
    x, y, step = float(scale(curve.steps)[best]), float(curve.values[best]), curve.steps[best]
    axes.axvline(x, color=GREEN, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    axes.plot([x], [y], "o", color=GREEN, markersize=6, markeredgecolor="white", zorder=6)
    low, high = axes.get_xlim()
    on_left = x > (low + high) / 2
    axes.annotate(
        f"best validation {number(y)}\nat {curve.unit} {step}",
        (x, 0.97),
        xycoords=("data", "axes fraction"),
        xytext=(-6 if on_left else 6, 0),
        textcoords="offset points",
        ha="right" if on_left else "left",
        va="top",
        size=SMALL,
        color=GREEN,
    )


def _draw_rate(axes: Axes, scale: StepScale, curve: Curve, unit: str, above: Axes) -> None:
    x = scale(curve.steps)
    axes.fill_between(x, curve.values, color=GREY, alpha=0.18, linewidth=0)
    axes.plot(x, curve.values, color=GREY, linewidth=1.1)
    axes.set_xlim(above.get_xlim())
    top = float(np.nanmax(np.where(np.isfinite(curve.values), curve.values, np.nan)))
    axes.set_ylim(0, (top or 1.0) * 1.15)
    axes.set_yticks([0, top] if top > 0 else [0])
    axes.yaxis.set_major_formatter(ticks())
    axes.set_ylabel("learning\nrate", size=SMALL)
    axes.tick_params(length=3)
    scale.mark(axes, unit)


def _title(log: Log) -> str:
    if curve_of(log, Role.validation_loss) is None:
        return "Training loss"
    if curve_of(log, Role.train_loss) is None:
        return "Validation loss and its best point"
    return "Training and validation loss"
