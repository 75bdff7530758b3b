"""batch_sharpness: the largest Hessian eigenvalue of mini-batches, by batch size.

    x = 1/B - 1/N,     λ(x) = λ + s x / λ      where λ² > s x: an outlier
                       λ(x) = 2 sqrt(s x)      else: the edge of the bulk of the noise

B examples drawn from N; s = n σ² collects the variance of the per-example Hessians over all n
weights. A mini-batch is sharper than the whole, so the largest stable learning rate grows with B
(by this law at most as its square root): Granziol, Zohren & Roberts 2022, Learning Rates as a
Function of Batch Size: A Random Matrix Theory Approach, arXiv:2006.09092. Both branches meet
smoothly at λ² = s x.

Values are means over draws, at B = N of the probe itself; the error is the standard error of the
mean. The law is fitted to the smaller batches alone. Beside: `spread`, the standard deviation of a
draw; `fit`; `extrapolated`, the law at B = N, which the measured value tests; `infinite`, the
measured value at B = N less its bias s/(Nλ): what all data would give of which the probe is a
sample, with the error of the bias alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dyntools.measurement import Measurement, Status, skipped
from dyntools.metrics.curvature import eigenpairs
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor

    from dyntools.linalg.lanczos import Eigenpairs
    from dyntools.problem.risk import Risk
    from dyntools.snapshot import Snapshot

Vector = NDArray[np.float64]

SMALLEST = 4  # examples of a batch; chosen: below it single examples rule, not their noise


@dataclass(frozen=True, eq=False)
class Law:
    """λ and s of the formula, with their covariance (2, 2)."""

    value: float
    noise: float
    covariance: NDArray[np.float64]

    def at(self, x: Vector) -> Vector:
        """λ(x) (m,)."""
        return law(self.value, self.noise, x)

    def error(self, x: Vector) -> Vector:
        """The standard error of λ(x) (m,)."""
        slopes = _slopes(self.value, self.noise, x)
        variance = ((slopes @ self.covariance) * slopes).sum(axis=1)
        return np.asarray(np.sqrt(np.maximum(variance, 0.0)))

    def bias(self, examples: int) -> tuple[float, float]:
        """s/(Nλ), by which N examples are sharper than infinitely many, and its error."""
        found = self.noise / (examples * self.value)
        slopes = found * np.array([-1.0 / self.value, 1.0 / self.noise])
        return found, math.sqrt(max(float(slopes @ self.covariance @ slopes), 0.0))


def law(value: float, noise: float, x: Vector) -> Vector:
    """λ(x) (m,) for x ≥ 0."""
    outlier = value + noise * x / value
    edge = 2.0 * np.sqrt(noise * x)
    return np.asarray(np.where(value * value > noise * x, outlier, edge))


def fitted(x: Vector, values: Vector, errors: Vector) -> Law | None:
    """The law through values (m,) with their standard errors; None where there is none.

    Weighted least squares; the covariance is scaled up where the values scatter more than told.
    """
    from scipy.optimize import least_squares

    if len(x) < 3 or not (np.isfinite(values).all() and values.min() > 0.0):
        return None
    slope, start = np.polyfit(x, values, 1, w=1.0 / errors)
    start = max(float(start), 1e-3 * float(values.max()))
    first = (start, max(float(slope) * start, 1e-6 * start**2 / float(x.max())))

    def misfit(theta: Vector) -> Vector:
        # Logarithms keep λ and s positive.
        return (law(math.exp(theta[0]), math.exp(theta[1]), x) - values) / errors

    found = least_squares(misfit, np.log(first))
    value, noise = (float(v) for v in np.exp(found.x))
    slopes = _slopes(value, noise, x) / errors[:, None]
    scatter = 2.0 * float(found.cost) / (len(x) - 2)
    covariance = np.linalg.pinv(slopes.T @ slopes) * max(scatter, 1.0)
    # Without a batch on the branch of the outlier the data say nothing of λ.
    told = value * value > noise * float(x.min()) and covariance[0, 0] < value * value
    return Law(value, noise, np.asarray(covariance)) if found.success and told else None


def batch_sizes(examples: int, sizes: int) -> tuple[int, ...]:
    """N/2, N/4, … in ascending order, as far as they are batches, and N."""
    halves = (examples >> i for i in range(sizes, 0, -1))
    return (*(size for size in halves if size >= SMALLEST), examples)


def measure(
    snapshot: Snapshot,
    *,
    sizes: int = 5,
    draws: int = 5,
    k: int = eigenpairs.K,
    rtol: float = 1e-2,
    seed: int = 0,
) -> Measurement:
    """λ_1 at `sizes` batch sizes, each half the next, and of the whole probe.

    sizes: 5, down to a 32nd (chosen: a factor 32 shows which branch holds).
    draws: of each size, without replacement, 5 (chosen: the whole then costs about 30 products).
    k: eigenvectors of the whole probe that draws start from; with 10, those of hessian_top.
    rtol: of a draw, 1e-2; draws differ by far more (measured: 8 to 30 %).
    """
    risk = snapshot.risk()
    examples = risk.probe.examples
    batches = batch_sizes(examples, sizes)
    if len(batches) < 2:
        return skipped(f"the probe has {examples} examples, too few to draw from", ("batch_size",))
    whole = eigenpairs.of_hessian(snapshot, k, rtol=eigenpairs.RTOL, seed=seed)
    risk.release()  # else its graphs would lie in memory beside those of every draw
    vectors = eigenpairs.vectors_of(whole)
    generator = np.random.default_rng(seed)
    table = [
        [
            _draw(risk, generator.choice(examples, size, replace=False), vectors, rtol, seed)
            for _ in range(draws)
        ]
        for size in batches[:-1]
    ]
    return _measurement(batches, np.array(table), whole)


def _draw(
    risk: Risk, chosen: NDArray[np.int64], vectors: Tensor, rtol: float, seed: int
) -> tuple[float, float, float, float]:
    """λ_1 on some examples, its error, whether it converged, and products in those of the whole."""
    from dyntools.linalg.lanczos import lanczos
    from dyntools.linalg.warm_start import warm_start
    from dyntools.operators.hessian import hessian

    operator = hessian(risk.part(np.sort(chosen)))
    start = warm_start(operator, vectors, seed)
    found = lanczos(operator, 1, rtol=rtol, start=start, seed=seed)
    top = found.largest
    cost = found.products * len(chosen) / risk.probe.examples
    return float(top.values[0]), float(top.errors[0]), float(top.converged[0]), cost


def _measurement(
    batches: tuple[int, ...], table: NDArray[np.float64], whole: Eigenpairs
) -> Measurement:
    """table (sizes, draws, 4): what `_draw` returns."""
    top = whole.largest
    found, bounds, met, costs = np.moveaxis(table, 2, 0)
    spread = found.std(axis=1, ddof=1)
    means = found.mean(axis=1)
    errors = np.hypot(spread / math.sqrt(found.shape[1]), bounds.mean(axis=1))
    values = np.append(means, top.values[0])
    status = np.where(np.append(met.all(axis=1), top.converged[0]), Status.ok, Status.unconverged)
    status[~np.isfinite(values)] = Status.failed
    x = 1.0 / np.array(batches) - 1.0 / batches[-1]
    usable = status[:-1] == Status.ok
    fit = fitted(x[:-1][usable], means[usable], np.maximum(errors[usable], 1e-6 * means[usable]))
    reason = {}
    if not (status == Status.ok).all():
        reason = {
            f"batch_size {b}": whole.method for b, s in zip(batches, status, strict=True) if s
        }
    elif fit is None:
        reason = {
            "fit": "the largest eigenvalues do not follow the law, so nothing is extrapolated"
        }
    return Measurement(
        np.where(status == Status.ok, values, np.nan),
        ("batch_size",),
        {"batch_size": batches},
        error=np.append(errors, top.errors[0]),
        status=status.astype(np.int8),
        beside={"spread": np.append(spread, 0.0), **_extrapolated(fit, x, values[-1], batches[-1])},
        skipped=reason,
        method=f"{found.shape[1]} draws of each size, {whole.method}",
        matvecs=whole.products + math.ceil(costs.sum()),
    )


def _extrapolated(fit: Law | None, x: Vector, whole: float, examples: int) -> dict[str, Vector]:
    """The law at the sizes measured and at B = N, and λ_1 at B = ∞, with standard errors."""
    names = ("fit", "extrapolated", "extrapolated_error", "infinite", "infinite_error")
    if fit is None:
        return {name: np.full(len(x), np.nan) for name in names}
    bias, error = fit.bias(examples)
    single = (fit.value, float(fit.error(np.zeros(1))[0]), whole - bias, error)
    rows = [fit.at(x), *(np.full(len(x), number) for number in single)]
    return dict(zip(names, rows, strict=True))


def _slopes(value: float, noise: float, x: Vector) -> NDArray[np.float64]:
    """∂λ(x)/∂(λ, s) (m, 2)."""
    outlier = value * value > noise * x
    by_value = np.where(outlier, 1.0 - noise * x / value**2, 0.0)
    by_noise = np.where(outlier, x / value, np.sqrt(x / noise))
    return np.stack([by_value, by_noise], axis=1)


METRIC = Metric(
    name="batch_sharpness",
    group="curvature",
    version=1,
    measure=measure,
    needs=("params", "problem"),
    dims=("batch_size",),
    unit="loss / weight²",
    what="largest Hessian eigenvalue of mini-batches, and where it leads with all data",
    paper="Granziol, Zohren & Roberts 2022, arXiv:2006.09092",
    cost="about 30 products beside hessian_top, whose eigenvectors it starts from",
    products=True,
    least={"sizes": 2, "draws": 2, "k": 1, "rtol": 1e-12, "seed": 0},
)
