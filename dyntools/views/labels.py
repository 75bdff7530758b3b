"""Labels: names written at the ends of lines, moved apart where they would overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from dyntools.views.apart import apart
from dyntools.views.style import SMALL

SPACING = 1.25  # lines of text, from one label to the next
GAP = 12  # points between the axes and the labels


def label_ends(
    axes: Axes,
    ends: Sequence[float],
    texts: Sequence[str],
    colours: Sequence[object],
    x: Sequence[float],
) -> None:
    """Write each text beside the end (x, y) of its line, to the right of the axes.

    Call when the limits of the axes are final; a thin line leads to a label that had to move.
    """
    if not texts:
        return
    axes.get_xlim(), axes.get_ylim()  # settles limits that autoscaling has left open
    transform = axes.transData
    pixels = np.array([transform.transform(end)[1] for end in zip(x, ends, strict=True)])
    per_point = axes.get_figure(root=True).dpi / 72  # type: ignore[union-attr]
    low, high = axes.transAxes.transform((0, 0))[1], axes.transAxes.transform((0, 1))[1]
    places = apart(pixels, SPACING * SMALL * per_point, low, high)
    right = axes.transAxes.transform((1, 0))[0]
    for text, end, y, pixel, place, colour in zip(
        texts, x, ends, pixels, places, colours, strict=True
    ):
        to_edge = (right - transform.transform((end, y))[0]) / per_point
        moved = (place - pixel) / per_point
        axes.annotate(
            text,
            (end, y),
            xytext=(to_edge + GAP, moved),
            textcoords="offset points",
            size=SMALL,
            color=colour,
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.5,
                "alpha": 0.6,
                "shrinkA": 1,
                "shrinkB": 1,
            },
        )
