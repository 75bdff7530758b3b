"""Error kinds: what the error of a metric is, and so how the errors of two numbers add up.

A bound (a residual, rounding, the width of a bracket) holds for certain: two of them add. A
standard error is one standard deviation of an estimate: two of them add in quadrature, and an
interval takes a quantile of them. Each line of the tables is the "error" row of the metric's page
under docs/metrics. A metric without an error is exact for the tensors or the log it was given.
"""

from __future__ import annotations

BOUNDS = (
    "adam_sharpness",
    "angular_update",
    "condition_number",
    "critical_sharpness",
    "directional_sharpness",
    "effective_rank",
    "gauss_newton_top",
    "gradient_rank",
    "gradient_subspace",
    "grokking_delay",
    "hessian_top",
    "layer_rotation",
    "loss_barrier",
    "loss_slice",
    "participation_ratio",
    "relative_update",
    "singular_values",
    "spectral_norm",
    "stable_rank",
    "trust_ratio",
    "update_rank",
    "weight_norm",
)
STANDARD_ERRORS = (
    "adaptive_sharpness",
    "alignment",
    "batch_sharpness",
    "block_sharpness",
    "cka_to_final",
    "divergence",
    "dog_step",
    "gap_growth",
    "generalization_gap",
    "gradient_snr",
    "hessian_density",
    "hessian_diagonal",
    "hessian_trace",
    "neural_collapse",
    "noise_scale",
    "norm_test",
    "oui",
    "output_drift",
    "output_logits",
    "refined_schedule",
    "sam_sharpness",
    "second_moment_snr",
    "spectral_alpha",
    "validation_gap",
)
EXACT = (
    "activation_scale",
    "attention_logits",
    "dormant_units",
    "effective_lr",
    "embedding_anisotropy",
    "epsilon_underflow",
    "feature_rank",
    "gradient_conflict",
    "gradient_norm",
    "hyperparameters",
    "loss_spikes",
    "plateau",
    "rms_spike",
    "second_moment_compression",
    "second_moment_drift",
    "sparsity",
    "update_snr",
)


def is_bound(metric: str) -> bool:
    """Whether the metric's error holds for certain; that of an unknown metric does not."""
    return metric in BOUNDS


def has_error(metric: str) -> bool:
    """Whether a number of the metric without an error is one whose error is not known.

    A metric of EXACT has none, and one of a plugin that gives none is taken at its word.
    """
    return metric in BOUNDS or metric in STANDARD_ERRORS
