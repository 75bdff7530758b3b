"""Block disorder: the sharpness of a transformer's blocks is not in the order found for them.

    S(embedding) ≪ S(query, key) ≪ S(MLP) < S(value, output) ≪ S(norm)

Wang et al. 2025, The sharpness disparity principle in transformers, arXiv:2502.19002, who found the
order in GPT-2 and LLaMA of 0.12 to 2 billion parameters under AdamW from 2 % of the run on, and
scale the learning rates of the blocks against it.
"""

from __future__ import annotations

import math

import numpy as np

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.rows import amount, shortened
from dyntools.layer_kinds import BLOCKS, Kinds, block_of, kinds_from
from dyntools.report import Report, Series

ORDER = ("embedding", "attention qk", "mlp", "attention vo", "norm")  # from flat to sharp
MULTIPLIERS = "norm 1, value-output 4, MLP 6, query-key 8, embedding 10"  # of the paper
NEEDED = 3  # kinds, of which one is attention, to speak of a transformer's order; chosen
ERRORS = 2.0  # standard errors on either side; chosen
BEGINNING = 0.02  # of the run, until the order has formed: 1000 of 50 000 steps in the paper


def rule(report: Report) -> tuple[Finding, ...]:
    series = report.series.get("block_sharpness")
    if series is None or series.dims != ("block",):
        return ()
    rows = np.flatnonzero((series.ok & np.isfinite(series.values)).any(axis=1))
    if not len(rows) or series.steps[rows[-1]] <= BEGINNING * _length(report, series):
        return ()
    row = int(rows[-1])
    kinds = _by_kind(series, row, kinds_from(report.attributes))
    if len(kinds) < NEEDED or not any(kind.startswith("attention") for kind in kinds):
        return ()
    present = [kind for kind in ORDER if kind in kinds]
    swapped = [
        (flat, sharp)
        for i, flat in enumerate(present)
        for sharp in present[i + 1 :]
        if kinds[flat][0] - ERRORS * kinds[flat][1] > kinds[sharp][0] + ERRORS * kinds[sharp][1]
    ]
    return (_finding(series, row, kinds, swapped),) if swapped else ()


def _length(report: Report, series: Series) -> int:
    ends = [row.step for row in report.checkpoints if row.step is not None]
    if report.log is not None and report.log.unit == series.step_unit:
        ends.append(report.log.last_step or 0)
    return max([*ends, int(series.steps[-1])])


def _by_kind(series: Series, row: int, names: Kinds) -> dict[str, tuple[float, float]]:
    """Trace per parameter and its standard error of each kind in ORDER that was measured."""
    sizes = series.beside.get("parameters")
    totals: dict[str, list[float]] = {}
    for i, label in enumerate(series.coords["block"]):
        kind, value = _kind(str(label), names), float(series.values[row, i])
        size = 1.0 if sizes is None else float(sizes[row, i])
        if kind not in ORDER or not series.ok[row, i] or not math.isfinite(value * size):
            continue
        error = 0.0 if series.error is None else float(np.nan_to_num(series.error[row, i]))
        sums = totals.setdefault(kind, [0.0, 0.0, 0.0])
        # Errors of blocks share their probes, so they are added and not their squares.
        for place, amount_of in enumerate((value * size, error * size, size)):
            sums[place] += amount_of
    return {kind: (trace / n, error / n) for kind, (trace, error, n) in totals.items()}


def _kind(label: str, names: Kinds) -> str:
    """Of a block that is named by its kind, or by its tensor."""
    if label in BLOCKS:
        return label
    tensor, _, part = label.partition("[")
    if part:
        return block_of(part.rstrip("]"))
    return names.block(tensor, (1,) if tensor.endswith("bias") else (1, 1))


def _finding(
    series: Series,
    row: int,
    kinds: dict[str, tuple[float, float]],
    swapped: list[tuple[str, str]],
) -> Finding:
    flat, sharp = max(swapped, key=lambda pair: _disparity(kinds, pair))
    present = [kind for kind in ORDER if kind in kinds]
    step = f"{series.step_unit} {series.steps[row]}"
    return Finding(
        rule="block_disorder",
        severity=Severity.note,
        sentence=(
            f"At {step} the {flat} blocks are sharper than the {sharp} blocks, "
            f"{amount(kinds[flat][0])} against {amount(kinds[sharp][0])} per parameter; in "
            "transformers it is usually the other way round."
        ),
        evidence=shortened(
            [f"{kind}: {amount(kinds[kind][0])} ± {amount(kinds[kind][1])}" for kind in present]
        ),
        meaning="The principle that blockwise learning rates rest on does not hold in this run.",
        remedy=(
            f"Do not take over the paper's multipliers of the learning rate ({MULTIPLIERS}); give "
            f"the {flat} blocks no higher rate than the {sharp} blocks, and look at their "
            "initialisation and normalisation."
        ),
        paper="Wang et al. 2025, arXiv:2502.19002",
        caveat=(
            "Found in language models pre-trained with AdamW, from 1000 of 50 000 steps on; small "
            "models, other data and tied embeddings may order their blocks differently without "
            "harm."
        ),
        layers=(flat, sharp),
        step=int(series.steps[row]),
    )


def _disparity(kinds: dict[str, tuple[float, float]], pair: tuple[str, str]) -> float:
    above, below = kinds[pair[0]][0], kinds[pair[1]][0]
    return above / below if below > 0 else math.inf
