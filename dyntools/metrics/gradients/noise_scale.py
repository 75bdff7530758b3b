"""noise_scale: how many examples it takes until the noise of a gradient is as large as its mean.

    value = B_simple = tr Σ / |G|²                                       one number, unit: examples

Σ is the covariance of the gradients of single examples, G their mean, so a batch of B examples has
a gradient with |G|² of signal and tr Σ / B of noise. Below the noise scale twice the batch makes
nearly twice the progress per step; far above it none. McCandlish et al. 2018, An empirical model of
large-batch training, arXiv:1812.06162, whose critical batch size B_noise = tr(HΣ)/(GᵀHG) is
B_simple where the curvature is alike in all directions.

The examples are taken for a sample of more, and |G|² is that of all: both are estimated without
bias and then divided, see `noise`. Where they are all that training draws from, `of_these` holds,
tr Σ / |Ĝ|² with the mean gradient Ĝ of just these. Beside it the value from two batch sizes, and
under Adam tr(P⁻¹Σ)/(GᵀP⁻¹G), with P = √v̂ + eps, by whose inverse it scales gradients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dyntools.metrics.gradients import noise
from dyntools.metrics.gradients.statistics import measured, statistics
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from dyntools.measurement import Measurement
    from dyntools.snapshot import Snapshot


def measure(snapshot: Snapshot, *, batch: int = 0) -> Measurement:
    """The simple noise scale with one standard error, and bounds at 95 %.

    batch: of training, for the findings; 0 for the `batch_size` of the recipe, if it tells.
    """
    found = statistics(snapshot)
    one, both, scaled = noise.of_all(found), noise.two_sizes(found), noise.preconditioned(found)
    value, (lowest, highest) = float(one.ratio), one.bounds
    beside: dict[str, ArrayLike] = {
        "lowest": lowest,
        "highest": highest,
        "trace": one.trace,
        "trace_error": one.trace_error,
        "squared_norm": one.squared,
        "squared_norm_error": one.squared_error,
        "two_sizes": both.ratio,
        "of_these": float(one.trace / length) if (length := noise.length(found)) > 0.0 else np.nan,
        "preconditioned": np.nan if scaled is None else scaled.ratio,
        "preconditioned_error": np.nan if scaled is None else scaled.ratio_error,
        "examples": found.examples,
        "batch": batch or snapshot.recipe.batch_size or np.nan,
    }
    return measured(value, one.ratio_error, beside, noise.why(one), found)


METRIC = Metric(
    name="noise_scale",
    group="gradients",
    version=1,
    measure=measure,
    needs=("params", "problem"),
    dims=(),
    unit="examples",
    what="gradient noise scale: variance of the gradient of an example over the squared mean",
    paper="McCandlish et al. 2018, arXiv:1812.06162",
    cost="2 to 3 gradients, shared by all metrics of gradients by examples",
    least={"batch": 0},
)
