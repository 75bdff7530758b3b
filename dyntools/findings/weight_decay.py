"""Weight decay: the strength that a report knows of, for rules whose remedy depends on it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from dyntools.findings.rows import last_layers
from dyntools.report import Report


def weight_decay(report: Report) -> float:
    """What the recipe tells, else the largest that the optimizer has for a tensor; NaN if neither.

    The largest, because biases and gains are usually left out of it.
    """
    recipe = report.attributes.get("recipe")
    told = recipe.get("weight_decay") if isinstance(recipe, Mapping) else None
    if isinstance(told, int | float) and math.isfinite(told):
        return float(told)
    layers = last_layers(report, "trust_ratio")
    held = np.array([]) if layers is None else layers["weight_decay"]
    held = held[np.isfinite(held)]
    return float(held.max()) if held.size else math.nan
