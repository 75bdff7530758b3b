"""Laws of shortening: what differs stays different, nothing is wider than asked."""

from __future__ import annotations

import random

import pytest
from rich.cells import cell_len

from dyntools.views.names import NARROWEST, elide, printable, shorten

GPT = [f"transformer.h.{i}.attn.c_attn.weight[{p}]" for i in range(12) for p in ("query", "key")]
LLAMA = [f"model.layers.{i}.self_attn.q_proj.weight" for i in range(20)] + ["lm_head.weight"]
NASTY = [
    *("", "a", "a.weight", "a.weight.weight", "a~1", "…a", ".weight", ".", "..", "a..b", "[", "]"),
    *(
        "名前.重み.weight",
        "名前.重み.bias",
        "e\u0301.weight",
        "é.weight",
        "x\x1b[31m",
        "x\\x1b[31m",
    ),
    *("a\nb", "\u202eabc", "👩‍👩‍👧.w", "0.weight", "0.bias", "1.weight", "w" * 500, "w" * 501),
]


@pytest.mark.parametrize("width", [NARROWEST, 11, 20, 34, 200])
@pytest.mark.parametrize("names", [GPT, LLAMA, NASTY, [f"l.{i}" for i in range(10_000)], []])
def test_unique_stays_unique_and_nothing_is_wider_than_asked(names: list[str], width: int) -> None:
    shown = shorten(names, width).names
    assert len(set(shown)) == len(set(names))
    assert all(cell_len(name) <= width for name in shown)


def test_random_names_obey_the_same_laws() -> None:
    generator = random.Random(0)
    for _ in range(300):
        names = [
            "".join(generator.choices("ab.1[]~…名\u0301", k=generator.randint(0, 30)))
            for _ in range(generator.randint(1, 40))
        ]
        width = generator.randint(NARROWEST, 20)
        shown = shorten(names, width).names
        assert len(set(shown)) == len(set(names))
        assert all(cell_len(name) <= width for name in shown)


def test_one_name_has_one_look() -> None:
    shown = shorten(["abcdefghijkl", "abcdefghijkl", "abcXefghijkl"], 8).names
    assert shown[0] == shown[1] != shown[2]


def test_what_all_share_is_dropped_and_said() -> None:
    short = shorten(GPT, 40)
    assert short.names[0] == "h.0.attn.c_attn[query]"
    assert short.note == "names without transformer. and .weight"


def test_a_weight_beside_its_stem_keeps_its_suffix() -> None:
    assert shorten(["fc", "fc.weight"], 40).names == ("fc", "fc.weight")


def test_a_bare_number_is_no_name() -> None:
    assert shorten(["0.weight", "2.weight"], 40).names == ("0.weight", "2.weight")


def test_a_frequent_prefix_gives_way_before_the_number_of_the_layer() -> None:
    short = shorten(LLAMA, 24).names
    assert short[11] == "…11.self_attn.q_proj"
    assert short[-1] == "lm_head"


def test_control_characters_become_visible() -> None:
    assert printable("a\x1b[31mb\n\u202e") == "a\\x1b[31mb\\n\\u202e"


def test_a_cut_never_separates_a_mark_from_its_letter() -> None:
    for width in range(4, 12):
        assert not elide("e\u0301" * 12, width).partition("…")[2].startswith("\u0301")
