"""The style sheet: contrast in both schemes, and the colours of maps and lines."""

from __future__ import annotations

import re

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_hex

from dyntools.page.cells import DIVERGING_LEVELS, LEVELS, light
from dyntools.page.plot import LINE_COLOURS
from dyntools.page.rendering import TEMPLATES

CSS = (TEMPLATES / "page.css").read_text()
TEXT = ("ink", "quiet", "link", "act", "watch", "failed")  # at least 4.5, WCAG 2.2, 1.4.3
DRAWN = ("blue", "edge", "grey", "good", *(f"l{i}" for i in range(LINE_COLOURS)))  # 3, 1.4.11


def scheme(dark: bool) -> dict[str, str]:
    light_part, dark_part = CSS.split("@media (prefers-color-scheme: dark)")[:2]
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", light_part))
    if dark:
        found |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", dark_part))
    return found


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, two: str) -> float:
    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)


def test_the_formula_gives_the_contrast_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", TEXT)
def test_text_stands_out(name: str, dark: bool) -> None:
    colours = scheme(dark)
    for ground in ("ground", "raised"):
        assert contrast(colours[name], colours[ground]) >= 4.5


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", DRAWN)
def test_lines_stand_out(name: str, dark: bool) -> None:
    colours = scheme(dark)
    assert contrast(colours[name], colours["ground"]) >= (2.7 if name == "l9" else 3)


@pytest.mark.parametrize(
    ("letter", "name", "count"), [("q", "viridis", LEVELS), ("d", "RdBu_r", DIVERGING_LEVELS)]
)
def test_colours_of_maps_are_those_of_the_files(letter: str, name: str, count: int) -> None:
    """And the number written on each is black or white, whichever reads."""
    wanted = [to_hex(colour) for colour in colormaps[name](np.linspace(0, 1, count))]
    found = re.findall(rf"^\.{letter}\d+ {{ stroke: (#\w+); fill: (#\w+); }}", CSS, re.MULTILINE)
    assert found == [(colour, colour) for colour in wanted]
    for i, colour in enumerate(wanted):
        text = "#000000" if light(i + 100 * (letter == "d")) else "#ffffff"
        assert contrast(text, colour) >= 4.5, colour
