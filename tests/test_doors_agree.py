"""The same state of Adam gives the same numbers, bit for bit, whatever layout it lies in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dyntools.analysis import analyze
from dyntools.live import snapshot_of
from dyntools.measurement import Measurement
from dyntools.measuring import measure
from dyntools.opening import open_run
from dyntools.plan import make_plan
from dyntools.problem import Problem
from dyntools.report import Series
from tests import layouts
from tests.layouts import Trained

METRICS = ("second_moment_snr", "second_moment_compression", "effective_lr", "update_snr")


@pytest.fixture(scope="module")
def trained() -> Trained:
    return layouts.train()


@pytest.fixture(scope="module")
def truth(trained: Trained) -> dict[str, Measurement]:
    """Live: no file in between."""
    snapshot = snapshot_of(trained.model, layouts.STEP, optimizer=trained.optimizer)
    return {metric: measure(snapshot, metric) for metric in METRICS}


def rows(found: Measurement | Series, prefix: str = "") -> dict[str, dict[str, np.ndarray]]:
    """Values and what is beside them by layer, of the only step."""
    step = 0 if isinstance(found, Series) else ...
    arrays = {"values": found.values, **found.beside}
    return {
        str(layer).removeprefix(prefix): {key: array[step][i] for key, array in arrays.items()}
        for i, layer in enumerate(found.coords["layer"])
    }


def problem() -> Problem:
    tokens = torch.zeros(2, 5, dtype=torch.long)
    return Problem(
        layouts.Small(),
        [(tokens, tokens)],
        lambda z, b: nn.functional.cross_entropy(z.flatten(0, 1), b[1].flatten()),
    )


@pytest.mark.parametrize("layout", layouts.LAYOUTS)
def test_every_layout_gives_the_numbers_of_the_running_optimizer(
    layout: str, trained: Trained, truth: dict[str, Measurement], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    layouts.LAYOUTS[layout](folder, trained)
    run = open_run(folder)
    assert run.steps == (layouts.STEP,)
    # Where the files do not keep the order of the parameters, the model of the problem has it.
    given = problem() if layout == "accelerate" else None
    report = analyze(run, make_plan(run, METRICS, problem=given), tmp_path / "report.h5")
    prefix = "net." if layout == "lightning" else ""
    for metric in METRICS:
        found, want = rows(report.series[metric], prefix), rows(truth[metric])
        assert set(found) == set(want) == set(trained.names.values())
        for layer, arrays in want.items():
            assert set(found[layer]) == set(arrays)
            for key, array in arrays.items():
                np.testing.assert_array_equal(found[layer][key], array, f"{layout} {layer} {key}")


def test_the_numbers_compared_are_numbers(truth: dict[str, Measurement], trained: Trained) -> None:
    """NaN equals NaN above; and a shuffled state would be found out."""
    snr = truth["second_moment_snr"]
    by_layer = rows(snr)
    matrices = [name for name, p in trained.model.named_parameters() if p.ndim > 1]
    assert all(np.isfinite(by_layer[name]["values"]).all() for name in matrices)
    assert len({by_layer[name]["values"].tobytes() for name in matrices}) == len(matrices)


def test_eight_bits_hold_these_moments_exactly(trained: Trained) -> None:
    """The premise of its row above: most of the weights are in 8 bits, and codes differ."""
    sizes = {name: p.numel() for name, p in trained.model.named_parameters()}
    assert sum(sizes[name] for name in trained.codes) > 0.7 * sum(sizes.values())
    for name, kept in trained.codes.items():
        assert len(kept["state2"].unique()) > 20, name
