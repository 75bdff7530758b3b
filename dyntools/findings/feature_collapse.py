"""Feature collapse: what enters a layer fills far fewer directions than it did at first.

    effective rank < 1/4 of the first measured, or the rank of what varies < 2;
    and, behind a softmax of C classes, < C - 1: so many directions these classes need

note where the collapse is onto class means that are told apart without error: the terminal phase
of training of Papyan, Han & Donoho 2020, doi:10.1073/pnas.2015509117; else watch. By
`feature_rank`, and `neural_collapse` where it was measured. Loss of rank as a loss of the capacity
to learn: Lyle, Rowland & Dabney 2022, arXiv:2204.09560.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.papyan import PERFECT, TIGHT
from dyntools.findings.rows import (
    Layers,
    also_in,
    amount,
    counted,
    first_steps,
    first_values,
    last_layers,
    last_row,
    shortened,
)
from dyntools.report import Report

# Of the first measured; chosen. Of eleven MLPs on digits the two that could no longer fit them, by
# their weight decay, fell to 0.04 and 0.17; two that could fell to 0.20 and 0.26, and kept 9.
OF_FIRST = 0.25
NEAR_ONE = 2.0  # directions; chosen
FEWEST = 8  # directions that there could be; chosen: of fewer nothing collapses


def rule(report: Report) -> tuple[Finding, ...]:
    layers = last_layers(report, "feature_rank")
    if layers is None:
        return ()
    series = report["feature_rank"]
    first = first_values(series, layers.names)
    chosen = _collapsed(layers, first, _classes(report))
    if not len(chosen):
        return ()
    chosen = chosen[np.argsort(layers.values[chosen] / first[chosen], kind="stable")]
    names = tuple(layers.names[i] for i in chosen)
    worst = int(chosen[0])
    also = also_in(names)
    terminal = _terminal(report)
    begin = int(first_steps(series, names[:1])[0])
    return (
        Finding(
            rule="feature_collapse",
            severity=Severity.note if terminal else Severity.watch,
            sentence=(
                f"The features that enter {names[0]} fill {amount(layers.values[worst])} "
                f"directions at {layers.unit} {layers.step}, of {amount(first[worst])} at "
                f"{layers.unit} {begin}{also}."
            ),
            evidence=(
                *shortened([_line(layers, first, i) for i in chosen.tolist()]),
                *([terminal] if terminal else ()),
            ),
            meaning=_meaning(bool(terminal)),
            remedy=_remedy(bool(terminal)),
            paper="Lyle et al. 2022, arXiv:2204.09560; "
            "Papyan et al. 2020, doi:10.1073/pnas.2015509117",
            caveat=(
                "Training compresses the features of any network, and how far is no measure of "
                "its quality. A probe of few or similar examples fills few directions by itself. "
                "The bounds are chosen."
            ),
            layers=names,
            step=layers.step,
        ),
    )


def _collapsed(layers: Layers, first: NDArray[np.float64], classes: float) -> NDArray[np.intp]:
    values, varying, most = layers.values, layers["centred"], layers["most"]
    with np.errstate(invalid="ignore"):
        fell = values < OF_FIRST * first
        # A large mean beside little else is rank 1 as well; what varies decides.
        single = np.where(np.isfinite(varying), varying, values) < NEAR_ONE
        single &= first >= NEAR_ONE  # it had more, or it has lost nothing
        large = ~(most < FEWEST)
        # More classes than directions, as in language models, ask for nothing that can be counted.
        needed = ~((classes - 1 <= most) & (np.fmax(values, varying) >= classes - 1))
    return np.flatnonzero((fell | single) & large & needed)


def _classes(report: Report) -> float:
    known = (last_row(report, metric) for metric in ("output_logits", "neural_collapse"))
    counts = [row["classes"] for row in known if row is not None and row["classes"] > 0]
    return counts[0] if counts else math.nan


def _terminal(report: Report) -> str:
    """The sentence on neural collapse, where there is one; else empty."""
    row = last_row(report, "neural_collapse")
    if row is None or not (row["accuracy"] >= PERFECT and row.value <= TIGHT):
        return ""
    return f"NC1 {amount(row.value)}, and the whole probe is classified right"


def _line(layers: Layers, first: NDArray[np.float64], i: int) -> str:
    value, share = layers.values[i], 100 * layers.values[i] / first[i]
    line = f"{layers.names[i]}: effective rank {amount(value)}, {share:.0f} % of the first"
    centred, most, enough = (float(layers[name][i]) for name in ("centred", "most", "variance_90"))
    if math.isfinite(centred):
        line += f", {amount(centred)} without the mean"
    if math.isfinite(enough + most):
        line += f", 90 % of the variance in {counted(enough, 'direction')} of {most:.0f}"
    return line


def _meaning(terminal: bool) -> str:
    if terminal:
        return (
            "The features have contracted onto the means of their classes, which are told apart "
            "without error: the terminal phase of training, and no fault."
        )
    return "The layers behind it tell inputs apart by a few numbers, and can learn little else."


def _remedy(terminal: bool) -> str:
    if terminal:
        return "None is needed. Choose the checkpoint by the validation loss."
    return (
        "See at which step the rank fell, and compare with a run at a lower learning rate or "
        "weight decay from there; look at dormant_units, and for inputs or labels that are alike."
    )
