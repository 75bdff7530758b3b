"""Metrics of gradients: those that training takes its steps by, and those of single examples."""

from dyntools.metrics.gradients.gap_growth import METRIC as gap_growth
from dyntools.metrics.gradients.gradient_conflict import METRIC as gradient_conflict
from dyntools.metrics.gradients.gradient_norm import METRIC as gradient_norm
from dyntools.metrics.gradients.gradient_rank import METRIC as gradient_rank
from dyntools.metrics.gradients.gradient_snr import METRIC as gradient_snr
from dyntools.metrics.gradients.noise_scale import METRIC as noise_scale
from dyntools.metrics.gradients.norm_test import METRIC as norm_test
from dyntools.metrics.gradients.rms_spike import METRIC as rms_spike
from dyntools.metrics.metric import Metric

GRADIENTS: tuple[Metric, ...] = (
    gradient_norm,
    rms_spike,
    gradient_rank,
    noise_scale,
    gradient_snr,
    norm_test,
    gap_growth,
    gradient_conflict,
)
