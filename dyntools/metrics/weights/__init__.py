"""Metrics that need nothing but parameters, now and at other steps."""

from dyntools.metrics.metric import Metric
from dyntools.metrics.weights.angular_update import METRIC as angular_update
from dyntools.metrics.weights.condition_number import METRIC as condition_number
from dyntools.metrics.weights.effective_rank import METRIC as effective_rank
from dyntools.metrics.weights.embedding_anisotropy import METRIC as embedding_anisotropy
from dyntools.metrics.weights.layer_rotation import METRIC as layer_rotation
from dyntools.metrics.weights.participation_ratio import METRIC as participation_ratio
from dyntools.metrics.weights.relative_update import METRIC as relative_update
from dyntools.metrics.weights.singular_values import METRIC as singular_values
from dyntools.metrics.weights.sparsity import METRIC as sparsity
from dyntools.metrics.weights.spectral_alpha import METRIC as spectral_alpha
from dyntools.metrics.weights.spectral_norm import METRIC as spectral_norm
from dyntools.metrics.weights.stable_rank import METRIC as stable_rank
from dyntools.metrics.weights.update_rank import METRIC as update_rank
from dyntools.metrics.weights.weight_norm import METRIC as weight_norm

WEIGHTS: tuple[Metric, ...] = (
    weight_norm,
    layer_rotation,
    angular_update,
    relative_update,
    update_rank,
    spectral_norm,
    effective_rank,
    stable_rank,
    participation_ratio,
    condition_number,
    singular_values,
    spectral_alpha,
    sparsity,
    embedding_anisotropy,
)
