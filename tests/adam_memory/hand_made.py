"""Reports and evidence made by hand, from a few numbers a tensor."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from dyntools.adam_memory import Candidate, Evidence, Tensor
from dyntools.assembly import series_of
from dyntools.forms import Form, form_of, in_blocks, mean_over
from dyntools.journal import Row
from dyntools.log import Log
from dyntools.measurement import Measurement, Status
from dyntools.report import CheckpointRow, Report, Series

Shape = tuple[int, ...]
Numbers = Mapping[str, Mapping[str, Sequence[float]]]  # name → label → one number a step


def evidence(*tensors: Tensor, steps: tuple[int, ...] = (10, 20)) -> Evidence:
    return Evidence(tensors, steps, "step", 39.0, 19.5, "made by hand")


def tensor(name: str, shape: Shape, kind: str = "mlp up", **snr: float) -> Tensor:
    """`tensor("w", (4, 8), axes_0=2.0, axes_01=0.5)`."""
    candidates = []
    for label, value in snr.items():
        form = mean_over(*map(int, label.removeprefix("axes_")))
        candidates.append(Candidate(form, form.label, value, value))
    return Tensor(name, shape, kind, tuple(candidates))


def with_errors(
    name: str, shape: Shape, errors: Mapping[str, float], kind: str = "mlp up"
) -> Tensor:
    """Candidates by their label, Adam-mini with a block a row; no SNR."""
    forms = {label: form_at(label, shape) for label in errors}
    found = [Candidate(forms[label], label, update_error=e) for label, e in errors.items()]
    return Tensor(name, shape, kind, tuple(found))


def form_at(label: str, shape: Shape) -> Form:
    return in_blocks(shape[0]) if label == "adam-mini" else form_of(label)


def subsets(shape: Shape) -> list[str]:
    """All sets of the axes longer than one, as the metric labels them."""
    axes = [i for i, n in enumerate(shape) if n > 1]
    sets = (s for r in range(1, len(axes) + 1) for s in itertools.combinations(axes, r))
    return [",".join(map(str, one)) for one in sets]


def snr_series(
    shapes: Mapping[str, Shape],
    snr: Numbers,
    *,
    steps: Sequence[int],
    n_eff: float = 39.0,
    corrected: Numbers | None = None,
    skipped: Mapping[str, str] | None = None,
    step_unit: str = "step",
) -> Series:
    """A label that is not named has NaN and failed; every set of axes is in the series."""
    labels = tuple(dict.fromkeys(label for s in shapes.values() for label in subsets(s)))
    rows = []
    for i, step in enumerate(steps):
        size = np.full((len(shapes), len(labels)), np.nan)
        values, kept, right = size.copy(), size.copy(), size.copy()
        status = np.full(size.shape, Status.absent)
        for j, (name, shape) in enumerate(shapes.items()):
            for label in subsets(shape):
                at = j, labels.index(label)
                size[at] = math.prod(shape)
                kept[at] = form_of(f"axes {label}").values(shape)
                values[at] = snr.get(name, {}).get(label, [math.nan] * len(steps))[i]
                right[at] = values[at]
                if corrected is not None:
                    right[at] = corrected.get(name, {}).get(label, [math.nan] * len(steps))[i]
                status[at] = Status.failed if math.isnan(values[at]) else Status.ok
        beside = {"kept": kept, "size": size, "corrected": right}
        beside |= {"n_eff": np.where(np.isnan(size), np.nan, n_eff)}
        beside |= {"ceiling": np.where(np.isnan(size), np.nan, 19.5)}
        part = Measurement(
            values,
            ("layer", "axes"),
            {"layer": tuple(shapes), "axes": labels},
            status=status,
            beside=beside,
            skipped=skipped or {},
        )
        rows.append(Row("second_moment_snr", step, 0.0, part))
    return series_of(entry("second_moment_snr", ("layer", "axes"), step_unit), rows)


def compression_series(
    shapes: Mapping[str, Shape], errors: Numbers, *, steps: Sequence[int]
) -> Series:
    """The relative error of the update; cosine 1 - error, error of v twice that of the update."""
    labels = tuple(dict.fromkeys(label for of in errors.values() for label in of))
    rows = []
    for i, step in enumerate(steps):
        values = np.full((len(shapes), len(labels)), np.nan)
        kept, full = values.copy(), values.copy()
        for j, (name, shape) in enumerate(shapes.items()):
            for label, numbers in errors.get(name, {}).items():
                at = j, labels.index(label)
                values[at], full[at] = numbers[i], 4 * math.prod(shape)
                kept[at] = form_at(label, shape).values(shape)
        part = Measurement(
            values,
            ("layer", "form"),
            {"layer": tuple(shapes), "form": labels},
            beside={
                "kept": kept,
                "bytes_full": full,
                "cosine": 1 - values,
                "v_error": 2 * values,
            },
        )
        rows.append(Row("second_moment_compression", step, 0.0, part))
    return series_of(entry("second_moment_compression", ("layer", "form")), rows)


def entry(metric: str, dims: tuple[str, ...], step_unit: str = "step") -> dict[str, object]:
    words = dict.fromkeys(("group", "unit", "what", "paper"), "by hand")
    settings: dict[str, object] = {}
    shared = {"version": 1, "settings": settings, "step_unit": step_unit, "dims": dims}
    return {"metric": metric, **words, **shared}


def report(
    *series: Series,
    log: Log | None = None,
    checkpoints: Sequence[int] = (),
    **attributes: object,
) -> Report:
    rows = tuple(CheckpointRow(f"{step}.pt", "torch", step, "", "ok") for step in checkpoints)
    return Report({"run": "by hand", **attributes}, {s.metric: s for s in series}, rows, log)
