"""Metrics of the optimizer's own state: what Adam knows of each tensor."""

from dyntools.metrics.metric import Metric

OPTIMIZER: tuple[Metric, ...] = ()
