"""Reports made by hand: a small one whose tables can be read as screenshots, a realistic one of any
size, and the awkward ones (empty, only logs, only weights, nothing but NaN)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import ArrayLike

from dyntools.log import Curve, Log, Role
from dyntools.measurement import Coordinate, Status
from dyntools.report import CheckpointRow, Omission, Report, Series


def make_series(
    metric: str,
    steps: Sequence[int],
    values: ArrayLike,
    *,
    dims: tuple[str, ...] = ("layer",),
    coords: Mapping[str, Coordinate] | None = None,
    group: str = "weights",
    unit: str = "",
    what: str = "what it is",
    paper: str = "Author 2020, arXiv:2001.00001",
    error: ArrayLike | None = None,
    status: ArrayLike | None = None,
    beside: Mapping[str, ArrayLike] | None = None,
    omissions: tuple[Omission, ...] = (),
    step_unit: str = "step",
    probe: str = "",
) -> Series:
    array = np.asarray(values, dtype=np.float64)
    missing = np.where(np.isnan(array), Status.failed, Status.ok)
    return Series(
        metric=metric,
        group=group,
        version=1,
        unit=unit,
        what=what,
        paper=paper,
        settings={"seed": 0, **({"probe": probe} if probe else {})},
        step_unit=step_unit,
        steps=np.asarray(steps, dtype=np.int64),
        dims=dims,
        coords=coords or {},
        values=array,
        error=None if error is None else np.asarray(error, dtype=np.float64),
        status=np.asarray(missing if status is None else status, dtype=np.int8),
        beside={k: np.asarray(v, dtype=np.float64) for k, v in (beside or {}).items()},
        seconds=np.full(len(steps), 0.1),
        matvecs=np.zeros(len(steps), dtype=np.int64),
        method=("by hand",) * len(steps),
        omissions=omissions,
    )


def make_log(curves: Mapping[Role, tuple[ArrayLike, ArrayLike]]) -> Log:
    named = {
        role: Curve(
            role.value.replace("_", "/"),
            np.asarray(steps, dtype=np.int64),
            np.asarray(values, dtype=np.float64),
            "step",
            None,
            "metrics.csv",
        )
        for role, (steps, values) in curves.items()
    }
    return Log(
        sources=("metrics.csv",),
        formats=("csv",),
        curves={curve.name: curve for curve in named.values()},
        roles={role: curve.name for role, curve in named.items()},
        notes=(),
    )


@pytest.fixture
def build() -> Callable[..., Series]:
    return make_series


@pytest.fixture
def small() -> Report:
    """Three layers, three steps, one damaged checkpoint, one failed number."""
    layers = ("net.0.weight", "net.2.weight", "net.4.weight[query]")
    steps = (0, 50, 100)
    coords = {"layer": layers}
    rotation = make_series(
        "layer_rotation",
        steps,
        [[0, 0, 0], [0.125, 0.02, 0.5], [0.231, 0.031, np.nan]],
        coords=coords,
        unit="cosine distance",
        what="cosine distance of each kernel from its initialisation",
        paper="Carbonnelle & De Vleeschouwer 2019, arXiv:1806.01603",
        omissions=(Omission("net.0.bias", "1-d tensor", steps),
                   Omission("net.2.bias", "1-d tensor", (100,))),
    )  # fmt: skip
    norm = make_series(
        "spectral_norm",
        steps,
        [[1.0, 2.0, 3.0], [1.2, 2.1, 3.0], [1.5, 2.2, 12345.0]],
        coords=coords,
        what="largest singular value",
        error=[[1e-9, 1e-9, 0.3]] * 3,
        beside={
            "initial": [[1.0, 2.0, 3.0]] * 3,
            "ratio_to_initial": [[1, 1, 1], [1.2, 1.05, 1], [1.5, 1.1, 4115.0]],
        },
    )
    rank = make_series(
        "effective_rank",
        steps,
        [[8.0, 4.0, 2.0], [7.0, 3.5, 2.0], [6.0, 3.0, np.nan]],
        coords=coords,
        unit="dimensions",
        what="exponential of the entropy of the singular values",
        beside={"null": [[8.0, 5.0, 2.0]] * 3},
    )
    gap = make_series(
        "generalization_gap",
        (50, 100),
        [0.05, 0.3],
        dims=(),
        group="logs",
        unit="loss",
        what="validation loss minus training loss",
        error=[0.01, 0.02],
        beside={"best_step": [50, 50], "best_validation_loss": [0.9, 0.9], "gl": [0, 11.1]},
    )
    log = make_log(
        {
            Role.train_loss: ([0, 25, 50, 75, 100], [2.3, 1.2, 0.85, 0.75, 0.7]),
            Role.validation_loss: ([0, 50, 100], [2.31, 0.9, 1.0]),
            Role.learning_rate: ([0, 50, 100], [0.0, 0.001, 0.0005]),
        }
    )
    checkpoints = (
        CheckpointRow("step-0.pt", "torch", 0, "file name", "ok"),
        CheckpointRow("step-50.pt", "torch", 50, "file name", "ok"),
        CheckpointRow("step-100.pt", "torch", 100, "file name", "ok"),
        CheckpointRow("step-150.pt", "torch", None, "", "damaged", "the zip ends early"),
    )
    series = {s.metric: s for s in (rotation, norm, rank, gap)}
    return Report({"run": "tiny", "path": "runs/tiny"}, series, checkpoints, log, ("One note.",))


def realistic_report(blocks: int, checkpoints: int, last_step: int = 20_000) -> Report:
    """A transformer-like run: 6 layers a block, all the metrics of weights and logs."""
    random = np.random.default_rng(0)
    parts = ("attn.c_attn.weight[query]", "attn.c_attn.weight[key]", "attn.c_attn.weight[value]",
             "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")  # fmt: skip
    layers = tuple(f"transformer.h.{i}.{part}" for i in range(blocks) for part in parts)
    n = len(layers)
    steps = np.linspace(0, last_step, checkpoints).round().astype(int)
    time = (steps / last_step)[:, None]
    depth = np.repeat(np.linspace(0, 1, blocks), len(parts))[None, :]
    kind = np.tile([1.0, 1.1, 0.6, 0.8, 0.9, 0.7], blocks)[None, :]
    speed = kind * (1.2 - 0.7 * depth) * np.exp(0.08 * random.standard_normal((1, n)))
    rotation = 1 - np.exp(-1.1 * speed * time**0.6)
    shape_null = np.tile([620.0, 620.0, 620.0, 620.0, 742.0, 742.0], blocks)[None, :]
    rank = shape_null * (1 - 0.45 * rotation**1.5)
    growth = 1 + 3 * rotation * (0.4 + depth)
    start = 2.2 + 0.6 * depth + np.zeros((1, n))
    alpha = 6 - 3 * rotation + 0.1 * random.standard_normal(rotation.shape)
    coords = {"layer": layers}
    ones = np.ones_like(rotation)
    skipped = tuple(
        Omission(f"transformer.h.{i}.ln_{k}.weight", "1-d tensor of 768 values: a spectrum needs a"
                 " matrix", tuple(steps.tolist())) for i in range(blocks) for k in (1, 2)
    )  # fmt: skip

    def one(metric: str, values: ArrayLike, **more: object) -> Series:
        return make_series(metric, steps.tolist(), values, coords=coords, **more)  # type: ignore[arg-type]

    update = np.full_like(rotation, np.nan)
    update[1:] = np.diff(rotation, axis=0) * 40 / np.diff(steps)[:, None]
    status = np.where(np.isnan(update), Status.absent, Status.ok)
    fraction = tuple(np.linspace(0, 1, 33).tolist())
    tail = np.linspace(0, 1, 33)[None, None, :]
    spectrum = (start * growth)[:, :, None] * np.exp(
        -(2 + 3 * rotation[:, :, None]) * tail**0.7
    ) - 0.3 * tail**6
    all_series = (
        one("layer_rotation", rotation, unit="cosine distance",
            what="cosine distance of each kernel from its initialisation",
            paper="Carbonnelle & De Vleeschouwer 2019, arXiv:1806.01603", omissions=skipped),
        one("angular_update", update, unit="degrees per step", status=status,
            what="angle between successive checkpoints", beside={"total": 57 * rotation}),
        one("weight_norm", 20 * growth**0.5, unit="Frobenius norm", what="norm of each tensor",
            beside={"initial": 20 * ones, "ratio_to_initial": growth**0.5}),
        one("spectral_norm", start * growth, unit="singular value", what="largest singular value",
            error=1e-7 * ones, omissions=skipped,
            beside={"initial": start * ones, "ratio_to_initial": growth}),
        one("effective_rank", rank, unit="dimensions",
            what="exponential of the entropy of the singular values",
            beside={"per": rank / 768, "null": shape_null * ones,
                    "initial": shape_null * ones}),
        one("stable_rank", 190 / growth, unit="dimensions", what="‖W‖²_F / s₁²",
            beside={"relative": 0.25 / growth, "null": 195 * ones, "initial": 190 * ones}),
        one("condition_number", 10 ** (2 + 2 * rotation), what="s_max / s_min"),
        one("spectral_alpha", alpha, what="power-law exponent of the eigenvalue tail",
            error=0.25 * ones, beside={"ks_distance": 0.05 * ones}),
        one("sparsity", 0.2 + 0.3 * rotation, what="PQ index",
            beside={"near_zero": 0.05 * rotation}),
        make_series("singular_values", steps.tolist(), spectrum, dims=("layer", "fraction"),
                    coords={"layer": layers, "fraction": fraction}, unit="singular value",
                    what="quantiles of the singular values, largest first"),
    )  # fmt: skip
    log, log_series = realistic_log(last_step)
    rows = [CheckpointRow(f"ckpt_{s}.pt", "torch", int(s), "file", "ok") for s in steps]
    return Report(
        {"run": "gpt-124m-fineweb", "path": "runs/gpt-124m-fineweb", "step_unit": "step",
         "dyntools_version": "0.1.0", "device": "cpu", "started": "2025-11-21T01:55:00+00:00"},
        {s.metric: s for s in (*all_series, *log_series)},
        tuple(rows),
        log,
    )  # fmt: skip


def realistic_log(last_step: int) -> tuple[Log, tuple[Series, ...]]:
    random = np.random.default_rng(1)
    steps = np.arange(0, last_step + 1, max(last_step // 2000, 1))
    time = steps / last_step
    train = 3.0 + 7.8 * np.exp(-9 * time**0.6) - 0.5 * time
    noisy = train + 0.06 * random.standard_normal(len(steps))
    checks = steps[:: max(len(steps) // 40, 1)]
    at = np.searchsorted(steps, checks)
    validation = train[at] + 0.02 + 1.4 * np.clip(time[at] - 0.55, 0, None) ** 1.5
    validation += 0.01 * random.standard_normal(len(at))
    warm = np.minimum(time / 0.05, 1) * (0.1 + 0.45 * (1 + np.cos(np.pi * time)))
    log = make_log(
        {
            Role.train_loss: (steps, noisy),
            Role.validation_loss: (checks, validation),
            Role.learning_rate: (steps, 6e-4 * warm),
            Role.gradient_norm: (steps, 0.4 + 2 * np.exp(-8 * time)),
        }
    )
    best = np.array([int(np.argmin(validation[: i + 1])) for i in range(len(checks))])
    gap = make_series(
        "generalization_gap", checks.tolist(), validation - train[at], dims=(), group="logs",
        unit="loss", what="validation loss minus training loss",
        paper="Prechelt 1998, doi:10.1007/3-540-49430-8_3", error=np.full(len(checks), 0.02),
        beside={"best_step": checks[best], "best_validation_loss": validation[best],
                "gl": 100 * (validation / validation[best] - 1)},
    )  # fmt: skip
    spikes = make_series(
        "loss_spikes", checks.tolist(), np.linspace(0, 0.4, len(checks)), dims=(), group="logs",
        unit="%", what="share of training losses far from their recent mean",
    )  # fmt: skip
    return log, (gap, spikes)


@pytest.fixture
def realistic() -> Callable[[int, int], Report]:
    return realistic_report


PROBE = "961e3967027e8aa2: 300 examples, eval, float32"


@pytest.fixture
def curvature() -> Report:
    """Every dim that metrics of curvature have, along a run that ends at the edge of stability."""
    steps = (0, 100, 200, 400)
    growth = np.array([0.3, 0.7, 1.02, 1.05])
    ranks = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, -1, -2)
    share = np.array([1, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, -0.1, -0.05])
    blocks = ("all", "0.weight", "2.weight")
    part = np.array([1.0, 0.6, 0.5])
    top = 20 * growth[:, None, None] * part[None, :, None] * share[None, None, :]
    only_all = np.where(np.arange(3)[None, :, None] == 0, 1.0, np.nan) * np.ones_like(top)
    relative = tuple((np.arange(-20, 21) / 20).tolist())
    x = np.array(relative)
    density = np.exp(-((x / 0.1) ** 2)) + 0.01 * np.exp(-(((x - 0.8) / 0.02) ** 2))
    offsets = (-1.0, -0.5, 0.0, 0.5, 1.0)
    valley = np.array(offsets)[:, None] ** 2 + 3 * np.array(offsets)[None, :] ** 2

    def one(metric: str, values: ArrayLike, **more: object) -> Series:
        return make_series(
            metric,
            steps,
            values,
            group="curvature",
            probe=PROBE,
            **more,  # type: ignore[arg-type]
        )

    all_series = (
        one("hessian_top", top, dims=("block", "rank"), coords={"block": blocks, "rank": ranks},
            unit="loss / weight²", what="largest eigenvalues of the Hessian of the loss",
            error=0.001 * np.abs(top),
            beside={"learning_rate": 0.1 * only_all, "threshold": 20 * only_all,
                    "sampling_error": 1.5 * only_all}),
        one("adam_sharpness", growth[:, None] * 380, dims=("rank",), coords={"rank": (1,)},
            unit="1 / learning rate", beside={"threshold": np.full((4, 1), 380.0)}),
        one("block_sharpness", np.outer(growth, [3.0, 0.02]), dims=("block",),
            coords={"block": blocks[1:]}, unit="loss / weight²"),
        one("directional_sharpness", np.outer(growth, [5.0, 0.1]), dims=("direction",),
            coords={"direction": ("gradient", "update")}, unit="loss / weight²"),
        one("batch_sharpness", np.outer(growth, [30.0, 22.0, 20.0]), dims=("batch_size",),
            coords={"batch_size": (8, 64, 4096)}, unit="loss / weight²",
            error=np.outer(growth, [3.0, 1.0, 0.0])),
        one("hessian_density", np.tile(density, (4, 1, 1)),
            dims=("block", "relative_eigenvalue"),
            coords={"block": ("all",), "relative_eigenvalue": relative},
            unit="share / relative eigenvalue",
            beside={"eigenvalue": 20 * growth[:, None, None] * x[None, None, :]}),
        one("loss_slice", 0.5 + growth[:, None] * np.array(offsets) ** 2, dims=("offset",),
            coords={"offset": offsets}, unit="loss"),
        one("loss_plane", 0.5 + growth[:, None, None] * valley, dims=("along", "across"),
            coords={"along": offsets, "across": offsets}, unit="loss"),
        one("sam_sharpness", growth / 100, dims=(), unit="loss", error=growth / 1e4),
    )  # fmt: skip
    return Report({"run": "digits", "path": "digits"}, {s.metric: s for s in all_series})
