"""Training curves of the page: the best point, thinning that keeps every spike."""

from __future__ import annotations

import numpy as np

from dyntools.page.training import extremes, losses, others
from tests.page.conftest import log_of


def test_the_best_validation_is_marked_and_said() -> None:
    log = log_of(
        train_loss=([0, 10, 20, 30], [3.0, 2.0, 1.0, 0.5]),
        validation_loss=([0, 10, 20, 30], [3.0, 1.5, 1.2, 2.0]),
    )
    plot = losses(log)
    assert [dot.title for dot in plot.dots] == ["best validation 1.20 at step 20"]
    assert {label.text for label in plot.labels} >= {"train", "validation"}
    assert "train: 3.00 to 0.500, step 0 to 30." in plot.description


def test_thinning_keeps_spikes_ends_and_gaps() -> None:
    values = np.ones(10_000)
    values[1234], values[7000:7100] = 50.0, np.nan
    kept = extremes(values, 300)
    assert 1234 in kept
    assert {0, 9999} <= set(kept.tolist())
    assert np.isnan(values[kept]).any()
    assert len(kept) <= 602
    assert extremes(values[:600], 300).tolist() == list(range(600))


def test_a_log_that_diverges_is_drawn_up_to_there() -> None:
    log = log_of(train_loss=([0, 10, 20, 30], [3.0, 2.0, np.inf, np.nan]))
    plot = losses(log)
    assert plot.description == "loss: 3.00 to 2.00, step 0 to 30."
    assert "nan" not in plot.lines[0].d


def test_rates_and_accuracies_only_where_they_are() -> None:
    log = log_of(train_loss=([0, 10], [3.0, 2.0]), learning_rate=([0, 10], [0.1, 0.0]))
    assert [plot.title for plot in others(log)] == ["Learning rate"]
