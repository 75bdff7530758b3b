"""Check table: an outcome for a terminal, the worst first, then why, then the verdict.

Mark, metric and entry always stand; of the numbers as many columns as fit, in their order of
importance. The sentences below the table say what each check that did not pass means.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.text import Text

from dyntools.checks.verdict import Check, Outcome, Verdict
from dyntools.views.cells import QUIET
from dyntools.views.check_rows import OF_SEVERAL, Row, rows
from dyntools.views.check_words import LEGEND, Judged, foot, last_line, title, told
from dyntools.views.columns import GAP, Column, Grid, no_room
from dyntools.views.fitted import Fitted
from dyntools.views.names import elide, printable, shorten
from dyntools.views.numbers import MISSING

MOST_SENTENCES = 10  # as many as GitHub shows annotations
METRIC_WIDTH, ENTRY_WIDTH = 22, 14  # wider ones are cut before a column is left out; chosen
# Orange and blue are told apart in every common colour blindness (Okabe & Ito 2008).
STYLES = {
    Verdict.fail: "bold dark_orange",
    Verdict.not_comparable: "bold blue",
    Verdict.inconclusive: "bold",
    Verdict.passed: QUIET,
}


def check_table(judged: Judged) -> RenderableType:
    """The table and all that is said of it, but for the last line."""
    return Fitted(lambda width: _built(judged.outcome, width))


def verdict_line(judged: Judged) -> Text:
    """The last line."""
    return Text(printable(last_line(judged)), STYLES[judged.outcome.verdict], no_wrap=True)


def show(console: Console, judged: Judged) -> None:
    """Print all of it; the last line is not wrapped, so that its command can be copied."""
    console.print(check_table(judged), end="")
    console.print(verdict_line(judged), soft_wrap=True)


def plain(judged: Judged, width: int) -> str:
    """The same as text without colours."""
    file = io.StringIO()
    show(Console(file=file, width=width, force_terminal=False, highlight=False), judged)
    return file.getvalue()


def _built(outcome: Outcome, width: int) -> RenderableType:
    parts: list[RenderableType] = [Text(printable(title(outcome)), "bold")]
    if outcome.checks:
        shown = rows(outcome)
        found = _grid(shown, width)
        folded = any(row.folded and row.verdict is Verdict.passed for row in shown)
        legend = [LEGEND] if "verdict" in found.left_out else []
        lines = [*no_room(found), *legend, *([OF_SEVERAL] if folded else [])]
        parts += [found, *(Text(line, QUIET) for line in lines)]
    sentences = _sentences(outcome, width)
    parts += [Text(), *sentences] if sentences else []
    parts += [Text(printable(line), QUIET) for line in ("", *foot(outcome))]
    return Group(*parts)


def _grid(found: Sequence[Row], width: int) -> Grid:
    numbers = [
        _column("baseline", found),
        _column("now", found),
        _column("change", found),
        _column("tolerance", found),
        Column("verdict", tuple(Text(r.verdict, STYLES[r.verdict]) for r in found), right=False),
        _column("p", found),
    ]
    columns = [c for c in numbers if any(str(cell) not in ("", MISSING) for cell in c.cells)]
    metrics, entries = [row.metric for row in found], [row.entry for row in found]
    natural = (_widest("metric", metrics), _widest("entry", entries) if any(entries) else 0)
    least = min(natural[0], METRIC_WIDTH) + min(natural[1], ENTRY_WIDTH)
    room = width - 1 - len(GAP) * (1 + bool(natural[1]))
    kept = []
    for column in columns:
        if room - column.width - len(GAP) < least:
            break
        kept.append(column)
        room -= column.width + len(GAP)
    first = min(natural[0], max(room - min(natural[1], ENTRY_WIDTH), room // 2))
    names = [Column("metric", tuple(elide(name, first) for name in metrics), right=False)]
    if natural[1]:
        short = shorten(entries, min(natural[1], room - first)).names
        names.append(Column("entry", short, right=False))
    marks = tuple(Text(row.mark, STYLES[row.verdict]) for row in found)
    left_out = tuple(column.header for column in columns[len(kept) :])
    return Grid((Column("", marks), *names, *kept), left_out, "")


def _column(field: str, found: Sequence[Row]) -> Column:
    return Column(field, tuple(getattr(row, field) for row in found))


def _widest(head: str, names: Sequence[str]) -> int:
    return max(map(cell_len, (head, *names)))


def _sentences(outcome: Outcome, width: int) -> list[Text]:
    """Why the worst did not pass; what is said of several is said once."""
    alike: dict[tuple[Verdict, str], list[Check]] = {}
    for check in outcome.checks:
        if check.verdict is not Verdict.passed:
            alike.setdefault((check.verdict, check.sentence), []).append(check)
    lines = []
    for (verdict, _), checks in list(alike.items())[:MOST_SENTENCES]:
        more = f" (and {len(checks) - 1} more alike)" if len(checks) > 1 else ""
        lines.append(_sentence(verdict, printable(told(checks[0])) + more, width))
    if len(alike) > MOST_SENTENCES:
        lines.append(Text(f"and {len(alike) - MOST_SENTENCES} more; --format json has all", QUIET))
    return lines


def _sentence(verdict: Verdict, sentence: str, width: int) -> Text:
    head = f"{verdict.upper()} "
    lines = textwrap.wrap(head + sentence, max(width, 20), subsequent_indent="  ") or [head]
    text = Text("\n".join(lines))
    text.stylize(STYLES[verdict], 0, len(head))
    return text
