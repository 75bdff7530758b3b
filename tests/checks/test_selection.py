"""Which entries a limit is on."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from dyntools.checks.limit import parse
from dyntools.checks.selection import chosen, places, refuse_labels
from dyntools.errors import UsageError
from dyntools.measurement import Coordinate

LAYERS = ("h.0.weight", "h.0.weight[query]", "h.1.weight", "h.1.bias")
COORDS: Mapping[str, Coordinate] = {
    "layer": LAYERS,
    "rank": (1, 2, 3),
    "fraction": (0.0, 0.25, 1.0),
}


def selected(text: str, *dims: str) -> list[list[int]]:
    return places(dims, COORDS, parse(f"{text} within 0"))


@pytest.mark.parametrize(
    ("text", "positions"),
    [
        ("m", [0, 1, 2, 3]),
        ("m[h.0.*]", [0, 1]),
        ("m[layer=h.?.weight]", [0, 2]),
        ("m[h.0.weight[query]]", [1]),  # brackets are literal
        ("m[*[query]]", [1]),
        ("m['h.1.bias']", [3]),
        ("m[none]", []),
    ],
)
def test_patterns_on_layers(text: str, positions: list[int]) -> None:
    assert selected(text, "layer") == [positions]


def test_a_bare_pattern_is_about_rank_and_else_about_the_last_dim() -> None:
    assert selected("m[2]", "rank", "layer") == [[1], [0, 1, 2, 3]]
    assert selected("m[0.25]", "layer", "fraction") == [[0, 1, 2, 3], [1]]
    assert selected("m[layer=h.1.bias,1]", "layer", "fraction") == [[3], [2]]


def test_labels_that_count_from_one_may_be_counted_from_zero() -> None:
    assert selected("m[0]", "rank") == selected("m[1]", "rank") == [[0]]
    assert selected("m[0]", "fraction") == [[0]]  # a label 0 is itself


def test_names_that_do_not_exist_list_the_nearest() -> None:
    with pytest.raises(UsageError, match="no dim 'layr'") as raised:
        selected("m[layr=x]", "layer", "rank")
    assert str(raised.value.remedy).startswith("layer")
    with pytest.raises(UsageError, match="nothing in it can be selected"):
        selected("m[0]")
    with pytest.raises(UsageError, match="chooses 'rank' twice"):
        selected("m[rank=1,2]", "rank")
    with pytest.raises(UsageError, match="No layer of m is like") as raised:
        refuse_labels(("layer",), COORDS, parse("m[h.0.wieght] within 0"))
    assert str(raised.value.remedy).startswith("h.0.weight")
    refuse_labels(("layer",), {"layer": ()}, parse("m[x] within 0"))  # no labels, none misspelt


def test_the_entries_of_a_baseline_are_chosen_alike() -> None:
    entries = [(("layer", layer), ("rank", str(k))) for layer in LAYERS for k in (1, 2)]
    for text in ("m[0]", "m[layer=h.0.*]", "m[layer=*.bias,2]", "m[layer=x]"):
        limit = parse(f"{text} within 0")
        layer_at, rank_at = places(("layer", "rank"), {**COORDS, "rank": (1, 2)}, limit)
        wanted = [i in layer_at and k in rank_at for i in range(4) for k in (0, 1)]
        assert chosen(entries, limit) == wanted
    assert chosen([], parse("m[x] within 0")) == []
