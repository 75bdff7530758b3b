"""A large report made by hand: 100 checkpoints of a model of 150 tensors, with every metric of
weights, optimizer state and curvature, and numbers that no smoothing makes small."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dyntools.log import Curve, Log, Role
from dyntools.measurement import Coordinate
from dyntools.metrics import METRICS
from dyntools.report import CheckpointRow, Omission, Report, Series

PARTS = ("attn.c_attn.weight", "attn.c_attn.bias", "attn.c_proj.weight", "attn.c_proj.bias",
         "ln_1.weight", "ln_1.bias", "ln_2.weight", "ln_2.bias", "mlp.c_fc.weight", "mlp.c_fc.bias",
         "mlp.c_proj.weight", "mlp.c_proj.bias")  # fmt: skip
DEPTH = 12
COORDS: dict[str, Coordinate] = {
    "fraction": tuple(np.linspace(0, 1, 33).tolist()),
    "axes": ("0", "1", "0,1"),
    "form": ("axes 0", "axes 1", "axes 0,1", "factored", "adam-mini", "subset-norm", "8-bit"),
    "rank": tuple(range(1, 11)),
    "relative_eigenvalue": tuple(np.linspace(-1, 1, 201).tolist()),
    "direction": ("gradient", "random", "update"),
    "batch_size": (8, 16, 32, 64, 128, 256),
    "position": tuple(np.linspace(-1, 1, 21).tolist()),
}
QUANTILES = ("q05", "q25", "q50", "q75", "q95")
BESIDE = {
    "weight_norm": ("rms", "initial", "ratio_to_initial"),
    "effective_rank": ("relative", "null", "initial"),
    "stable_rank": ("relative", "null", "initial"),
    "participation_ratio": ("relative", "null", "initial"),
    "spectral_norm": ("null", "initial", "ratio_to_initial"),
    "condition_number": ("at_least", "null", "initial"),
    "update_rank": ("relative", "null"),
    "spectral_alpha": ("ks_distance", "tail_size", "xmin_relative"),
    "sparsity": ("near_zero", "null"),
    "update_snr": (*QUANTILES, "zero", "null"),
    "effective_lr": (*QUANTILES, "largest", "lr"),
    "epsilon_underflow": ("near", "above", "zero", "rms_ratio", "eps"),
    "second_moment_drift": ("total", "null", "l1_ratio", "cosine", "mean_change", "steps"),
    "trust_ratio": ("weight_norm", "update_norm", "relative_step", "weight_decay"),
    "hessian_top": ("learning_rate", "threshold"),
    "adam_sharpness": ("learning_rate", "threshold"),
    "hessian_diagonal": ("mean", "rms", "l1", "positive", "negative"),
}


def layers(tensors: int = 150) -> tuple[str, ...]:
    names = [f"transformer.h.{i}.{part}" for i in range(DEPTH) for part in PARTS]
    names += ["transformer.wte.weight", "transformer.wpe.weight", "transformer.ln_f.weight",
              "transformer.ln_f.bias", "lm_head.weight", "lm_head.bias"]  # fmt: skip
    return tuple(names[:tensors])


def large_report(checkpoints: int = 100, names: Sequence[str] | None = None) -> Report:
    """Every number is random, by a seed: the worst case for what neighbours share."""
    random = np.random.default_rng(0)
    names = layers() if names is None else names
    steps = np.unique(np.geomspace(1, 60_000, checkpoints + 40).astype(int))[-checkpoints:]
    coords: dict[str, Coordinate] = {**COORDS, "layer": tuple(names), "block": ("all",)}
    series = {}
    for metric in METRICS:
        if metric.group in ("weights", "optimizer", "curvature"):
            dims = tuple(metric.dims)
            if metric.name == "block_sharpness":
                coords["block"] = tuple(names)
            shape = (len(steps), *(len(coords[dim]) for dim in dims))
            series[metric.name] = _series(metric, dims, coords, steps, shape, random)
            coords["block"] = ("all",)
    at = np.arange(0, 60_000, 10)
    loss = 3 + 7 * np.exp(-at / 4000) + 0.1 * random.standard_normal(len(at))
    curves = {"train/loss": loss, "val/loss": loss + 0.1, "lr": 1e-3 * np.cos(at / 4e4)}
    roles = (Role.train_loss, Role.validation_loss, Role.learning_rate)
    log = Log(
        ("log.jsonl",),
        ("jsonl",),
        {n: Curve(n, at, values, "step", None, "log.jsonl") for n, values in curves.items()},
        dict(zip(roles, curves, strict=True)),
        (),
    )  # fmt: skip
    rows = [CheckpointRow(f"ckpt-{s}.pt", "torch", int(s), "file name", "ok") for s in steps]
    shapes = {name: [64, 64] if name.endswith("weight") else [64] for name in names}
    attributes = {"run": "gpt-124m", "step_unit": "step", "shapes": shapes, "steps": steps.tolist()}
    return Report(attributes, series, rows, log, ("A note.",))


def _series(metric, dims, coords, steps, shape, random) -> Series:  # type: ignore[no-untyped-def]
    values = np.exp(random.standard_normal(shape)) * np.linspace(1, 3, len(steps)).reshape(
        -1, *(1,) * len(dims)
    )
    status = np.zeros(shape, dtype=np.int8)
    if len(dims) == 1:
        values[0, :3], status[0, :3] = np.nan, 2
    return Series(
        metric.name, metric.group, metric.version, metric.unit, metric.what, metric.paper,
        {"seed": 0}, "step", steps, dims, {dim: coords[dim] for dim in dims}, values,
        0.01 * values, status,
        {key: values * random.random(shape) for key in BESIDE.get(metric.name, ())},
        np.ones(len(steps)), np.ones(len(steps), dtype=np.int64), ("by hand",) * len(steps),
        (Omission("transformer.ln_f.bias", "1-d", tuple(steps.tolist())),),
    )  # fmt: skip
