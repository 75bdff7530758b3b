"""Collapse: how far the features of each class have drawn together, NC1 to NC4.

    μ_c the mean of class c, μ their mean, M = (μ_c - μ) (C, d), W (C, d) the classifier
    Σ_W = mean_c mean_{i in c} (h - μ_c)(h - μ_c)ᵀ,    Σ_B = MᵀM / C
    NC1  Tr(Σ_W Σ_B⁺) / C
    NC2  std/mean of |μ_c - μ|, mean of |cos + 1/(C-1)| of pairs; the same of the rows of W
    NC3  |W/|W| - M/|M||²
    NC4  share of the examples whose nearest class mean is not the class that the model says

Papyan, Han & Donoho 2020, doi:10.1073/pnas.2015509117, whose classes are of equal size: here every
class counts alike. Σ_B⁺ by the singular values of M, those up to eps max(C, d) s_1 taken as zero.

Means of n examples hold Σ_W/n of noise, which adds to Σ_B, so NC1 is too small by about 1/n. The
groups that are left out one at a time for the standard error tell that as well:

    corrected = 8 NC1 - 7 · mean of NC1 without a group             Quenouille 1956

It takes off what falls like 1/n, at the price of a larger spread. With many features even means of
random examples lie far apart: NC1 is then about (C-1)(n-1)/d and not large. So there is a null, NC1
of the same features with their labels shuffled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dyntools.activations.patterns import GROUPS, drawn_groups, jackknife_error

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
SHUFFLES, SEED = 4, 0  # for the null: a spread of 5 % at ten classes; chosen
BLOCK = 1 << 22  # distances to class means at a time: 32 MB; chosen


@dataclass(frozen=True)
class Collapse:
    """error, corrected: NaN where leaving out a group leaves a class too small.

    rank: directions of Σ_B that count. accuracy: share of examples said right.
    """

    nc1: float
    error: float
    corrected: float
    null: float
    norms: float
    angles: float
    classifier_norms: float
    classifier_angles: float
    nc3: float
    nc4: float
    rank: int
    accuracy: float


def collapse_of(
    h: Array, labels: Labels, said: Labels, weight: Array, groups: Labels, eps: float
) -> Collapse | None:
    """Features h (n, d) that enter a classifier (C, d), two of each class at least.

    said: the classes by the logits. groups: of each row, for the jackknife. eps: the rounding of
    the features. None where the class means are all equal.
    """
    classes = len(weight)
    averaging = _averaging(labels, classes, np.arange(len(labels)))
    means = averaging @ h
    centred = means - means.mean(0)
    s = np.linalg.svd(centred, compute_uv=False)
    if not s[0] > 10 * eps * np.linalg.norm(means):  # no more than rounding; 10: chosen
        return None
    rank = int((s[: classes - 1] > eps * max(means.shape) * s[0]).sum())
    nc1, without = _nc1(h, labels, averaging, rank), _without(h, labels, groups, classes, rank)
    norms, angles = _simplex(centred)
    classifier_norms, classifier_angles = _simplex(weight)
    return Collapse(
        nc1=nc1,
        error=math.nan if without is None else jackknife_error(without),
        corrected=math.nan if without is None else _corrected(nc1, without),
        null=_null(h, labels, classes, rank),
        norms=norms,
        angles=angles,
        classifier_norms=classifier_norms,
        classifier_angles=classifier_angles,
        nc3=_nc3(weight, centred),
        nc4=float((_nearest(h, means) != said).mean()),
        rank=rank,
        accuracy=float((said == labels).mean()),
    )


def groups_of(labels: Labels, numbers: Labels, examples: int) -> Labels:
    """Rows (n,) in GROUPS parts: of examples with one place each every class in equal parts.

    Places of one example stay together, as they are alike. numbers: of the examples.
    """
    if len(np.unique(numbers)) < len(numbers):
        return np.asarray(drawn_groups(examples).numpy()[numbers])
    groups = np.empty_like(labels)
    groups[np.argsort(labels, kind="stable")] = np.arange(len(labels)) % GROUPS
    return groups


def _averaging(labels: Labels, classes: int, kept: Labels) -> csr_array:
    """The matrix (C, n) that takes the mean over the kept rows of each class."""
    rows = labels[kept]
    weights = 1.0 / np.bincount(rows, minlength=classes)[rows]
    return csr_array((weights, (rows, kept)), shape=(classes, len(labels)))


def _nc1(h: Array, labels: Labels, averaging: csr_array, rank: int) -> float:
    means = averaging @ h
    _, s, v = np.linalg.svd(means - means.mean(0), full_matrices=False)
    scaled = (h @ v[:rank].T) / s[:rank]
    scaled -= (averaging @ scaled)[labels]
    within = averaging @ np.einsum("ij,ij->i", scaled, scaled)
    return float(within.mean())  # Σ_B⁺ is C v vᵀ/s², and C goes out by the paper's 1/C


def _without(h: Array, labels: Labels, groups: Labels, classes: int, rank: int) -> Array | None:
    """NC1 without each group (GROUPS,); None where a class is left with fewer than two examples."""
    found = []
    for group in range(GROUPS):
        kept = np.flatnonzero(groups != group)
        counts = np.bincount(labels[kept], minlength=classes)
        if len(kept) == len(labels) or counts.min() < 2:
            return None
        found.append(_nc1(h, labels, _averaging(labels, classes, kept), rank))
    return np.array(found)


def _corrected(nc1: float, without: Array) -> float:
    return float(GROUPS * nc1 - (GROUPS - 1) * without.mean())


def _null(h: Array, labels: Labels, classes: int, rank: int) -> float:
    """NC1 when the labels say nothing of the features, which are otherwise the same."""
    generator, every = np.random.default_rng(SEED), np.arange(len(labels))
    drawn = [generator.permutation(labels) for _ in range(SHUFFLES)]
    with np.errstate(divide="ignore", invalid="ignore"):
        each = [_nc1(h, shuffled, _averaging(shuffled, classes, every), rank) for shuffled in drawn]
    found = float(np.mean(each))
    return found if math.isfinite(found) else math.nan


def _simplex(rows: Array) -> tuple[float, float]:
    """Spread of the norms of rows (C, d), and how far the cosines are from -1/(C-1)."""
    classes = len(rows)
    norms = np.linalg.norm(rows, axis=1)
    if not norms.all():
        return float(np.std(norms) / np.mean(norms)) if norms.any() else math.nan, math.nan
    unit = rows / norms[:, None]
    cosines = (unit @ unit.T)[~np.eye(classes, dtype=bool)]
    off = float(np.abs(cosines + 1 / (classes - 1)).mean())
    return float(np.std(norms) / np.mean(norms)), off


def _nc3(weight: Array, centred: Array) -> float:
    size = np.linalg.norm(weight)
    if not size > 0.0:
        return math.nan
    return float(np.square(weight / size - centred / np.linalg.norm(centred)).sum())


def _nearest(h: Array, means: Array) -> Labels:
    """The class of the nearest mean (n,); |h|² is the same for all of them."""
    half = np.square(means).sum(1) / 2
    step = max(BLOCK // len(means), 1)
    parts = (h[i : i + step] for i in range(0, len(h), step))
    return np.concatenate([np.argmax(part @ means.T - half, 1) for part in parts])
