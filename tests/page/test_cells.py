"""Cells: merged without loss, coloured by the range, text that decodes to the numbers."""

from __future__ import annotations

import re

import numpy as np
import pytest

from dyntools.measurement import Status
from dyntools.page.cells import DIGITS, NONE, UNKNOWN, encoded, levels, strokes_of
from dyntools.page.rendering import TEMPLATES
from dyntools.views.ranges import ColourRange


def painted(strokes: object, shape: tuple[int, int]) -> np.ndarray:
    """What a browser fills: the class of each cell, by the relative moves of the paths."""
    cells = np.full(shape, "", dtype=object)
    for stroke in strokes:  # type: ignore[attr-defined]
        x = y = 0
        for dx, dy, width in re.findall(r"m(-?\d+) ?(-?\d+)h(\d+)", stroke.d):
            x, y = x + int(dx), y + int(dy)
            assert (cells[y, x : x + int(width)] == "").all(), "painted twice"
            cells[y, x : x + int(width)] = stroke.level
            x += int(width)
    return cells


def test_merged_strokes_paint_every_cell_once_and_nothing_unknown() -> None:
    level = np.random.default_rng(0).integers(UNKNOWN, 4, (30, 20))
    level[3, 5:8] = NONE
    found = painted(strokes_of(level), level.shape)
    for (i, j), value in np.ndenumerate(level):
        wanted = {UNKNOWN: "", NONE: "blank"}.get(int(value), f"q{value}")
        assert found[i, j] == wanted


@pytest.mark.parametrize("count", [3, 85, 400, 9000])
def test_texts_and_places_give_back_the_texts(count: int) -> None:
    texts = [[f"{i * j}" for j in range(count // 3)] for i in range(1, 4)]
    words, places, digits = encoded(texts)
    assert len(set(words)) == len(words)
    read = [places[k : k + digits] for k in range(0, len(places), digits)]
    back = []
    for code in read:
        place = 0
        for character in code:
            place = place * len(DIGITS) + DIGITS.index(character)
        back.append(words[place])
    assert back == [text for row in texts for text in row]


def test_the_script_reads_the_same_digits() -> None:
    script = (TEMPLATES / "page.js").read_text()
    assert "String.fromCharCode(35 + i)" in script
    assert "Array.from({ length: 92 }" in script
    excluded = re.search(r'filter\(\(character\) => !"(.+)"\.includes', script)
    assert excluded is not None
    left_out = excluded[1].replace('\\"', '"').replace("\\\\", "\\")
    assert "".join(chr(35 + i) for i in range(92) if chr(35 + i) not in left_out) == DIGITS
    assert not set(DIGITS) & set("<>&'\" ")


def test_colours_follow_the_range() -> None:
    found = ColourRange(0.0, 16.0)
    values = np.array([[0.0, 0.99, 1.0, 15.99, 16.0, 99.0, -5.0, np.nan, np.inf]])
    status = np.zeros(values.shape, np.int8)
    assert levels(found, values, status).tolist() == [[0, 0, 1, 15, 15, 15, 0, UNKNOWN, 15]]
    absent = np.array([[Status.absent]], np.int8)
    assert levels(found, np.array([[np.nan]]), absent).tolist() == [[NONE]]
    both = ColourRange(-1.0, 1.0, diverging=True)
    assert levels(both, np.array([[-1.0, 0.0, 1.0]]), status[:, :3]).tolist() == [[100, 107, 114]]
