"""Check baseline: what a baseline that was just written holds, and how it differs from the last."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from dyntools.checks.baseline import Baseline
from dyntools.checks.quantity import Quantity
from dyntools.checks.verdict import Check, Verdict
from dyntools.views.cells import QUIET
from dyntools.views.check_words import told
from dyntools.views.columns import Column, Grid, grid
from dyntools.views.fitted import Fitted
from dyntools.views.names import printable
from dyntools.views.numbers import count, number, signed

MOST = 12  # changes shown one by one; chosen: half a screen


def changes(before: Baseline | None, made: Baseline, place: str) -> RenderableType:
    """One line on what was written, and the largest changes old → new."""
    return Fitted(lambda width: _built(before, made, place, width))


def useless(checks: Sequence[Check]) -> list[str]:
    """What a baseline judged by its own reports turns out unfit for, as sentences."""
    unfit = [c for c in checks if c.verdict is Verdict.not_comparable or c.now is None]
    return [printable(told(check)) for check in unfit[:MOST]]


def _built(before: Baseline | None, made: Baseline, place: str, width: int) -> RenderableType:
    many = len(made.quantities)
    samples = max((len(q.samples) for q in made.quantities.values()), default=0)
    what = f"{many} quantit{'y' if many == 1 else 'ies'} of {count(samples, 'report')}"
    parts: list[RenderableType] = [Text(printable(f"wrote {place}: {what}"), "bold")]
    if before is not None:
        moved = _moved(before, made)
        if moved:
            parts.append(_table(moved[:MOST], width))
        parts.append(Text(_rest(before, made, moved), QUIET))
    return Group(*parts)


def _moved(before: Baseline, made: Baseline) -> list[tuple[str, Quantity, Quantity]]:
    """What is in both and differs, the largest relative change first."""
    both = [
        (key, before.quantities[key], now)
        for key, now in made.quantities.items()
        if key in before.quantities
    ]
    differing = [(key, old, new) for key, old, new in both if not _same(old.value, new.value)]
    return sorted(differing, key=lambda one: -_relative(one[1].value, one[2].value))


def _table(moved: Sequence[tuple[str, Quantity, Quantity]], width: int) -> Grid:
    columns = [
        Column("before", tuple(number(old.value, old.error) for _, old, _ in moved)),
        Column("now", tuple(number(new.value, new.error) for _, _, new in moved)),
        Column("change", tuple(_change(old.value, new.value) for _, old, new in moved)),
    ]
    return grid("quantity", [key for key, _, _ in moved], columns, width)


def _rest(before: Baseline, made: Baseline, moved: Sequence[object]) -> str:
    new = len(set(made.quantities) - set(before.quantities))
    gone = len(set(before.quantities) - set(made.quantities))
    same = len(made.quantities) - new - len(moved)
    hidden = len(moved) - MOST
    parts = [f"{hidden} more changed"] if hidden > 0 else []
    parts += [f"{same} as before"]
    parts += [f"{n} {word}" for n, word in ((new, "new"), (gone, "gone")) if n]
    return ", ".join(parts)


def _same(one: float, two: float) -> bool:
    return one == two or (math.isnan(one) and math.isnan(two))


def _relative(old: float, new: float) -> float:
    change = abs(new - old) / abs(old) if old else math.inf
    return math.inf if math.isnan(change) else change


def _change(old: float, new: float) -> str:
    relative = (new - old) / abs(old) if old else math.nan
    return f"{signed(100 * relative)} %" if math.isfinite(relative) else signed(new - old)
