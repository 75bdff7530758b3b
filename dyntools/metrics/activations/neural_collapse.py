"""neural_collapse: how far the features of the last layer have drawn together around their class.

    value = NC1 = Tr(Σ_W Σ_B⁺) / C      within-class over between-class covariance, one number
    nc2_norms, nc2_angles, classifier_norms, classifier_angles = distance from a simplex
    nc3 = |W/|W| - M/|M||²              classifier and centred class means
    nc4 = share of examples where the model and the nearest class mean differ

Papyan, Han & Donoho 2020, Prevalence of neural collapse during the terminal phase of deep learning
training, doi:10.1073/pnas.2015509117: all go to zero long after the training error has.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from dyntools.measurement import Measurement, Status
from dyntools.metrics.activations.sites import NOT_FINITE, activations
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from dyntools.activations.class_features import ClassFeatures
    from dyntools.activations.collapse import Collapse
    from dyntools.snapshot import Snapshot

COMPANIONS = (
    *("corrected", "null", "nc2_norms", "nc2_angles", "classifier_norms", "classifier_angles"),
    *("nc3", "nc4", "accuracy", "rank", "classes", "smallest_class", "features"),
)


def measure(snapshot: Snapshot) -> Measurement:
    """NC1 with one standard error over examples, and NC2 to NC4 beside it."""
    found = activations(snapshot)
    features = found.class_features
    reason = found.logits.refused or features.refused or _lacking(features)
    collapse = reason if reason else _collapse(snapshot, features, found.examples.count)
    beside = dict.fromkeys(COMPANIONS, math.nan)
    if isinstance(collapse, str):
        value, error = math.nan, math.nan
    else:
        value, error = collapse.nc1, collapse.error
        beside |= _beside(features, collapse)
    return Measurement(
        np.array(value),
        error=np.array(error),
        status=np.array(Status.failed if isinstance(collapse, str) else Status.ok),
        beside={name: np.array(number) for name, number in beside.items()},
        skipped={"": collapse} if isinstance(collapse, str) else {},
        method="" if isinstance(collapse, str) else _method(features, collapse),
    )


def _lacking(features: ClassFeatures) -> str:
    """Why there are no class means and covariances around them; empty where there are."""
    import torch

    if not features.seen:
        return "no term of the loss counts"
    if not all(bool(rows.isfinite().all()) for rows in features.rows):
        return NOT_FINITE
    counts = torch.bincount(torch.cat(features.labels), minlength=features.classes)
    few = int((counts < 2).sum())
    if not few:
        return ""
    kept = f" among the {features.kept} places of {features.seen} that are kept"
    some = kept if features.kept < features.seen else ""
    have = "have" if few > 1 else "has"
    return f"of {features.classes} classes {few} {have} fewer than two examples{some}"


def _collapse(snapshot: Snapshot, features: ClassFeatures, examples: int) -> Collapse | str:
    import torch

    from dyntools.activations.collapse import collapse_of, groups_of
    from dyntools.linalg.spectrum import THREADS

    weight = features.weight
    assert weight is not None
    matrix = weight if isinstance(weight, torch.Tensor) else weight.of(snapshot.risk().theta)
    rows = torch.cat(features.rows)
    labels, said, numbers = (
        torch.cat(parts).numpy() for parts in (features.labels, features.said, features.numbers)
    )
    with THREADS.limit(limits=1, user_api="blas"):  # more are slower on such matrices
        found = collapse_of(
            rows.double().cpu().numpy(),
            labels,
            said,
            matrix.double().cpu().numpy(),
            groups_of(labels, numbers, examples),
            float(torch.finfo(rows.dtype).eps),
        )
    return "the class means are all equal" if found is None else found


def _beside(features: ClassFeatures, found: Collapse) -> dict[str, float]:
    smallest = np.bincount(np.concatenate([part.numpy() for part in features.labels])).min()
    return {
        "corrected": found.corrected,
        "null": found.null,
        "nc2_norms": found.norms,
        "nc2_angles": found.angles,
        "classifier_norms": found.classifier_norms,
        "classifier_angles": found.classifier_angles,
        "nc3": found.nc3,
        "nc4": found.nc4,
        "accuracy": found.accuracy,
        "rank": float(found.rank),
        "classes": float(features.classes),
        "smallest_class": float(smallest),
        "features": float(features.width),
    }


def _method(features: ClassFeatures, found: Collapse) -> str:
    told = [f"what enters {features.layer}, {features.kept} of {features.seen} places"]
    if not features.is_logits:
        told.append("the logits are a function of what it puts out")
    if features.width < features.classes - 1:
        told.append("too few features for a simplex of so many classes")
    elif found.rank < features.classes - 1:
        told.append(f"class means span {found.rank} of {features.classes - 1} directions")
    return "; ".join(told)


METRIC = Metric(
    name="neural_collapse",
    group="activations",
    version=1,
    measure=measure,
    needs=("params", "problem"),
    dims=(),
    unit="1",
    what="within-class over between-class covariance of the features that enter the classifier",
    paper="Papyan, Han & Donoho 2020, doi:10.1073/pnas.2015509117",
    cost="one forward pass, shared by all metrics of activations",
)
