"""Metrics that need nothing but the training log, and those that set it beside something else."""

from dyntools.metrics.logs.divergence import METRIC as divergence
from dyntools.metrics.logs.dog_step import METRIC as dog_step
from dyntools.metrics.logs.generalization_gap import METRIC as generalization_gap
from dyntools.metrics.logs.grokking_delay import METRIC as grokking_delay
from dyntools.metrics.logs.hyperparameters import METRIC as hyperparameters
from dyntools.metrics.logs.loss_spikes import METRIC as loss_spikes
from dyntools.metrics.logs.plateau import METRIC as plateau
from dyntools.metrics.logs.refined_schedule import METRIC as refined_schedule
from dyntools.metrics.metric import Metric

LOGS: tuple[Metric, ...] = (
    generalization_gap,
    loss_spikes,
    divergence,
    plateau,
    grokking_delay,
    refined_schedule,
)

# What reads more than the log: weights, or what the optimizer and a recipe tell.
BESIDE_LOGS: tuple[Metric, ...] = (dog_step, hyperparameters)
