"""Evidence: what a report knows about keeping the second moment of each tensor in less memory.

From the series `second_moment_snr` and `second_moment_compression`. The signal-to-noise ratio of a
form is the plain mean over the measured steps, as its authors take it (Kalra et al. 2025,
arXiv:2503.01843); its errors are the worst over the steps. A ratio is infinite where every slice is
constant, which no averaging can harm, and one such step makes the mean infinite.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from dyntools.adam_memory.reading import COMPRESSION, SNR, Part, mean_of, restricted, tensors_of
from dyntools.adam_memory.tensor import Tensor
from dyntools.errors import ReportError
from dyntools.layer_kinds import Kinds, kinds_from
from dyntools.report import Report

MEASURE = "measure them: dyntools analyze RUN --preset low-memory"


@dataclass(frozen=True)
class Evidence:
    """All that a decision reads.

    steps: at which anything was measured, ascending. n_eff: squared gradients in an average, mean
    over tensors and steps; ceiling: of the SNR under Gaussian noise, late in training. Both NaN
    where the report holds none.
    left_out: tensors of which not even the size is known, with the reason.
    """

    tensors: tuple[Tensor, ...]
    steps: tuple[int, ...]
    step_unit: str
    n_eff: float
    ceiling: float
    source: str
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many weights, over all tensors."""
        return sum(tensor.size for tensor in self.tensors)


def evidence_of(
    report: Report, *, kinds: Kinds | None = None, steps: Collection[int] | None = None
) -> Evidence:
    """What the report holds, at all measured steps or only at `steps`.

    kinds: of layers; None takes those that the report was made with.
    Raises ReportError when neither series is there, or when none of the steps was measured.
    """
    names = [name for name in (SNR, COMPRESSION) if name in report.series]
    found = [restricted(report.series[name], steps) for name in names]
    if not found:
        raise ReportError("The report holds no second moments.", remedy=MEASURE)
    measured = sorted(
        {int(step) for one in found for step in one.series.steps[one.rows][_any(one.ok)]}
    )
    if not measured:
        raise ReportError(
            "No second moment was measured" + ("." if steps is None else " at these steps."),
            found=_reasons(found),
            remedy=MEASURE if steps is None else "steps: " + _steps_of(report),
        )
    by_metric = {one.series.metric: one for one in found}
    kinds = kinds or kinds_from(report.attributes)
    tensors, left_out = tensors_of(by_metric, kinds, report.shapes)
    snr = by_metric.get(SNR)
    return Evidence(
        tensors,
        tuple(measured),
        found[0].series.step_unit,
        math.nan if snr is None else float(mean_of(snr.beside("n_eff").ravel())),
        math.nan if snr is None else float(mean_of(snr.beside("ceiling").ravel())),
        str(report.attributes.get("run", "") or "report"),
        left_out,
    )


def by_kind(evidence: Evidence) -> dict[str, dict[str, float]]:
    """Kind of layer → label of axes → mean of the raw SNR over the layers that have a number."""
    collected: dict[str, dict[str, list[float]]] = {}
    for tensor in evidence.tensors:
        for one in tensor.candidates:
            if not math.isnan(one.snr):
                collected.setdefault(tensor.kind, {}).setdefault(one.label, []).append(one.snr)
    return {
        kind: {label: float(np.mean(values)) for label, values in labels.items()}
        for kind, labels in collected.items()
    }


def without(evidence: Evidence, *labels: str) -> Evidence:
    """Without some candidates: `without(evidence, "8-bit")` leaves what `SlimAdamW` can run."""
    tensors = (
        replace(tensor, candidates=tuple(c for c in tensor.candidates if c.label not in labels))
        for tensor in evidence.tensors
    )
    return replace(evidence, tensors=tuple(tensors))


def _any(ok: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(ok.any(axis=(1, 2)))


def _reasons(parts: list[Part]) -> str:
    told = dict.fromkeys(omission.reason for one in parts for omission in one.series.omissions)
    return "; ".join(list(told)[:3])


def _steps_of(report: Report) -> str:
    present = [report.series[name] for name in (SNR, COMPRESSION) if name in report.series]
    found = {int(step) for series in present for step in series.steps}
    return ", ".join(map(str, sorted(found)[:20]))
