"""Why numbers of two runs are not tested against one another; the shape of a tensor above all."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dyntools.comparison.likeness import reasons_of
from dyntools.comparison.side import Side
from tests.comparison.reports import report, series, side

FUSED, PARTS = "h.0.c_attn.weight", ("query", "key", "value")
LAYERS = (*(f"{FUSED}[{part}]" for part in PARTS), "wte.weight")


def one(name: str, shapes: dict[str, Sequence[int]], **settings: object) -> Side:
    found = series("effective_rank", (0, 10), [[1.0] * 4] * 2, layers=LAYERS, settings=settings)
    return side(name, report(found, shapes=shapes))


def reasons(*sides: Side, metric: str = "effective_rank") -> tuple[tuple[str, ...], ...]:
    return reasons_of(sides, metric, [(layer,) for layer in LAYERS])


def test_a_part_of_a_fused_tensor_has_the_shape_of_the_tensor() -> None:
    """Reports name the parameter alone; once a part of it was held to have no shape at all."""
    narrow = one("narrow", {FUSED: (192, 64), "wte.weight": (50, 64)})
    wide = one("wide", {FUSED: (384, 128), "wte.weight": (50, 64)})
    first, second = reasons(narrow, wide)
    assert first == ("",) * 4
    sentence = "The tensor has another shape: 192×64 in narrow, 384×128 in wide."
    assert second == (sentence, sentence, sentence, "")


def test_equal_shapes_are_alike_however_they_are_written() -> None:
    """A list from a journal, a tuple from a file."""
    assert reasons(one("a", {FUSED: [192, 64]}), one("b", {FUSED: (192, 64)}))[1] == ("",) * 4


@pytest.mark.parametrize("shapes", [{}, {"another.weight": (3, 4)}])
def test_a_shape_that_one_report_does_not_know_is_no_reason(
    shapes: dict[str, Sequence[int]],
) -> None:
    known = one("known", {FUSED: (192, 64), "wte.weight": (50, 64)})
    for pair in ((known, one("silent", shapes)), (one("silent", shapes), known)):
        assert reasons(*pair)[1] == ("",) * 4


def test_the_part_itself_is_taken_where_it_is_named() -> None:
    """A tensor may be called so in full."""
    named = {FUSED: (192, 64), f"{FUSED}[query]": (64, 64)}
    other = {FUSED: (192, 64), f"{FUSED}[query]": (32, 64)}
    found = reasons(one("a", named), one("b", other))[1]
    assert found == ("The tensor has another shape: 64×64 in a, 32×64 in b.", "", "", "")


def test_any_report_of_a_side_with_another_shape_is_a_reason() -> None:
    of_two = Side(
        "two",
        (
            *one("x", {FUSED: (192, 64)}).reports,
            *one("x", {FUSED: (384, 64)}).reports,
        ),
        ("0.h5", "1.h5"),
    )
    found = reasons(one("a", {FUSED: (192, 64)}), of_two)[1]
    assert "192×64 in a, 384×64 in two" in found[0]
    assert found[3] == ""


def test_what_has_no_layers_has_no_shape() -> None:
    sides = [
        side(name, report(series("loss", (0,), [1.0]), shapes={"loss": shape}))
        for name, shape in (("a", (1,)), ("b", (2,)))
    ]
    assert reasons_of(sides, "loss", [()]) == (("",), ("",))


def test_a_reason_of_the_metric_stands_for_every_entry_and_before_shapes() -> None:
    a = one("a", {FUSED: (192, 64)}, power=1)
    found = reasons(a, one("b", {FUSED: (384, 64)}, power=2))[1]
    assert len(set(found)) == 1
    assert "power" in found[0]
    assert "shape" not in found[0]
