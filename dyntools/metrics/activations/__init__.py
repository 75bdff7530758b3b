"""Metrics of what a model computes on its way: activations, features, logits."""

from dyntools.metrics.activations.activation_scale import METRIC as activation_scale
from dyntools.metrics.activations.alignment import METRIC as alignment
from dyntools.metrics.activations.attention_logits import METRIC as attention_logits
from dyntools.metrics.activations.cka_to_final import METRIC as cka_to_final
from dyntools.metrics.activations.dormant_units import METRIC as dormant_units
from dyntools.metrics.activations.feature_rank import METRIC as feature_rank
from dyntools.metrics.activations.neural_collapse import METRIC as neural_collapse
from dyntools.metrics.activations.oui import METRIC as oui
from dyntools.metrics.activations.output_drift import METRIC as output_drift
from dyntools.metrics.activations.output_logits import METRIC as output_logits
from dyntools.metrics.activations.validation_gap import METRIC as validation_gap
from dyntools.metrics.metric import Metric

ACTIVATIONS: tuple[Metric, ...] = (
    cka_to_final,  # first, as its pass keeps more and serves the others
    oui,
    dormant_units,
    feature_rank,
    activation_scale,
    attention_logits,
    output_logits,
    output_drift,
    alignment,
    neural_collapse,
    validation_gap,
)
