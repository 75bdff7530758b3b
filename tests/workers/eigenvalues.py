"""Run under torchrun: eigenvalues, loss and gradient of one problem; rank 0 prints them as JSON.

The same with parameters cut over the ranks, which for one process changes nothing.
"""

import json

import torch
from torch import nn

from dyntools import Engine, Problem, snapshot_of
from dyntools.linalg.lanczos import lanczos
from dyntools.linalg.probes import size
from dyntools.operators.hessian import gauss_newton, hessian
from dyntools.ranks import join, leave


def problem(ranks, **engine):
    """53 examples in two ragged batches, LayerNorm and GELU, float64."""
    torch.manual_seed(0)
    layers = [nn.Linear(12, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 5)]
    model = nn.Sequential(*layers).double()
    x, y = torch.randn(53, 12), torch.randint(5, (53,))
    y[:3] = -100  # do not count, so that shares are uneven
    batches = [(x[:40], y[:40]), (x[40:], y[40:])]
    return Problem(
        model,
        batches,
        lambda outputs, batch: nn.functional.cross_entropy(outputs, batch[1]),
        ranks=ranks,
        engine=Engine(dtype=torch.float64, **engine),
    )


def main() -> None:
    torch.set_num_threads(1)
    ranks = join(torch.device("cpu"))
    given = problem(ranks)
    risk = snapshot_of(given.model, 0, problem=given).risk()
    pairs = lanczos(hessian(risk), 3, 2, rtol=1e-9)
    found = {
        "loss": risk.loss(),
        "gradient": risk.gradient().norm().item(),
        "largest": pairs.largest.values.tolist(),
        "smallest": pairs.smallest.values.tolist(),
        "gauss_newton": lanczos(gauss_newton(risk), 2, rtol=1e-9).largest.values.tolist(),
    }
    found |= {f"sharded {key}": value for key, value in sharded(ranks).items()}
    if ranks.writes:
        print(json.dumps(found))
    leave()


def sharded(ranks):
    """The ranks have unequal numbers of pieces here, and tensors that do not divide evenly."""
    given = problem(ranks, sharded=True)
    risk = snapshot_of(given.model, 0, problem=given).risk()
    matrix, part = hessian(risk), risk.layout.select(["1.weight", "3.bias"])
    pairs = lanczos(matrix, 2, 1, rtol=1e-9)
    assert risk.size <= size(matrix) / ranks.count + len(risk.layout.names)
    return {
        "loss": risk.loss(),
        "size": size(matrix),
        "largest": pairs.largest.values.tolist(),
        "smallest": pairs.smallest.values.tolist(),
        "block": lanczos(hessian(risk, part), 1, rtol=1e-9).largest.values.tolist(),
        "gauss_newton": lanczos(gauss_newton(risk), 1, rtol=1e-9).largest.values.tolist(),
    }


if __name__ == "__main__":
    main()
