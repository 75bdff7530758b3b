"""Findings: rules that read a report and say what to do. Reports in, sentences out; never torch.

`find` applies every rule of `RULES`. A rule whose inputs are not in the report says nothing, and an
empty answer means that no rule fired, not that the run is well.
"""

from __future__ import annotations

from collections.abc import Callable

from dyntools.findings.batch_too_large import rule as batch_too_large
from dyntools.findings.block_disorder import rule as block_disorder
from dyntools.findings.clip_threshold import rule as clip_threshold
from dyntools.findings.dead_units import rule as dead_units
from dyntools.findings.divergence import rule as divergence
from dyntools.findings.edge_of_stability import rule as edge_of_stability
from dyntools.findings.epsilon_underflow import rule as epsilon_underflow
from dyntools.findings.feature_collapse import rule as feature_collapse
from dyntools.findings.finding import Finding, Severity
from dyntools.findings.layer_stuck import rule as layer_stuck
from dyntools.findings.layers_converged import rule as layers_converged
from dyntools.findings.learning_rate_headroom import rule as learning_rate_headroom
from dyntools.findings.logit_drift import rule as logit_drift
from dyntools.findings.logit_growth import rule as logit_growth
from dyntools.findings.loss_spikes import rule as loss_spikes
from dyntools.findings.low_memory_adam import rule as low_memory_adam
from dyntools.findings.negative_curvature import rule as negative_curvature
from dyntools.findings.noise_dominated import rule as noise_dominated
from dyntools.findings.norm_growth import rule as norm_growth
from dyntools.findings.oui_trend import rule as oui_trend
from dyntools.findings.overfitting import rule as overfitting
from dyntools.findings.plain_sgd import rule as plain_sgd
from dyntools.findings.plateau import rule as plateau
from dyntools.findings.precision_risk import rule as precision_risk
from dyntools.findings.progressive_sharpening import rule as progressive_sharpening
from dyntools.findings.rank_collapse import rule as rank_collapse
from dyntools.findings.saturated_units import rule as saturated_units
from dyntools.findings.spike_warning import rule as spike_warning
from dyntools.findings.stale_curvature import rule as stale_curvature
from dyntools.findings.terminal_phase import rule as terminal_phase
from dyntools.findings.unfinished import rule as unfinished
from dyntools.findings.validation_rise import rule as validation_rise
from dyntools.findings.vanishing_gradients import rule as vanishing_gradients
from dyntools.findings.warmup_too_short import rule as warmup_too_short
from dyntools.report import Report

RULES: tuple[Callable[[Report], tuple[Finding, ...]], ...] = (
    divergence,
    overfitting,
    validation_rise,
    loss_spikes,
    spike_warning,
    logit_growth,
    logit_drift,
    clip_threshold,
    vanishing_gradients,
    dead_units,
    saturated_units,
    feature_collapse,
    unfinished,
    plateau,
    layer_stuck,
    rank_collapse,
    norm_growth,
    precision_risk,
    oui_trend,
    epsilon_underflow,
    noise_dominated,
    batch_too_large,
    edge_of_stability,
    progressive_sharpening,
    learning_rate_headroom,
    warmup_too_short,
    negative_curvature,
    block_disorder,
    stale_curvature,
    layers_converged,
    terminal_phase,
    low_memory_adam,
    plain_sgd,
)

__all__ = ["RULES", "Finding", "Severity", "find"]


def find(report: Report) -> tuple[Finding, ...]:
    """All findings, the most severe first, in the order of `RULES` among equals."""
    found = [finding for rule in RULES for finding in rule(report)]
    order = list(Severity)
    return tuple(sorted(found, key=lambda finding: order.index(finding.severity)))
