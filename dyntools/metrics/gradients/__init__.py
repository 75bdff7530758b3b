"""Metrics of the gradients that training takes its steps by."""

from dyntools.metrics.gradients.rms_spike import METRIC as rms_spike
from dyntools.metrics.metric import Metric

GRADIENTS: tuple[Metric, ...] = (rms_spike,)
