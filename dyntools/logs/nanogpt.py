"""nanoGPT's printed lines, and those of its many descendants.

    step 2000: train loss 1.2000, val loss 1.4000
    iter 2010: loss 1.2345, time 123.45ms, mfu 12.34%

The first kind is a mean over many batches and gives "train/loss" and "val/loss", as nanoGPT names
them for W&B; the second is one batch and gives "loss", "time" in ms and "mfu" in percent.
"""

from __future__ import annotations

import re
from pathlib import Path

from dyntools.log import Log
from dyntools.logs.points import Points
from dyntools.logs.rows import number
from dyntools.logs.text import head_lines, whole_lines

LINE = re.compile(r"\s*(step|iter) (\d{1,18}): (train loss|loss) ")
NUMBER = r"[-+]?(?:[\d.]+(?:e[-+]?\d+)?|nan|inf)"
VALUE = re.compile(rf"([a-z][a-z_ ]{{0,30}}?) ({NUMBER})(?:ms|%)?(?=,|\s|$)")
NAMES = {"train loss": "train/loss", "val loss": "val/loss"}


def recognises(path: Path) -> bool:
    """Whether one of the first lines is a line of nanoGPT's."""
    return any(LINE.match(line) for line in head_lines(path))


def open(path: Path) -> Log:
    """Every value of every such line."""
    points, notes = Points(), list[str]()
    for line in whole_lines(path, notes):
        if found := LINE.match(line):
            for name, text in VALUE.findall(line, found.start(3)):
                value = number(text)
                if value is not None:
                    points.add(NAMES.get(name, name), int(found[2]), value)
    return points.log(path.name, "nanogpt", notes)
