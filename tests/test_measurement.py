"""Measurements are consistent in shape, and failure is a NaN with a status."""

from __future__ import annotations

import numpy as np
import pytest

from dyntools.measurement import Measurement, Status, per_layer, skipped


def test_nan_is_failed_and_the_rest_is_ok() -> None:
    found = per_layer({"a": 1.0, "b": float("nan")})
    assert found.status.tolist() == [Status.ok, Status.failed]
    assert found.coords == {"layer": ("a", "b")}
    assert found.values.dtype == np.float64


def test_companions_keep_the_order_of_the_values() -> None:
    found = per_layer({"a": 1, "b": 2}, beside={"null": {"b": 20.0, "a": 10.0}}, error={"b": 0.5})
    assert found.beside["null"].tolist() == [10.0, 20.0]
    assert np.isnan(found.error[0])
    assert found.error[1] == 0.5


@pytest.mark.parametrize(
    "change",
    [
        {"coords": {"layer": ("a",)}},
        {"error": np.zeros(3)},
        {"beside": {"null": np.zeros((2, 1))}},
        {"status": np.zeros(1, dtype=np.int8)},
    ],
)
def test_a_shape_that_does_not_fit_is_refused(change: dict[str, object]) -> None:
    fields = {"values": np.zeros(2), "dims": ("layer",), "coords": {"layer": ("a", "b")}}
    with pytest.raises(ValueError, match="shape"):
        Measurement(**{**fields, **change})


def test_skipped_has_no_entries_and_a_reason() -> None:
    found = skipped("no initial weights", ("layer",))
    assert found.values.shape == (0,)
    assert found.skipped == {"": "no initial weights"}
    scalar = skipped("no log")
    assert scalar.status == Status.skipped


def test_values_are_copied_so_that_a_measurement_cannot_change() -> None:
    values = np.ones(1)
    found = Measurement(values, ("layer",), {"layer": ("a",)})
    values[0] = 5
    assert found.values[0] == 1
