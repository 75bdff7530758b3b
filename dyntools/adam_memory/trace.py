"""Trace: the SNR log that the SlimAdam authors' trainer writes, as a report.

    step,key,shape,compress_dims,snr,mean_sqr,var
    1,transformer.wte.weight,"(50304, 768)","(1,)",0.5696,2.2e-18,4.1e-18

dayal-kalra/low-memory-adam, of Kalra et al. 2025, arXiv:2503.01843: one row for each measured step,
parameter and set of averaged axes. Their code leaves ratios that are not finite out of the mean
over slices and writes an empty `snr` where none is left. As a report a trace takes part in all that
reads one; it says nothing of beta2, without which no SNR can be corrected for noise.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dyntools.adam_memory.evidence import Evidence, evidence_of
from dyntools.adam_memory.reading import SNR
from dyntools.errors import UsageError
from dyntools.forms import mean_over
from dyntools.layer_kinds import Kinds
from dyntools.measurement import Coordinate, Status
from dyntools.report import Report, Series

COLUMNS = ("step", "key", "shape", "compress_dims", "snr")
WRITTEN_BY = "a file with the columns " + ", ".join(COLUMNS) + ", as the SlimAdam trainer writes"
_TUPLE = re.compile(r"[(\[]\s*(\d+(?:\s*,\s*\d+)*)?\s*,?\s*[)\]]")
_LARGEST = 2**48  # weights in a tensor; more is a damaged file
_LAST = 2**63  # steps, which are kept in int64


@dataclass(frozen=True)
class _Line:
    step: int
    name: str
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    snr: float


def report_of_trace(path: Path) -> Report:
    """The trace as a report with the series `second_moment_snr`.

    Raises UsageError when the file is not there, has other columns, or a line that cannot be read.
    """
    lines = _lines(path)
    names = tuple(dict.fromkeys(line.name for line in lines))
    axes = tuple(sorted({line.axes for line in lines}, key=lambda one: (len(one), one)))
    labels = tuple(",".join(map(str, one)) for one in axes)
    steps = np.array(sorted({line.step for line in lines}), dtype=np.int64)
    shape = (len(steps), len(names), len(axes))
    values, kept, size = (np.full(shape, np.nan) for _ in range(3))
    status = np.full(shape, Status.absent, dtype=np.int8)
    row = {int(step): i for i, step in enumerate(steps)}
    column = {name: i for i, name in enumerate(names)}
    place = {one: i for i, one in enumerate(axes)}
    for line in lines:
        at = row[line.step], column[line.name], place[line.axes]
        values[at] = line.snr
        status[at] = Status.failed if math.isnan(line.snr) else Status.ok
        kept[at] = mean_over(*line.axes).values(line.shape)
        size[at] = math.prod(line.shape)
    beside = {"kept": kept, "size": size}
    series = _series(steps, {"layer": names, "axes": labels}, values, status, beside)
    return Report({"run": path.name, "step_unit": "step"}, {SNR: series})


def _series(
    steps: NDArray[np.int64],
    coords: Mapping[str, Coordinate],
    values: NDArray[np.float64],
    status: NDArray[np.int8],
    beside: Mapping[str, NDArray[np.float64]],
) -> Series:
    return Series(
        metric=SNR,
        group="optimizer",
        version=1,
        unit="mean² / variance",
        what="signal-to-noise ratio of the second moment over the averaged axes",
        paper="Kalra et al. 2025, arXiv:2503.01843",
        settings={},
        step_unit="step",
        steps=steps,
        dims=tuple(coords),
        coords=coords,
        values=values,
        error=None,
        status=status,
        beside=beside,
        seconds=np.zeros(len(steps)),
        matvecs=np.zeros(len(steps), dtype=np.int64),
        method=("read from a trace",) * len(steps),
    )


def evidence_of_trace(
    path: Path, *, kinds: Kinds | None = None, steps: Collection[int] | None = None
) -> Evidence:
    """`evidence_of` the trace. Raises UsageError as `report_of_trace`."""
    return evidence_of(report_of_trace(path), kinds=kinds, steps=steps)


def _lines(path: Path) -> list[_Line]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
            if missing:
                raise UsageError(
                    "This CSV is no SNR trace.",
                    where=str(path),
                    found="no column " + ", ".join(missing),
                    remedy=WRITTEN_BY,
                )
            lines = [_line(row, path, rows.line_num) for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(
            "The SNR trace cannot be read.", where=str(path), found=str(error), remedy=WRITTEN_BY
        ) from error
    if not lines:
        raise UsageError("The SNR trace is empty.", where=str(path), remedy=WRITTEN_BY)
    _check(lines, path)
    return lines


def _line(row: Mapping[str, str | None], path: Path, number: int) -> _Line:
    text = {name: (row[name] or "").strip() for name in COLUMNS}
    try:
        shape, axes = _integers(text["shape"]), _integers(text["compress_dims"])
        if not axes or list(axes) != sorted(set(axes)) or not mean_over(*axes).fits(shape):
            raise ValueError(f"axes {text['compress_dims']} of a tensor of {text['shape']}")
        if not 0 < math.prod(shape) < _LARGEST:
            raise ValueError(f"a tensor of {text['shape']}")
        snr = float(text["snr"] or math.nan)
        if snr < 0:
            raise ValueError(f"a negative SNR, {snr:g}")
        step = int(text["step"])
        if not 0 <= step < _LAST:
            raise ValueError(f"step {step}")
        return _Line(step, text["key"], shape, axes, snr)
    except ValueError as error:
        raise UsageError(
            "A line of the SNR trace cannot be read.",
            where=f"{path}, line {number}",
            found=str(error)[:200],
            remedy=WRITTEN_BY,
        ) from error


def _integers(text: str) -> tuple[int, ...]:
    """`(50304, 768)`, `(0,)` or `[1]`; whatever else is an error and never run."""
    found = _TUPLE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no list of whole numbers")
    return tuple(int(part) for part in (found[1] or "").split(",") if part.strip())


def _check(lines: list[_Line], path: Path) -> None:
    """One shape a tensor, one line for each step, tensor and set of axes."""
    shapes: dict[str, tuple[int, ...]] = {}
    seen: set[tuple[int, str, tuple[int, ...]]] = set()
    for line in lines:
        key = (line.step, line.name, line.axes)
        if shapes.setdefault(line.name, line.shape) != line.shape or key in seen:
            raise UsageError(
                "The SNR trace contradicts itself.",
                where=str(path),
                found=f"{line.name} has two shapes or, at step {line.step}, two lines for one set "
                "of axes",
                remedy="a trace of one run; of a resumed run drop the lines written twice",
            )
        seen.add(key)
