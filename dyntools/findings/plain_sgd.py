"""Plain SGD suffices: Adam multiplies all gradients by nearly the same number.

    of lr/(√v̂ + eps) over all tensors: largest 95 % point ≤ 3 · smallest 5 % point

Adam's step is then that of SGD with momentum at that rate, whose state is half as large. Kingma &
Ba 2015, arXiv:1412.6980, for the step; Zhang et al. 2020, Why are adaptive methods good for
attention models?, arXiv:1912.03194, for when it is not so.
"""

from __future__ import annotations

import numpy as np

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.rows import amount, last_layers
from dyntools.report import Report

ALIKE = 3.0  # times; chosen
SHARE = 0.9  # of the weights must be known, by tensors; chosen


def rule(report: Report) -> tuple[Finding, ...]:
    layers = last_layers(report, "effective_lr")
    series = report.series.get("effective_lr")
    if layers is None or series is None:
        return ()
    low, high = layers["q05"], layers["q95"]
    known = np.isfinite(low) & np.isfinite(high) & (low > 0.0)
    if not known.all() or len(low) < SHARE * len(series.coords["layer"]):
        return ()
    lowest, highest = float(low.min()), float(high.max())
    if not highest <= ALIKE * lowest:
        return ()
    middle = float(np.median(layers.values))
    return (
        Finding(
            rule="plain_sgd",
            severity=Severity.note,
            sentence=(
                f"At {layers.unit} {layers.step} Adam multiplies the gradients of all tensors by "
                f"nearly the same number, {amount(lowest)} to {amount(highest)}: SGD with momentum "
                f"at a rate of {amount(middle)} would take the same steps."
            ),
            evidence=(
                f"effective rate over {len(low)} tensors: smallest 5 % point {amount(lowest)}, "
                f"largest 95 % point {amount(highest)}, ratio {amount(highest / lowest)}",
            ),
            meaning="The second moment, half of Adam's state, changes little here.",
            remedy=(
                f"If optimizer memory matters, try SGD with momentum and a rate near "
                f"{amount(middle)} from this checkpoint on, and judge by the validation loss."
            ),
            paper="Kingma & Ba 2015, arXiv:1412.6980; Zhang et al. 2020, arXiv:1912.03194",
            caveat=(
                "Seen at one step: as gradients shrink, Adam keeps the length of its steps and SGD "
                "does not, and where noise has heavy tails, as in language models, Adam withstands "
                "it better. Three is chosen."
            ),
            step=layers.step,
        ),
    )
