"""Maps: rows, columns, what is told of a cell, what is said where not all is drawn."""

from __future__ import annotations

import numpy as np

from dyntools.measurement import Status
from dyntools.page.cells import light
from dyntools.page.maps import heat_map, label_map
from dyntools.views.numbers import number
from tests.page.conftest import series


def test_few_cells_each_say_what_they_are() -> None:
    values = np.arange(1.0, 61.0).reshape(3, 20)
    found = heat_map(series("m", values))
    titles = [stroke.title for stroke in found.strokes]
    assert len(titles) == 60
    assert "h.7, step 100: " + number(28.0) in titles
    assert found.whole == ()


def test_many_cells_say_it_by_row_and_by_text() -> None:
    values = np.random.default_rng(0).random((100, 150))
    found = heat_map(series("m", values))
    assert len(found.whole) == 150
    assert len(found.told.places) == found.told.digits * 150 * len(found.told.columns)
    assert len(found.told.columns) == 40
    assert found.told.columns[-1] == "step 9900"
    assert "40 of 100 steps are drawn" in found.remark
    assert len(found.across) <= 6


def test_ten_thousand_layers_are_thinned_and_it_is_said() -> None:
    found = heat_map(series("m", np.random.default_rng(0).random((2, 10_000))))
    assert found.rows == 400
    assert "400 of 10000 rows are drawn" in found.remark


def test_rows_of_kinds_are_parted() -> None:
    names = tuple(f"h.{i}.{part}" for i in range(30) for part in ("a.weight", "b.weight"))
    found = heat_map(series("m", np.ones((3, 60)), coords={"layer": names}))
    assert found.partings == (30,)
    assert [label.text for label in found.names] == ["a", "b"]


def test_a_label_map_has_its_numbers_written() -> None:
    values = np.array([[[1.0, np.nan], [20.0, 3.0]]])
    status = np.array([[[0, Status.absent], [0, 0]]], np.int8)
    found = label_map(
        series("m", values, status=status, steps=np.array([5]),
               dims=("layer", "form"), coords={"layer": ("a", "b"), "form": ("x", "long name")})
    )  # fmt: skip
    assert [label.text for label in found.written] == ["1.00", "20.0", "3.00"]
    assert found.remark == "at step 5"
    assert light(15)
    assert not light(0)


def test_what_failed_is_hatched_and_named() -> None:
    values = np.array([[1.0, np.nan], [2.0, 3.0]])
    found = heat_map(series("m", values))
    assert found.hatched
    assert "h.1, step 0: failed" in [stroke.title for stroke in found.strokes]
