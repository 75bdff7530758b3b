"""Metrics that need nothing but the training log: losses, learning rate, gradient norms."""

from dyntools.metrics.logs.divergence import METRIC as divergence
from dyntools.metrics.logs.generalization_gap import METRIC as generalization_gap
from dyntools.metrics.logs.loss_spikes import METRIC as loss_spikes
from dyntools.metrics.logs.plateau import METRIC as plateau
from dyntools.metrics.metric import Metric

LOGS: tuple[Metric, ...] = (generalization_gap, loss_spikes, divergence, plateau)
