"""Evidence: the drawing that stands beside a finding: the metric its rule has read."""

from __future__ import annotations

from dyntools.findings import Finding
from dyntools.page import training
from dyntools.page.figures import Figure, figures, of_layers, sharpness
from dyntools.report import Report
from dyntools.views.losses import drawable

LOSSES, RATE, NORMS, EDGE = "losses", "learning rate", "gradient norm", "threshold"
# What each rule of `findings.RULES` has read: a metric, or one of the four above.
READ = {
    "divergence": LOSSES,
    "overfitting": LOSSES,
    "validation_rise": "validation_gap",
    "loss_spikes": LOSSES,
    "plateau": LOSSES,
    "unfinished": RATE,
    "spike_warning": "rms_spike",
    "layer_stuck": "layer_rotation",
    "rank_collapse": "effective_rank",
    "norm_growth": "weight_norm",
    "epsilon_underflow": "epsilon_underflow",
    "edge_of_stability": EDGE,
    "progressive_sharpening": EDGE,
    "learning_rate_headroom": EDGE,
    "warmup_too_short": EDGE,
    "negative_curvature": "hessian_top",
    "stale_curvature": "hessian_top",
    "block_disorder": "block_sharpness",
    "low_memory_adam": "second_moment_snr",
    "noise_dominated": "noise_scale",
    "batch_too_large": "noise_scale",
    "plain_sgd": "effective_lr",
    "clip_threshold": NORMS,
    "vanishing_gradients": "gradient_norm",
    "dead_units": "dormant_units",
    "saturated_units": "dormant_units",
    "feature_collapse": "feature_rank",
    "logit_growth": "attention_logits",
    "logit_drift": "output_logits",
    "precision_risk": "activation_scale",
    "oui_trend": "oui",
    "layers_converged": "cka_to_final",
    "terminal_phase": "neural_collapse",
}


def evidence(report: Report, finding: Finding) -> tuple[Figure, ...]:
    """The drawings of what a rule has read; none where the report cannot draw it."""
    read = READ.get(finding.rule, "")
    if read == EDGE:
        found = sharpness(report)
        return () if found is None else (found,)
    if read in (LOSSES, RATE, NORMS):
        if report.log is None or not drawable(report.log):
            return ()
        if read == LOSSES:
            return (training.losses(report.log),)
        return tuple(p for p in training.others(report.log) if p.y_label == read)
    series = report.series.get(read)
    if series is None:
        return ()
    return of_layers(series, finding.layers) if finding.layers else figures(series)[:1]
