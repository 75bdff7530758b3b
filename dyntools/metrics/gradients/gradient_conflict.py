"""gradient_conflict: whether groups of examples pull in one direction or against each other.

    value = cos(h_a, h_r)     h_a the mean gradient of group a, h_r that of all other groups
    null ± spread    of the same for a random group as large: mean and standard deviation

Random groups differ by noise alone: h = G + ε with ε of covariance Σ/m. The null draws such pairs,
with noise along G as it was found to be, and across G alike in (tr Σ)²/tr Σ² directions. Far below
the null, a group is in conflict with the rest; below zero, a step for the rest raises its loss.
`least` is its smallest cosine with any one other group. Groups are random batches, or classes by
label; classes too small for a row still belong to all others. Yu et al. 2020, Gradient surgery for
multi-task learning, arXiv:2001.06782.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dyntools.errors import ProblemError
from dyntools.measurement import Measurement, Status
from dyntools.metrics.gradients import noise
from dyntools.metrics.gradients.statistics import statistics, told
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from dyntools.problem.risk import Risk
    from dyntools.snapshot import Snapshot

Array = NDArray[np.float64]
SEED, DRAWS = 0, 4000  # of the null, which is then known to a 60th of its spread; chosen
COMPANIONS = ("null", "spread", "least", "norm", "examples")


def measure(snapshot: Snapshot, *, by: str = "batch", most: int = 16) -> Measurement:
    """The cosine of every group with the rest.

    by: `batch`: random groups of examples; `class`: the whole-number label of each example.
    most: classes with a row, the largest; 16, chosen, as each holds a gradient.
    """
    found, rest = statistics(snapshot), ""
    if by == "batch":
        w = noise.by_group(found, found.units.terms)
        sizes = noise.by_group(found, found.units.sizes)
        names: tuple[str, ...] = tuple(f"batch {i}" for i in range(len(sizes)))
        gram = found.gram.sum(axis=0)
    else:
        groups, others = classes(snapshot.risk(), most)
        names = tuple(f"class {label}" for label in groups)
        parts = [*groups.values(), *([others] if len(others) else [])]
        w, gram = _of_groups(snapshot.risk(), parts)
        sizes = np.array([float(len(part)) for part in parts])
        rest = f"; {len(others)} examples of smaller classes count as others" * bool(len(others))
    one = noise.of_all(found)
    along, squares = noise.along_mean(found)
    shown = len(names)
    rows = [_of(i, gram, w, sizes, one, along, squares, shown) for i in range(shown)]
    values = np.array([row[0] for row in rows])
    return Measurement(
        values,
        ("group",),
        {"group": names},
        status=np.where(np.isfinite(values), Status.ok, Status.failed).astype(np.int8),
        beside={name: np.array([row[1][name] for row in rows]) for name in COMPANIONS},
        skipped={
            n: "its gradient is zero or not finite"
            for n, v in zip(names, values, strict=True)
            if not math.isfinite(v)
        },
        method=told(found) + rest,
    )


def _of(
    i: int,
    gram: Array,
    w: Array,
    sizes: Array,
    one: noise.Noise,
    along: float,
    squares: float,
    shown: int,
) -> tuple[float, dict[str, float]]:
    """The cosine of group i with the rest, and what stands beside it.

    shown: groups with a row of their own; what is behind them only counts to the rest.
    """
    others = np.where(np.arange(len(w)) == i, 0.0, w)
    others = others / others.sum()
    own, rest, both = gram[i, i], others @ gram @ others, gram[i] @ others
    length = math.sqrt(own * rest) if own > 0.0 and rest > 0.0 else math.nan
    each = np.sqrt(np.maximum(own * np.diag(gram), 0.0))
    cosines = np.divide(gram[i], each, where=each > 0.0, out=np.full(len(w), np.nan))
    cosines = np.delete(cosines[:shown], i)
    m, n = float(sizes[i]), float(sizes.sum() - sizes[i])
    null, spread = _of_noise(one, along, squares, m, n)
    return both / length, {
        "null": null,
        "spread": spread,
        "least": float(np.nanmin(cosines)) if np.isfinite(cosines).any() else math.nan,
        "norm": math.sqrt(max(own, 0.0)),
        "examples": m,
    }


def _of_noise(
    one: noise.Noise, along: float, squares: float, m: float, n: float
) -> tuple[float, float]:
    """Mean and standard deviation of the cosine of two random groups of m and n examples."""
    signal, trace = max(float(one.squared), 0.0), float(one.trace)
    if not (trace > 0.0 and squares > 0.0 and math.isfinite(trace)):
        return math.nan, math.nan
    directions = max(trace**2 / squares, 2.0)
    own = min(along / signal, trace) if signal > 0.0 else trace / directions
    across, generator = trace - own, np.random.default_rng(SEED)

    def group(size: float) -> tuple[Array, Array]:
        first = math.sqrt(signal) + math.sqrt(own / size) * generator.normal(size=DRAWS)
        rest = generator.gamma(directions / 2.0, 2.0 * across / (directions * size), DRAWS)
        return first, rest

    (a, rest_a), (r, rest_r) = group(m), group(n)
    z = generator.normal(size=DRAWS)
    between = z / np.sqrt(z**2 + generator.gamma((directions - 1.0) / 2.0, 2.0, DRAWS))
    cosines = a * r + np.sqrt(rest_a * rest_r) * between
    cosines /= np.sqrt((a**2 + rest_a) * (r**2 + rest_r))
    return float(cosines.mean()), float(cosines.std())


def classes(risk: Risk, most: int) -> tuple[Mapping[int, NDArray[np.int64]], NDArray[np.int64]]:
    """The numbers of the examples of the largest classes by label, and those of all the others.

    Raises ProblemError when examples have no whole number as their label, or all the same.
    """
    labels = np.concatenate([_labels(batch) for batch in risk.probe.batches()])
    found, counts = np.unique(labels[labels >= 0], return_counts=True)
    if len(found) < 2:
        raise _unlabelled(f"{len(found)} class")
    kept = sorted(found[np.argsort(-counts, kind="stable")][:most].tolist())
    others = np.flatnonzero((labels >= 0) & ~np.isin(labels, kept))
    return {label: np.flatnonzero(labels == label) for label in kept}, others


def _labels(batch: object) -> NDArray[np.int64]:
    from dyntools.problem.batches import is_along, rows
    from dyntools.problem.fixed_batches import described, targets_of

    try:
        labels = targets_of(batch)
    except ProblemError as error:
        raise _unlabelled(described(batch)) from error
    if not is_along(labels, rows(batch)) or labels.ndim != 1 or labels.is_floating_point():
        raise _unlabelled(f"targets {described(labels)}")
    return np.asarray(labels.cpu().numpy().astype(np.int64))


def _unlabelled(found: str) -> ProblemError:
    return ProblemError(
        "The examples have no classes to be told apart by.",
        found=found,
        remedy="batches of (inputs, labels), or dictionaries with `labels`, one whole number an"
        " example; or by=batch",
    )


def _of_groups(risk: Risk, groups: list[NDArray[np.int64]]) -> tuple[Array, Array]:
    """Terms (J,) and inner products (J, J) of the mean gradients of groups of examples."""
    import torch

    from dyntools.linalg.vectors import gram_matrix
    from dyntools.problem.units import example_terms

    terms = np.concatenate(example_terms(risk.probe))
    found = torch.stack([risk.part(group).gradient() for group in groups])
    return np.array([terms[group].sum() for group in groups]), gram_matrix(found).cpu().numpy()


METRIC = Metric(
    name="gradient_conflict",
    group="gradients",
    version=1,
    measure=measure,
    needs=("params", "problem"),
    dims=("group",),
    unit="cosine",
    what="cosine between the gradient of a group of examples and that of all others",
    paper="Yu et al. 2020, arXiv:2001.06782",
    cost="none beside the gradients of examples; by=class one gradient",
    choices={"by": ("batch", "class")},
    least={"most": 2},
)
