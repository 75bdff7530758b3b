"""Every metric there is, as one explicit list, and the presets made of them."""

from __future__ import annotations

from dyntools.errors import UsageError, nearest
from dyntools.metrics.activations import ACTIVATIONS
from dyntools.metrics.curvature import CURVATURE
from dyntools.metrics.gradients import GRADIENTS
from dyntools.metrics.logs import BESIDE_LOGS, LOGS
from dyntools.metrics.metric import Metric
from dyntools.metrics.optimizer import OPTIMIZER
from dyntools.metrics.weights import WEIGHTS

METRICS: tuple[Metric, ...] = (
    *(*WEIGHTS, *OPTIMIZER, *GRADIENTS, *ACTIVATIONS, *CURVATURE),
    *(*LOGS, *BESIDE_LOGS),
)

_WEIGHTS = tuple(metric.name for metric in WEIGHTS)
_OPTIMIZER = tuple(metric.name for metric in OPTIMIZER)
_GRADIENTS = tuple(metric.name for metric in GRADIENTS)
_ACTIVATIONS = tuple(metric.name for metric in ACTIVATIONS)
_CURVATURE = tuple(metric.name for metric in CURVATURE)
_LOGS = tuple(metric.name for metric in LOGS)
_BESIDE_LOGS = tuple(metric.name for metric in BESIDE_LOGS)

# What papers call sharpness, which are several formulas.
_SHARPNESS = ("hessian_top", "adam_sharpness", "sam_sharpness", "directional_sharpness")

# quick: what costs about one reading of the files; weights: all that parameters tell; optimizer:
# all that its state tells; low-memory: what `adam-memory` decides by; gradients: all that those of
# training tell; activations: one pass over the probe; curvature: all that a problem allows;
# sharpness: what is called so; full: all that the files and the problem allow.
PRESETS: dict[str, tuple[str, ...]] = {
    "quick": (
        *("layer_rotation", "relative_update", "weight_norm", "spectral_norm:route=lanczos"),
        *_LOGS,
    ),
    "weights": _WEIGHTS,
    "optimizer": _OPTIMIZER,
    "low-memory": ("second_moment_snr", "second_moment_compression"),
    "gradients": _GRADIENTS,
    "activations": _ACTIVATIONS,
    "curvature": _CURVATURE,
    "sharpness": _SHARPNESS,
    "full": (
        *(*_WEIGHTS, *_OPTIMIZER, *_GRADIENTS, *_ACTIVATIONS, *_CURVATURE),
        *(*_LOGS, *_BESIDE_LOGS),
    ),
}


def find(name: str) -> Metric:
    """The metric of this name. Raises UsageError with the nearest names."""
    for metric in METRICS:
        if metric.name == name:
            return metric
    raise UsageError(
        f"There is no metric {name!r}.",
        remedy=nearest(name, [m.name for m in METRICS]) + "; all of them: dyntools metrics",
    )
