"""The memory limit is held, and used; what cannot fit is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from dyntools.errors import ProblemError
from dyntools.problem import Engine, Problem
from dyntools.problem.cost import Cost, measured
from dyntools.problem.guards import check_products
from dyntools.problem.memory import footprint
from dyntools.problem.pieces import halved, plan
from dyntools.problem.probe import probe_of
from dyntools.problem.risk import Risk
from tests.problem.networks import CPU, Channels, classification, risk_at
from tests.problems import classifier


def mlp(engine: Engine) -> Problem:
    return replace(classifier(3000, features=20, hidden=64, cut=500), engine=engine)


def wide(engine: Engine) -> Problem:
    """Far more parameters than activations."""
    return replace(classifier(64, features=300, hidden=400, cut=30), engine=engine)


def cnn(engine: Engine) -> Problem:
    model = nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.GELU()),
        *(nn.Conv2d(8, 8, 3, padding=1), nn.GELU(), nn.Flatten(), nn.Linear(8 * 64, 3)),
    )
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 3, 8, 8, generator=generator)
    y = torch.randint(3, (200,), generator=generator)
    batches = list(zip(x.split(64), y.split(64), strict=True))
    return Problem(
        model.eval(), batches, lambda z, batch: cross_entropy(z, batch[1]), engine=engine
    )


def unequal(engine: Engine) -> Problem:
    """Sequences of several lengths, the longest in a small batch in the middle."""
    model = nn.Sequential(nn.Linear(8, 32), nn.TransformerEncoderLayer(32, 4, 64, batch_first=True))
    generator = torch.Generator().manual_seed(0)
    batches = [
        torch.randn(b, t, 8, generator=generator) for b, t in ((20, 5), (8, 24), (15, 12), (1, 7))
    ]
    return Problem(
        model.eval(), batches, lambda z, batch: z.square().mean((1, 2)).mean(), engine=engine
    )


MODELS = {"mlp": mlp, "wide": wide, "cnn": cnn, "unequal": unequal}
CASES = [(name, share) for name in ("mlp", "cnn", "unequal") for share in (0.7, 0.4, 0.25)]


@pytest.mark.parametrize(("name", "share"), [*CASES, ("wide", 0.85), ("wide", 0.7)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_kept_graphs_and_the_piece_at_work_stay_within_the_limit(
    name: str, dtype: torch.dtype, share: float
) -> None:
    needed = peak_of(risk_at(MODELS[name](Engine(dtype=dtype))))
    limit = int(share * needed)
    risk = risk_at(MODELS[name](Engine(dtype=dtype, memory=limit)))
    found = peak_of(risk)
    assert found <= 1.1 * limit
    if risk.pieces.rebuilt and name != "unequal":
        assert found > 0.5 * limit


def peak_of(risk: Risk) -> int:
    """The highest point of two products, by the meter of tensors; the result (n,) apart."""
    check_products(risk)  # which is over before the first
    ones = torch.ones(risk.size, dtype=risk.dtype)
    risk.release()

    def twice() -> torch.Tensor:
        risk.product(ones)
        return risk.product(ones)

    return footprint(twice)[1].peak - ones.nbytes


def test_nothing_is_left_after_release() -> None:
    risk = risk_at(mlp(Engine()))
    ones = torch.ones(risk.size)
    product, found = footprint(lambda: (risk.product(ones), risk.release())[0])
    assert found.kept == product.nbytes


def test_too_small_a_limit_tells_a_sufficient_one() -> None:
    with pytest.raises(ProblemError, match="too small for one example") as caught:
        risk_at(wide(Engine(memory=100_000)))
    told = str(caught.value.remedy)
    enough = int(told.removeprefix("--memory ").removesuffix("MiB")) * 2**20
    risk_at(wide(Engine(memory=enough))).product(torch.ones(300 * 400 + 400 + 401 * 4))


def test_batches_with_batch_statistics_are_never_cut() -> None:
    problem = classification(Channels(nn.BatchNorm2d(4)), 1, 4, 4, mode="train")
    with pytest.raises(ProblemError, match="batch statistics forbid to cut"):
        risk_at(replace(problem, engine=Engine(memory=5_000)))


def test_without_a_limit_all_is_kept_and_batches_stay_whole() -> None:
    pieces = risk_at(mlp(Engine())).pieces
    assert [p.stop - p.start for p in pieces.kept] == [500] * 6
    assert not pieces.rebuilt


def test_shares_of_halves_add_up_to_those_of_the_whole() -> None:
    probe = probe_of(classifier(50, cut=17), CPU, torch.float64)
    pieces = plan(probe, Cost((0.0, 1.0), (0.0, 1.0)), 1e9)
    assert [pieces.share(p) for p in pieces.mine] == pytest.approx([0.34, 0.34, 0.32])
    smaller = halved(pieces, probe)
    assert smaller is not None
    assert sum(map(smaller.share, smaller.mine)) == pytest.approx(1.0)
    assert max(p.stop - p.start for p in smaller.mine) == 9
    assert len(smaller.kept) < len(smaller.mine)
    while (next_one := halved(smaller, probe)) is not None:
        smaller = next_one
    assert [p.stop - p.start for p in smaller.mine] == [1] * 50


def test_cost_of_a_piece_whose_highest_point_moves() -> None:
    """Vectors of the parameters' length top a piece of few examples, activations one of many."""

    def trial(size: int) -> Callable[[], torch.Tensor]:
        def compute() -> torch.Tensor:
            temporary = torch.zeros(10_000, dtype=torch.uint8)
            del temporary
            scratch = torch.zeros(900 * size, dtype=torch.uint8)
            del scratch
            return torch.zeros(100 * size, dtype=torch.uint8)

        return compute

    cost = measured(trial, 1000, 1000, 1e9)
    assert cost.kept_of(1000) == pytest.approx(100_000, rel=0.02)
    assert cost.peak_of(1000) == pytest.approx(900_000, rel=0.1)
