"""Noise-dominated: the training batch is far below the gradient noise scale.

    B_s, at least, ≥ 10 B:   noise is ten times the signal, and a step makes 9 % of its progress

McCandlish et al. 2018, arXiv:1812.06162. Without a known batch the noise scale itself is told.
"""

from __future__ import annotations

import math

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.noise import PAPER, NoiseScale, noise_scale
from dyntools.findings.rows import amount
from dyntools.report import Report

FAR = 10.0  # times; chosen: a step then makes 1/11 of the progress of one without noise
CAVEAT = (
    "The scale is that of the probe's examples at this step; it grows as the loss falls, and its "
    "curvature-weighted form, which the theory is about, may differ by a factor of a few. On "
    "examples that are trained to the end the mean gradient vanishes and the scale has no bound."
)


def rule(report: Report) -> tuple[Finding, ...]:
    one = noise_scale(report)
    if one is None:
        return ()
    if not math.isfinite(one.batch):
        return (_unknown(one),) if math.isfinite(one.highest) else ()
    if not one.lowest >= FAR * one.batch:
        return ()
    times = one.lowest / one.batch
    return (
        Finding(
            rule="noise_dominated",
            severity=Severity.watch,
            sentence=(
                f"At {one.unit} {one.step} the gradient of a batch of {one.batch:.0f} is noise: "
                f"the noise scale is at least {amount(one.lowest)} examples, {amount(times)} times "
                "the batch."
            ),
            evidence=one.evidence,
            meaning=(
                f"A step makes at most {amount(100 / (1 + times))} % of the progress that one "
                "without noise would make. More examples a step cost almost nothing in steps."
            ),
            remedy=(
                f"Raise the batch towards {amount(one.lowest)}, by accumulation if need be, with "
                "the learning rate (in proportion for SGD, by its root for Adam); or lower the "
                "learning rate, which averages the noise over steps."
            ),
            paper=PAPER,
            caveat=CAVEAT,
            step=one.step,
        ),
    )


def _unknown(one: NoiseScale) -> Finding:
    return Finding(
        rule="noise_dominated",
        severity=Severity.note,
        sentence=(
            f"The gradient noise scale at {one.unit} {one.step} is {amount(one.value)} examples; "
            "the batch of training is not known here."
        ),
        evidence=one.evidence,
        meaning=(
            "Batches far below it are ruled by noise and may be raised nearly for free in steps; "
            "batches far above it waste examples."
        ),
        remedy="Name the batch to have it judged: batch_size in the file of --config, or --metric"
        " noise_scale:batch=…",
        paper=PAPER,
        caveat=CAVEAT,
        step=one.step,
    )
