"""torchtitan's printed lines: ANSI colours, and commas in thousands.

    [titan] 2025-01-01 12:00:00,123 - root - INFO - step: 10  loss:  7.12345  tps: 12,345  mfu: 0.4%
    [titan] 2025-01-01 12:00:09,123 - root - INFO - validate step: 10  loss:  7.23456  tps: 9,876

Values of validation lines get "validate/" before their names. Memory is in GiB, `mfu` in percent.
The times carry no time zone and are left out.
"""

from __future__ import annotations

import re
from pathlib import Path

from dyntools.log import Log
from dyntools.logs.points import Points
from dyntools.logs.rows import number
from dyntools.logs.text import head_lines, whole_lines

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
LINE = re.compile(r"(?:^|\s)(validate )?step: *([\d,]{1,18})  +(?=\w+:)")
VALUE = re.compile(r"(\w{1,64}): *([-+]?(?:[\d,.]+(?:e[-+]?\d+)?|nan|inf))(?=GiB|%|\s|$)")


def recognises(path: Path) -> bool:
    """Whether one of the first lines has a step and a loss as torchtitan prints them."""
    lines = (COLOUR.sub("", line) for line in head_lines(path))
    return any(" loss: " in line and LINE.search(line) for line in lines)


def open(path: Path) -> Log:
    """Every value of every such line."""
    points, notes = Points(), list[str]()
    for coloured in whole_lines(path, notes):
        line = COLOUR.sub("", coloured)
        if not (found := LINE.search(line)):
            continue
        prefix = "validate/" if found[1] else ""
        for name, text in VALUE.findall(line, found.end()):
            value = number(text.replace(",", ""))
            if value is not None:
                points.add(prefix + name, int(found[2].replace(",", "")), value)
    return points.log(path.name, "torchtitan", notes)
