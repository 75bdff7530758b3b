"""Embedding anisotropy: how much the rows of an embedding point the same way.

    value      = mean cosine over all pairs of different rows = (|Σ u|² - V) / (V (V - 1))
    mean_share = |mean row|² / mean |row|²: share of the squared length that all rows have in common

u: the V rows (V, d) at unit length, zero rows left out. 0 for independent directions, 1 when all
rows are parallel. Anisotropy of token embeddings is ascribed to Adam's second moment.
A parameter counts as a token embedding if it is a matrix with more rows than columns and a part of
its name is `wte` or `lm_head` or contains `embed`, and none speaks of a position.

Stollenwerk & Stollenwerk 2025, Better embeddings with Coupled Adam, arXiv:2502.08441; mean cosine:
Ethayarajh 2019, How contextual are contextualized word representations?, arXiv:1909.00512.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dyntools.linalg.blockwise import BLOCK
from dyntools.metrics.layers import Row, collect, failed
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor

    from dyntools.measurement import Measurement
    from dyntools.snapshot import Snapshot


def is_token_embedding(name: str, shape: tuple[int, ...]) -> bool:
    """Whether a parameter is a table of token vectors, one a row."""
    parts = name.lower().split(".")
    named = any(part in ("wte", "lm_head") or "embed" in part for part in parts)
    positional = any(
        part == "wpe" or part.startswith("pos") or "position" in part for part in parts
    )
    return named and not positional and len(shape) == 2 and shape[0] > shape[1]


def anisotropy(table: Tensor) -> tuple[float, float, int]:
    """Mean cosine of pairs of rows (V, d), share of the mean row, rows that are not zero."""
    directions, total = table.new_zeros(table.shape[1]).double(), 0.0
    rows = directions.clone()
    count = 0
    size = max(1, BLOCK // table.shape[1])
    for start in range(0, table.shape[0], size):
        values = table[start : start + size].double()
        lengths = values.norm(dim=1)
        there = lengths > 0.0
        directions += (values[there] / lengths[there, None]).sum(0)
        rows += values.sum(0)
        total += float(lengths @ lengths)
        count += int(there.sum())
    if count < 2:
        return math.nan, math.nan, count
    cosine = (float(directions @ directions) - count) / (count * (count - 1))
    return cosine, float(rows @ rows) / (count * total), count


def measure(snapshot: Snapshot) -> Measurement:
    """Mean pairwise cosine of the rows of every token embedding."""

    def row(name: str) -> Row:
        cosine, share, count = anisotropy(snapshot.tensor(name))
        if math.isnan(cosine):
            return failed("NaN or inf, or fewer than two rows that are not zero")
        return Row(cosine, beside={"mean_share": share, "rows": count})

    shapes = snapshot.params.shapes
    found = [name for name, shape in shapes.items() if is_token_embedding(name, shape)]
    why = "not a token embedding by name and shape"
    return collect(
        {name: row(name) for name in found},
        beside=("mean_share", "rows"),
        left_out={name: why for name in shapes if name not in found},
    )


METRIC = Metric(
    name="embedding_anisotropy",
    group="weights",
    version=1,
    measure=measure,
    needs=("params",),
    dims=("layer",),
    unit="cosine",
    what="mean cosine between the rows of each token embedding",
    paper="Stollenwerk & Stollenwerk 2025, arXiv:2502.08441",
    cost="one reading of the embeddings",
    layerwise=True,
)
