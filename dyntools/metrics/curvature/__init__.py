"""Metrics of the curvature of the loss: they need a problem."""

from __future__ import annotations

from dyntools.metrics.curvature.adam_sharpness import METRIC as ADAM_SHARPNESS
from dyntools.metrics.curvature.adaptive_sharpness import METRIC as ADAPTIVE_SHARPNESS
from dyntools.metrics.curvature.batch_sharpness import METRIC as BATCH_SHARPNESS
from dyntools.metrics.curvature.block_sharpness import METRIC as BLOCK_SHARPNESS
from dyntools.metrics.curvature.critical_sharpness import METRIC as CRITICAL_SHARPNESS
from dyntools.metrics.curvature.directional_sharpness import METRIC as DIRECTIONAL_SHARPNESS
from dyntools.metrics.curvature.gauss_newton_top import METRIC as GAUSS_NEWTON_TOP
from dyntools.metrics.curvature.gradient_subspace import METRIC as GRADIENT_SUBSPACE
from dyntools.metrics.curvature.hessian_density import METRIC as HESSIAN_DENSITY
from dyntools.metrics.curvature.hessian_diagonal import METRIC as HESSIAN_DIAGONAL
from dyntools.metrics.curvature.hessian_top import METRIC as HESSIAN_TOP
from dyntools.metrics.curvature.hessian_trace import METRIC as HESSIAN_TRACE
from dyntools.metrics.curvature.loss_barrier import METRIC as LOSS_BARRIER
from dyntools.metrics.curvature.loss_slice import METRIC as LOSS_SLICE
from dyntools.metrics.curvature.sam_sharpness import METRIC as SAM_SHARPNESS
from dyntools.metrics.metric import Metric

CURVATURE: tuple[Metric, ...] = (
    HESSIAN_TOP,
    ADAM_SHARPNESS,
    GAUSS_NEWTON_TOP,
    HESSIAN_TRACE,
    BLOCK_SHARPNESS,
    HESSIAN_DENSITY,
    HESSIAN_DIAGONAL,
    SAM_SHARPNESS,
    ADAPTIVE_SHARPNESS,
    DIRECTIONAL_SHARPNESS,
    CRITICAL_SHARPNESS,
    GRADIENT_SUBSPACE,
    BATCH_SHARPNESS,
    LOSS_BARRIER,
    LOSS_SLICE,
)
