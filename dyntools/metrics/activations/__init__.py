"""Metrics of what a model computes on its way: activations, features, logits."""

from dyntools.metrics.activations.activation_scale import METRIC as activation_scale
from dyntools.metrics.activations.dormant_units import METRIC as dormant_units
from dyntools.metrics.activations.feature_rank import METRIC as feature_rank
from dyntools.metrics.activations.oui import METRIC as oui
from dyntools.metrics.activations.output_logits import METRIC as output_logits
from dyntools.metrics.metric import Metric

ACTIVATIONS: tuple[Metric, ...] = (
    oui,
    dormant_units,
    feature_rank,
    activation_scale,
    output_logits,
)
