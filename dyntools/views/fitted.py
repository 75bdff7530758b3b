"""Fitted: a renderable that is built when the width and the encoding of the output are known.

A table that must read well at 80 and at 120 columns has to choose its columns and shorten its names
for the width it gets; and what the encoding of the output lacks (blocks, dashes) must be replaced,
not raise. Trailing blanks are cut, so that a piped table is clean text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment

from dyntools.views.sparkline import ASCII_BLOCKS, BLOCKS

PLAIN_WIDTH = 100  # columns of a table that goes to a file, a pipe or a message; chosen
BRAILLE, UPPER = 0x2800, 0b00011011  # no dot; the dots of the upper half


def _dotted(dots: int) -> str:
    """The nearest that ASCII has to a character of braille."""
    return " '.:"[bool(dots & UPPER) + 2 * bool(dots & ~UPPER)]


# One character for one character, so that columns stay aligned.
_SUBSTITUTES = {
    **dict(zip(BLOCKS, ASCII_BLOCKS, strict=True)),
    **{chr(BRAILLE + dots): _dotted(dots) for dots in range(256)},
    "–": "-",
    "—": "-",
    "…": "~",
    "±": "~",
    "×": "x",
    "·": "-",
    "→": ">",
    "←": "<",
    "−": "-",
    "▲": "!",
    "●": "*",
    "○": "o",
    "─": "-",
    "│": "|",
    "“": '"',
    "”": '"',
    "’": "'",
    "²": "2",
}


@dataclass(frozen=True)
class Fitted:
    """build: the renderable for a width in columns."""

    build: Callable[[int], RenderableType]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        built = self.build(options.max_width)
        unicode = options.update(height=None)
        unicode.encoding = "utf-8"  # else rich draws heavier ASCII boxes than the substitutes here
        for line in console.render_lines(built, unicode, pad=False):
            for segment in _without_trailing_blanks(line):
                yield segment._replace(text=encodable(segment.text, options.encoding))
            yield Segment.line()


def encodable(text: str, encoding: str) -> str:
    """`text` with what `encoding` lacks replaced, character by character."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(_substitute(c, encoding) for c in text)
    return text


def _substitute(character: str, encoding: str) -> str:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return _SUBSTITUTES.get(character, "?")
    return character


def _without_trailing_blanks(line: Iterable[Segment]) -> list[Segment]:
    kept = [segment for segment in line if not segment.control]
    while kept and not kept[-1].text.rstrip():
        kept.pop()
    if kept:
        kept[-1] = kept[-1]._replace(text=kept[-1].text.rstrip())
    return kept
