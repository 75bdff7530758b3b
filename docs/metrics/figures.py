"""The figures and the tables of closed forms in the pages of the metrics.

    python docs/metrics/figures.py            writes docs/metrics/figures/*.png
    python docs/metrics/figures.py tables     prints the tables

Run from the root of the repository with dyntools installed. The figures are those of `dyntools
plot`, at a size for a page, of reports on the runs in `fixtures/runs`, those of curvature with the
`problem.py` of the run; the tables compare the nulls of the metrics with one random matrix of each
shape (seed 0).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch

from dyntools import Report, Snapshot, Tensors, analyze, make_plan, measure, open_run
from dyntools.metrics.activations import ACTIVATIONS
from dyntools.metrics.curvature import CURVATURE
from dyntools.metrics.gradients import GRADIENTS
from dyntools.problem.loading import load_problem
from dyntools.views.plots import plots
from dyntools.views.style import styled

HERE = Path(__file__).parent
RUNS = HERE.parent.parent / "fixtures" / "runs"
DOTS_PER_INCH = 96
FIGURES = {  # file: (run, the name of the figure, metrics to measure)
    "training": ("digits-mlp", "training", ("generalization_gap",)),
    "generalization_gap": ("digits-mlp", "generalization_gap", ("generalization_gap",)),
    "refined_schedule": ("tiny-gpt", "refined_schedule", ("refined_schedule",)),
    "layer_rotation": ("digits-mlp", "layer_rotation", ("layer_rotation",)),
    "singular_values": ("digits-mlp", "singular_values", ("singular_values",)),
    "spectral_norm": ("tiny-gpt", "spectral_norm", ("spectral_norm",)),
    "relative_update": ("tiny-gpt", "relative_update", ("relative_update",)),
    "effective_rank": ("digits-mlp", "effective_rank", ("effective_rank",)),
    "weight_norm": ("digits-mlp", "weight_norm", ("weight_norm",)),
    "second_moment_snr": ("digits-mlp", "second_moment_snr", ("second_moment_snr",)),
    "second_moment_compression": (
        "digits-mlp",
        "second_moment_compression",
        ("second_moment_compression",),
    ),
    "update_snr": ("tiny-gpt", "update_snr", ("update_snr",)),
    "epsilon_underflow": ("digits-mlp", "epsilon_underflow", ("epsilon_underflow",)),
    "effective_lr": ("digits-mlp", "effective_lr", ("effective_lr",)),
    "second_moment_drift": ("digits-mlp", "second_moment_drift", ("second_moment_drift",)),
    "trust_ratio": ("digits-mlp", "trust_ratio", ("trust_ratio",)),
    "block_sharpness": ("tiny-gpt", "block_sharpness", ("block_sharpness:block=kind",)),
    **{
        metric.name: ("tiny-gpt", metric.name, (metric.name,))
        for metric in GRADIENTS
        if metric.name != "rms_spike"
    },
    **{metric.name: ("tiny-gpt", metric.name, (metric.name,)) for metric in ACTIVATIONS},
    "neural_collapse": ("digits-mlp", "neural_collapse", ("neural_collapse",)),
    "validation_gap": ("digits-mlp", "validation_gap", ("validation_gap",)),
    **{
        metric.name: ("digits-mlp", metric.name, (metric.name,))
        for metric in CURVATURE
        if metric.name != "block_sharpness"
    },
}
SHAPES = ((768, 768), (3072, 768), (768, 2304), (64, 768))


def report_of(run: str, metrics: tuple[str, ...], folder: Path) -> Report:
    opened = open_run(RUNS / run)
    of_a_loss = {metric.name for metric in (*CURVATURE, *GRADIENTS, *ACTIVATIONS)}
    problem = None
    if metrics[0].partition(":")[0] in of_a_loss:
        problem = load_problem(str(RUNS / run / "problem.py"), opened.checkpoints[-1])
    plan = make_plan(opened, metrics, problem=problem)
    return analyze(opened, plan, folder / f"{run}.h5", force=True)


def draw() -> None:
    for name, (run, stem, metrics) in FIGURES.items():
        with tempfile.TemporaryDirectory() as folder:
            report = report_of(run, metrics, Path(folder))
        figure = dict(plots(report, None if stem == "training" else stem))[stem]
        path = HERE / "figures" / f"{name}.png"
        with styled():
            figure.savefig(path, dpi=DOTS_PER_INCH)
        print(f"{path.relative_to(HERE)}: {path.stat().st_size // 1024} kB")


def random_matrix(rows: int, columns: int) -> Snapshot:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(rows, columns, generator=generator)
    return Snapshot(0, Tensors.of({"weight": weight}))


def print_nulls() -> None:
    names = ("effective_rank", "stable_rank", "participation_ratio", "condition_number")
    print("one Gaussian matrix (seed 0) / null")
    print("| shape | " + " | ".join(names) + " |")
    for rows, columns in SHAPES:
        snapshot = random_matrix(rows, columns)
        cells = []
        for name in names:
            found = measure(snapshot, name)
            cells.append(f"{found.values[0]:.1f} / {found.beside['null'][0]:.1f}")
        print(f"| {rows} × {columns} | " + " | ".join(cells) + " |")
    snapshot = random_matrix(768, 768)
    top = measure(snapshot, "spectral_norm")
    print(f"\nspectral_norm 768 × 768: {top.values[0]:.2f} / {top.beside['null'][0]:.2f}")


def print_scales() -> None:
    print("\nspectral_alpha of one matrix with singular values i^-0.5 (256 × 256, seed 0)")
    generator = torch.Generator().manual_seed(0)
    left, _ = torch.linalg.qr(torch.randn(256, 256, generator=generator, dtype=torch.float64))
    right, _ = torch.linalg.qr(torch.randn(256, 256, generator=generator, dtype=torch.float64))
    spectrum = torch.arange(1, 257, dtype=torch.float64) ** -0.5
    matrix = left * spectrum @ right
    for scale in (1.0, 0.1, 0.002):
        found = measure(Snapshot(0, Tensors.of({"weight": scale * matrix})), "spectral_alpha")
        beside = {key: float(array[0]) for key, array in found.beside.items()}
        print(
            f"| {scale} | {found.values[0]:.4f} | {found.error[0]:.4f} "
            f"| {beside['ks_distance']:.4f} | {beside['tail_size']:.0f} |"
        )
    found = measure(random_matrix(768, 768), "spectral_alpha")
    beside = {key: float(array[0]) for key, array in found.beside.items()}
    print(
        f"| Gaussian 768 × 768 | {found.values[0]:.4f} | {found.error[0]:.4f} "
        f"| {beside['ks_distance']:.4f} | {beside['tail_size']:.0f} |"
    )


def print_sparsity() -> None:
    print("\nsparsity of 768 × 768 (seed 0), after setting the smallest share to zero")
    weight = random_matrix(768, 768).tensor("weight")
    for share in (0.0, 0.5, 0.9, 0.99):
        limit = weight.abs().flatten().kthvalue(max(1, int(share * weight.numel()))).values
        pruned = torch.where(weight.abs() > limit, weight, 0.0) if share else weight
        found = measure(Snapshot(0, Tensors.of({"weight": pruned})), "sparsity")
        near = found.beside["near_zero"][0]
        print(f"| {share} | {found.values[0]:.4f} | {near:.4f} |")


def print_rotations() -> None:
    print("\nlayer_rotation after t random steps of relative size h (seed 0) / closed form")
    generator = torch.Generator().manual_seed(0)
    for size, steps in ((0.037, 50), (0.037, 500), (0.1, 500)):
        start = torch.randn(768, 768, generator=generator, dtype=torch.float64)
        weight = start.clone()
        for _ in range(steps):
            step = torch.randn(768, 768, generator=generator, dtype=torch.float64)
            weight += size * step / step.norm() * weight.norm()
        initial = Snapshot(0, Tensors.of({"weight": start}))
        snapshot = Snapshot(steps, Tensors.of({"weight": weight}), initial=initial)
        found = measure(snapshot, "layer_rotation")
        exact = 1 - (1 + size**2) ** (-steps / 2)
        print(f"| {size} | {steps} | {found.values[0]:.4f} / {exact:.4f} |")


def print_tables() -> None:
    for table in (print_nulls, print_scales, print_sparsity, print_rotations):
        table()


if __name__ == "__main__":
    if sys.argv[1:] == ["tables"]:
        print_tables()
    else:
        draw()
