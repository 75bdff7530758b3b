"""Trust: what limits a decision, one sentence for each thing that is known to mislead.

The reference numbers are the authors' own logs of GPT-2 small on FineWeb, 5000 steps with a warm-up
of 2000 (dayal-kalra/low-memory-adam, of Kalra et al. 2025, arXiv:2503.01843), put through the rule
slimadam at cutoff 1.0: at a peak rate of 3e-4 / 3e-3 all 51 measured steps save 99.40 / 38.53 % of
v, the last alone 97.98 / 42.80 %, and those of the warm-up at 3e-3 99.86 %.
"""

from __future__ import annotations

import math

import numpy as np

from dyntools.adam_memory.evidence import Evidence
from dyntools.adam_memory.rates import SAME_RATE, Rates, rates_of
from dyntools.adam_memory.reading import COMPRESSION, SNR
from dyntools.report import Report

FEW_STEPS = 5  # chosen, no source; the authors average 51
FEW_GRADIENTS = 20.0  # an SNR of 1 is measured as 0.83 at n_eff = 20, see below; chosen
AUTHORS = "in the authors' runs (GPT-2 small; Kalra et al. 2025, arXiv:2503.01843)"


def limits(report: Report, evidence: Evidence) -> tuple[str, ...]:
    """The sentences that apply, the gravest first. Empty is no proof of anything."""
    rates = rates_of(report, evidence.step_unit)
    sentences = (
        _estimated(report),
        _warm_up(evidence, rates) or _below_peak(evidence, rates),
        _steps(report, evidence),
        _share_of_run(report, evidence),
        _noise(evidence),
        _unmeasured(evidence),
        _no_errors(report),
    )
    return tuple(sentence for sentence in sentences if sentence)


def _estimated(report: Report) -> str:
    """Of moments that were made from gradients and not read from the run, at any step."""
    told = str(report.attributes.get("second_moments") or "")
    present = [report.series[name] for name in (SNR, COMPRESSION) if name in report.series]
    methods = [method for series in present for method in series.method if method]
    # An analysis may be told to estimate and still find the optimizer's own at every step.
    if not told or (methods and not any("estimated" in method for method in methods)):
        return ""
    return (
        f"The second moments were {told}: the run itself averages over weights that move, so its "
        "own state may differ."
    )


def _warm_up(evidence: Evidence, rates: Rates | None) -> str:
    if rates is None or evidence.steps[-1] >= rates.warm_up:
        return ""
    return (
        f"All measured steps lie in the warm-up, which ends at {evidence.step_unit} "
        f"{rates.warm_up}: {AUTHORS} the warm-up alone promises to save 99.86 % of v where the "
        "whole run at that rate allows 38.53 %."
    )


def _below_peak(evidence: Evidence, rates: Rates | None) -> str:
    if rates is None:
        return (
            "The learning rate of the run is not known, and a larger one lowers the SNR: "
            f"{AUTHORS} 99.40 % of v could go at 3e-4 and 38.53 % at 3e-3. Decide from a run at "
            "the rate you will train with."
        )
    at = rates.at(evidence.steps)
    known = at[np.isfinite(at)]
    if not len(known) or known.max() < (1 - SAME_RATE) * rates.peak:
        seen = f"at most {known.max():.3g}" if len(known) else "unknown"
        return (
            f"No measured step has the peak learning rate of {rates.peak:.3g}; the rate there was "
            f"{seen}, and a larger one lowers the SNR: {AUTHORS} 99.40 % of v could go at 3e-4 and "
            "38.53 % at 3e-3."
        )
    return ""


def _steps(report: Report, evidence: Evidence) -> str:
    count, unit = len(evidence.steps), evidence.step_unit
    if count == 1:
        is_last = evidence.steps[0] == _end(report, evidence)[0]
        return (
            f"Measured at {'the last' if is_last else 'one'} checkpoint alone, {unit} "
            f"{evidence.steps[0]}: {AUTHORS} the last alone says that 97.98 % of v can go at a "
            "peak rate of 3e-4 and 42.80 % at 3e-3, all 51 measured steps 99.40 % and 38.53 %."
        )
    if count < FEW_STEPS:
        return f"Measured at {count} {unit}s; the authors average 51 over a run of 5000 steps."
    return ""


def _share_of_run(report: Report, evidence: Evidence) -> str:
    end, known = _end(report, evidence)
    last = evidence.steps[-1]
    if not known or len(evidence.steps) == 1 or last >= end / 2:
        return ""
    unit = evidence.step_unit
    return f"The last measured {unit} is {last} of {end}: the later half of the run was not seen."


def _end(report: Report, evidence: Evidence) -> tuple[int, bool]:
    """The last step of the run that the report has heard of, and whether by more than evidence."""
    ends = []
    if report.step_unit == evidence.step_unit:
        ends += [row.step for row in report.checkpoints if row.step is not None]
    if report.log is not None and report.log.unit == evidence.step_unit:
        ends += [report.log.last_step or 0]
    return max([*ends, evidence.steps[-1]]), bool(ends)


def _noise(evidence: Evidence) -> str:
    """Gaussian gradients: 1/SNR = (1 + 2/n)/SNR_true + 2/n for an average of n squares."""
    n = evidence.n_eff
    if math.isnan(n):
        return (
            "How many squared gradients v averages is not known (no beta2, or no steps), so the "
            "SNR is not corrected for noise, which holds it below (1 + beta2) / (2 (1 - beta2))."
        )
    if n >= FEW_GRADIENTS:
        return ""
    return (
        f"v averages only {n:.3g} squared gradients in the mean, so the noise of Gaussian "
        f"gradients holds the SNR below about {n / 2:.3g}, and one of 1 is seen as "
        f"{_seen(1.0, n):.2g}: "
        "raw numbers understate what can be saved. Look at the rule corrected."
    )


def _seen(snr: float, n: float) -> float:
    return 1 / ((1 + 2 / n) / snr + 2 / n)


def _unmeasured(evidence: Evidence) -> str:
    unmeasured = [tensor for tensor in evidence.tensors if not tensor.measured]
    count = len(unmeasured) + len(evidence.left_out)
    if not count:
        return ""
    total = len(evidence.tensors) + len(evidence.left_out)
    reasons = [tensor.reason for tensor in unmeasured] + list(evidence.left_out.values())
    share = sum(tensor.size for tensor in unmeasured) / evidence.size if evidence.size else 0.0
    held = f", {100 * share:.1f} % of the known weights" if unmeasured else ""
    sizes = "; those of unknown size are in no total" if evidence.left_out else ""
    return f"{count} of {total} tensors were not measured{held}{sizes}: {reasons[0]}."


def _no_errors(report: Report) -> str:
    if COMPRESSION in report.series:
        return ""
    return (
        "What the update would lose was not measured (second_moment_compression): the SNR ranks "
        "forms, it is no error."
    )
