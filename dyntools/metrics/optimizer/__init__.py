"""Metrics of the optimizer's own state: what Adam knows of each tensor."""

from dyntools.metrics.metric import Metric
from dyntools.metrics.optimizer.effective_lr import METRIC as effective_lr
from dyntools.metrics.optimizer.epsilon_underflow import METRIC as epsilon_underflow
from dyntools.metrics.optimizer.second_moment_compression import METRIC as compression
from dyntools.metrics.optimizer.second_moment_drift import METRIC as second_moment_drift
from dyntools.metrics.optimizer.second_moment_snr import METRIC as second_moment_snr
from dyntools.metrics.optimizer.trust_ratio import METRIC as trust_ratio
from dyntools.metrics.optimizer.update_snr import METRIC as update_snr

OPTIMIZER: tuple[Metric, ...] = (
    second_moment_snr,
    compression,
    update_snr,
    epsilon_underflow,
    effective_lr,
    second_moment_drift,
    trust_ratio,
)
