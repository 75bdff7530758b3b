"""Clip threshold: gradient norms with rare, far outliers, and where a threshold would lie.

    largest of the last 1000 ≥ 10 · median:   clip at their 90 % point

Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063: half to ten times the mean norm over many updates.
Seetharaman et al. 2020, AutoClip, arXiv:2007.14469: a percentile of the norms so far.
"""

from __future__ import annotations

import numpy as np

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.rows import amount, counted
from dyntools.log import Role
from dyntools.report import Report

RECENT = 1000  # logged norms; as in loss_spikes
FEWEST = 50  # logged norms; chosen
FAR = 10.0  # times the median; the upper end of the range of Pascanu et al.
LEVEL = 0.9  # of the norms stay as they are; chosen; AutoClip keeps 10 % of them


def rule(report: Report) -> tuple[Finding, ...]:
    curve = None if report.log is None else report.log.curve(Role.gradient_norm)
    if curve is None:
        return ()
    norms, steps = curve.values[-RECENT:], curve.steps[-RECENT:]
    fine = np.isfinite(norms) & (norms > 0.0)
    norms, steps = norms[fine], steps[fine]
    if len(norms) < FEWEST:
        return ()
    median, largest = float(np.median(norms)), float(norms.max())
    if not largest >= FAR * median:
        return ()
    level = float(np.quantile(norms, LEVEL))
    step = int(steps[int(norms.argmax())])
    rare = int((norms >= FAR * median).sum())
    return (
        Finding(
            rule="clip_threshold",
            severity=Severity.note,
            sentence=(
                f"The gradient norm reached {amount(largest)} at {curve.unit} {step}, "
                f"{amount(largest / median)} times its median; a clip threshold of "
                f"{amount(level)} would have left {100 * LEVEL:.0f} % of the steps as they were."
            ),
            evidence=(
                f"the last {counted(len(norms), 'logged norm')}: median {amount(median)}, "
                f"{100 * LEVEL:.0f} % point {amount(level)}, largest {amount(largest)}",
                f"{counted(rare, 'norm')} at {FAR:g} times the median or more",
            ),
            meaning="Single steps are as long as many usual ones and can undo them.",
            remedy=(
                f"Clip the global norm at {amount(level)} (torch.nn.utils.clip_grad_norm_), unless "
                "a lower threshold is in force already: norms are logged before clipping by most "
                "trainers."
            ),
            paper="Pascanu et al. 2013, arXiv:1211.5063; Seetharaman et al. 2020, arXiv:2007.14469",
            caveat=(
                "Norms fall as training goes on, so that a threshold that is right now was too low "
                "at the start. Under Adam a large gradient moves the weights little and spoils the "
                "second moment instead. The 90 % point is chosen."
            ),
            step=step,
        ),
    )
