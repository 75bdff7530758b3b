"""Reports made by hand: random ones for round trips, with every odd value and shape there is."""

from __future__ import annotations

import numpy as np

from dyntools.log import Curve, Log, Role
from dyntools.report import CheckpointRow, Omission, Report, Series


def random_series(
    name: str = "effective_rank",
    dims: tuple[str, ...] = ("layer",),
    steps: tuple[int, ...] = (0, 10, 30),
    seed: int = 0,
) -> Series:
    """A per-layer metric with an error, two companions, a NaN and an omission."""
    generator = np.random.default_rng(seed)
    coords = {"layer": ("0.weight", "ünï.weight[query]"), "fraction": (0.0, 0.5, 1.0)}
    shape = (len(steps), *(len(coords[dim]) for dim in dims))
    values = generator.normal(size=shape)
    status = np.zeros(shape, dtype=np.int8)
    if values.size:
        values.flat[0], status.flat[0] = np.nan, 2
    return Series(
        metric=name,
        group="weights",
        version=1,
        unit="singular values",
        what="effective rank",
        paper="Roy & Vetterli 2007",
        settings={"power": 1, "name": "x"},
        step_unit="step",
        steps=np.array(steps, dtype=np.int64),
        dims=dims,
        coords={dim: coords[dim] for dim in dims},
        values=values,
        error=np.abs(values) / 100,
        status=status,
        beside={"null": values + 1, "initial": values * 2},
        seconds=generator.random(len(steps)),
        matvecs=np.arange(len(steps)),
        method=tuple(f"method {i}" for i in range(len(steps))),
        omissions=(Omission("0.bias", "1-d", steps),),
    )


def random_report(steps: tuple[int, ...] = (0, 10, 30), seed: int = 0) -> Report:
    """A report with per-layer, scalar and two-dim series, a log and three checkpoints."""
    generator = np.random.default_rng(seed)
    at = np.arange(0, 100, 5)
    losses = {
        name: Curve(name, at, generator.random(len(at)), "step", wall, "log.jsonl")
        for name, wall in (("train/loss", None), ("val/loss", at * 1.5))
    }
    roles = {Role.train_loss: "train/loss", Role.validation_loss: "val/loss"}
    series = (
        random_series(steps=steps, seed=seed),
        random_series("generalization_gap", (), steps, seed),
        random_series("singular_values", ("layer", "fraction"), steps, seed),
    )
    return Report(
        attributes={
            "run": "made by hand",
            "identity": "abc",
            "shard": "",
            "step_unit": "step",
            "steps": list(steps),
            "left_out": {"0.bias": "1-d"},
            "count": 3,
        },
        series={one.metric: one for one in series},
        checkpoints=(
            CheckpointRow("a.pt", "torch", 0, "`step` in the file", "ok", "", "f00"),
            CheckpointRow("b.pt", "torch", None, "", "damaged", "truncated"),
        ),
        log=Log(("log.jsonl",), ("jsonl",), losses, roles, ("a note on the log",)),
        notes=("a note", "and ünïcode"),
    )


def assert_same(one: Report, two: Report, *, but: tuple[str, ...] = ()) -> None:
    """Every number, label and word of two reports agrees, bit for bit; `but` names exceptions."""
    attributes = [
        {k: v for k, v in r.attributes.items() if k not in (*but, "schema", "schema_version")}
        for r in (one, two)
    ]
    assert attributes[0] == attributes[1]
    assert list(one.series) == list(two.series)
    assert tuple(one.checkpoints) == tuple(two.checkpoints)
    assert one.notes == two.notes
    for name, series in one.series.items():
        other = two.series[name]
        for field in series.__dataclass_fields__:
            if field not in but:
                a, b = getattr(series, field), getattr(other, field)
                assert _equal(a, b), f"{name}.{field}: {a} and {b}"
    assert (one.log is None) == (two.log is None)
    if one.log is not None and two.log is not None:
        assert one.log.roles == two.log.roles
        assert list(one.log.curves) == list(two.log.curves)
        for name, curve in one.log.curves.items():
            other_curve = two.log.curves[name]
            for field in curve.__dataclass_fields__:
                assert _equal(getattr(curve, field), getattr(other_curve, field)), (name, field)


def _equal(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(_equal(a[key], b[key]) for key in a)
    return a == b
