"""Spike warning: gradients far larger than Adam expects, which come before spikes of the loss.

    RMS of g/√v̂ ≥ 2.3 in a tensor, at one of the last 8 steps

Wortsman et al. 2023, Stable and low-precision training for large-scale vision-language models,
arXiv:2304.13013: in CLIP the loss spikes 1 to 8 steps after the squared gradients have outgrown the
second moment, seen in the patch embedding; 2.3 is what they count as such an event.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.rows import also_in, amount, shortened
from dyntools.report import Report, Series

THRESHOLD = 2.3  # RMS; Wortsman et al. 2023
AHEAD = 8  # steps within which the loss spikes; Wortsman et al. 2023
FEWEST = 256  # weights: the RMS of noise over fewer passes 2.3 by chance; chosen
LASTING = 2  # measured steps of the last 8 above the threshold; chosen, no source


@dataclass(frozen=True, eq=False)
class _Spikes:
    """RMS (steps, layers) at the last steps, NaN where it cannot count."""

    series: Series
    rows: NDArray[np.intp]
    values: NDArray[np.float64]

    @property
    def counts(self) -> NDArray[np.int64]:
        return np.asarray((self.values >= THRESHOLD).sum(axis=0))

    def line(self, i: int) -> str:
        ceiling = self.series.beside["ceiling"][self.rows, i]
        course = ", ".join(
            f"{amount(float(value))} at {self.series.step_unit} {self.series.steps[row]}"
            for row, value in zip(self.rows, self.values[:, i], strict=True)
            if np.isfinite(value)
        )
        return f"{self.name(i)}: RMS {course}; it cannot pass {amount(float(ceiling[-1]))}"

    def name(self, i: int) -> str:
        return str(self.series.coords["layer"][i])


def rule(report: Report) -> tuple[Finding, ...]:
    spikes = _last(report.series.get("rms_spike"))
    if spikes is None or not (spikes.counts > 0).any():
        return ()
    highest = _filled(spikes.values).max(axis=0)
    order = [int(i) for i in np.argsort(-highest, kind="stable") if spikes.counts[i] > 0]
    names = tuple(spikes.name(i) for i in order)
    column = _filled(spikes.values)[:, order[0]]
    step = int(spikes.series.steps[spikes.rows[int(column.argmax())]])
    also = also_in(names)
    lasting = bool((spikes.counts >= LASTING).any())
    return (
        Finding(
            rule="spike_warning",
            severity=Severity.act if lasting else Severity.watch,
            sentence=(
                f"The gradients of {names[0]} at {spikes.series.step_unit} {step} are "
                f"{amount(float(column.max()))} times what Adam's second moment expects{also}."
            ),
            evidence=shortened([spikes.line(i) for i in order]),
            meaning=(
                "The second moment is out of date, so the steps there are too long by about that "
                f"factor. In CLIP, loss spikes came 1 to {AHEAD} steps after a value of "
                f"{THRESHOLD:g} in the patch embedding."
            ),
            remedy=(
                "Keep a checkpoint from before. Clip the update by its RMS as StableAdamW and "
                "Adafactor do (learning rate over max(1, RMS), per tensor), lower Adam's beta2, or "
                "lower the learning rate."
            ),
            paper="Wortsman et al. 2023, arXiv:2304.13013",
            caveat=(
                "Their threshold is for CLIP with AdamW, and not every such value is followed by a "
                "spike. Gradients that grow in the first steps, a change of data and rare tokens "
                "raise the RMS too. Steps between two reports are not seen."
            ),
            layers=names,
            step=step,
        ),
    )


def _last(series: Series | None) -> _Spikes | None:
    """None where it was not measured at the last step, or not with gradients of training.

    The gradient of a probe is in no second moment, and has no ceiling.
    """
    if series is None or series.dims != ("layer",) or not series.ok.any():
        return None
    rows = np.flatnonzero(series.steps > series.steps[-1] - AHEAD)
    nothing = np.full(series.values.shape, np.nan)
    ceiling, size = (series.beside.get(name, nothing)[rows] for name in ("ceiling", "size"))
    counts = series.ok[rows] & np.isfinite(ceiling) & (size >= FEWEST)
    return _Spikes(series, rows, np.where(counts, series.values[rows], np.nan))


def _filled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.nan_to_num(values, nan=-np.inf))
