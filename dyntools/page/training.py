"""Training: the losses of the log as a plot of the page, the best validation marked, and the rate.

Which losses, how they are smoothed and where the axis ends is decided in `views.losses`. A log of
many points is drawn by the lowest and the highest of each stretch, so that no spike is lost.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dyntools.log import Curve, Log, Role
from dyntools.page.axes import Axis, Steps, axis_for, steps_axis
from dyntools.page.curves import BELOW, GAP, LEFT, TOP, WIDTH, name_ends
from dyntools.page.plot import Box, Dot, Label, Path, Plot, letters, marks, path_of
from dyntools.views.losses import LOSSES, SMOOTH_FROM, curve_of, limits, lowest, smoothed
from dyntools.views.names import printable
from dyntools.views.numbers import number

COLOURS = {
    Role.train_loss: ("blue", "train"),
    Role.validation_loss: ("edge", "validation"),
    Role.train_accuracy: ("blue", "train"),
    Role.validation_accuracy: ("edge", "validation"),
    Role.learning_rate: ("grey", "learning rate"),
    Role.gradient_norm: ("grey", "gradient norm"),
}
HEIGHT, LOW = 300.0, 150.0
STRETCHES = 300  # of a curve, each drawn by its two extremes: two pixels of a wide screen
BEHIND = ((Role.train_accuracy, Role.validation_accuracy), (Role.learning_rate,),
          (Role.gradient_norm,))  # fmt: skip


def losses(log: Log, title: str = "Training and validation loss") -> Plot:
    """The plot of a drawable log."""
    found = [(role, curve) for role in LOSSES if (curve := curve_of(log, role)) is not None]
    plot, steps, axis = _plot(log, found, "loss", title, HEIGHT)
    validation = curve_of(log, Role.validation_loss)
    if validation is None:
        return plot
    best = lowest(validation)
    value, step = float(validation.values[best]), int(validation.steps[best])
    x, y = float(plot.box.x(steps([step]))[0]), float(plot.box.y(axis(value)))
    text = f"best validation {number(value)} at {printable(validation.unit)} {step}"
    left = x < (plot.box.left + plot.box.right) / 2
    label = Label(x + (6 if left else -6), plot.box.top + 8, text, "good", x, y,
                  "start" if left else "end")  # fmt: skip
    line = Path(f"M{x:.1f} {plot.box.top}V{plot.box.bottom}", "good")
    return replace(
        plot,
        lines=(*plot.lines, line),
        dots=(*plot.dots, Dot(x, y, "good", text)),
        labels=(*plot.labels, label),
        description=f"{plot.description} The {text}.",
    )


def others(log: Log) -> tuple[Plot, ...]:
    """Accuracies, learning rate and gradient norm, each where the log has it."""
    plots = []
    for roles in BEHIND:
        found = [(role, curve) for role in roles if (curve := curve_of(log, role)) is not None]
        if found and any(len(curve.steps) > 1 for _, curve in found):
            label = roles[0].replace("_", " ").removeprefix("train ")
            plots.append(_plot(log, found, label, label.capitalize(), LOW)[0])
    return tuple(plots)


def _plot(
    log: Log, found: list[tuple[Role, Curve]], label: str, title: str, height: float
) -> tuple[Plot, Steps, Axis]:
    named = [COLOURS[role][1] for role, _ in found] if len(found) > 1 else [""]
    colours = [COLOURS[role][0] for role, _ in found]
    right = letters(["validation"]) + GAP + 8  # the same for all, which share their steps
    box = Box(LEFT, TOP, WIDTH - right, height - BELOW)
    steps = steps_axis(np.concatenate([curve.steps for _, curve in found]))
    ends = limits([curve for _, curve in found]) if label == "loss" else None
    axis = axis_for(np.concatenate([c.values[np.isfinite(c.values)] for _, c in found]))
    axis = Axis(*ends) if ends is not None else axis
    lines, last = [], []
    for (_, curve), colour in zip(found, colours, strict=True):
        drawn, end = _lines(curve, colour, steps, axis, box)
        lines += drawn
        last.append(end)
    x_marks, y_marks = steps.marks(), axis.marks(5 if height > LOW else 3)
    x = np.array([point[0] for point in last]).max(keepdims=True)
    y = np.array([[point[1] for point in last]])
    return Plot(
        title,
        " ".join(_said(one[1], name or label) for one, name in zip(found, named, strict=True)),
        WIDTH,
        height,
        box,
        marks(x_marks, box.x([p for p, _ in x_marks])),
        marks(y_marks, box.y([p for p, _ in y_marks])),
        printable(log.unit),
        label,
        lines=tuple(lines),
        labels=name_ends(box, x, y, named, colours),
    ), steps, axis  # fmt: skip


def _lines(
    curve: Curve, colour: str, steps: Steps, axis: Axis, box: Box
) -> tuple[list[Path], tuple[float, float]]:
    """A curve of many points pale with its running median on top; and where it ends."""
    values = np.where(np.isfinite(curve.values), curve.values, np.nan)
    drawn = []
    if len(values) >= SMOOTH_FROM:
        drawn.append(_thinned(curve.steps, values, f"{colour} pale", steps, axis, box))
        values = smoothed(values)
    drawn.append(_thinned(curve.steps, values, colour, steps, axis, box))
    last = int(np.flatnonzero(np.isfinite(values))[-1])
    return drawn, (
        float(box.x(steps(curve.steps[last : last + 1]))[0]),
        float(box.y(axis(values[last]))),
    )


def _thinned(
    at: NDArray[np.int64],
    values: NDArray[np.float64],
    colour: str,
    steps: Steps,
    axis: Axis,
    box: Box,
) -> Path:
    kept = extremes(values, STRETCHES)
    return Path(path_of(box.x(steps(at[kept])), box.y(axis(values[kept]))), colour)


def extremes(values: NDArray[np.float64], stretches: int) -> NDArray[np.intp]:
    """Where the lowest and the highest of each stretch and both ends stand; all of few."""
    if len(values) <= 2 * stretches:
        return np.arange(len(values))
    kept = {0, len(values) - 1}
    for part in np.array_split(np.arange(len(values)), stretches):
        known = part[np.isfinite(values[part])]
        if len(known):
            kept |= {int(known[np.argmin(values[known])]), int(known[np.argmax(values[known])])}
        else:
            kept.add(int(part[0]))  # keeps the gap
    return np.array(sorted(kept), dtype=np.intp)


def _said(curve: Curve, name: str) -> str:
    known = curve.values[np.isfinite(curve.values)]
    course = f"{number(float(known[0]))} to {number(float(known[-1]))}"
    return printable(f"{name}: {course}, {curve.unit} {curve.steps[0]} to {curve.steps[-1]}.")
