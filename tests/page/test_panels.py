"""Small plots: spectra with one scale for all, dots of a single step."""

from __future__ import annotations

import numpy as np

from dyntools.page.panels import dots, spectra
from tests.page.conftest import series


def spectrum(layers: int) -> object:
    values = np.exp(-3 * np.linspace(0, 1, 5)) * np.arange(1, layers + 1)[:, None]
    return series(
        "s", np.stack([values, 2 * values]),
        status=np.zeros((2, layers, 5), np.int8), dims=("layer", "fraction"),
        coords={"layer": tuple(f"l{i}.weight" for i in range(layers)),
                "fraction": (0.0, 0.25, 0.5, 0.75, 1.0)},
    )  # fmt: skip


def test_at_most_nine_that_changed_most_on_one_scale() -> None:
    found = spectra(spectrum(20))
    assert [plot.title for plot in found.plots] == [f"l{i}" for i in range(11, 20)]
    assert len({plot.up for plot in found.plots}) == 1
    assert "the 9 layers of 20 that changed most" in found.remark
    assert "the last one strong" in found.remark


def test_the_last_step_is_the_strong_one() -> None:
    (plot,) = spectra(spectrum(1)).plots
    assert plot.lines[0].colour.endswith("thin")
    assert not plot.lines[-1].colour.endswith("thin")
    assert plot.lines[-1].title == "step 100"


def test_dots_stand_in_order_beside_their_start() -> None:
    one = series("m", [[3.0, 1.0, 2.0]], beside={"initial": np.array([[1.0, 1.0, 1.0]])})
    plot = dots(one)
    filled = [dot for dot in plot.dots if dot.shape == "dot"]
    assert [dot.title for dot in filled] == ["h.0: 3.00", "h.1: 1.00", "h.2: 2.00"]
    assert filled[0].x > filled[2].x > filled[1].x
    assert [name.text for name in plot.names] == ["h.0", "h.1", "h.2"]
    assert plot.remarks == ("◇ at the start",)
