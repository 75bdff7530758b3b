"""Early warnings: the findings of the report so far, told to a training loop while it runs.

Each rule is told once: again when what it says has become more urgent, or after it had gone. The
measurements are kept in memory and no file is read. What an evaluation costs does not grow with the
length of the run: of each metric the first row and at most `KEPT` more are kept, the older half
thinned to every second one when there are more; but for the log, which is that of the metrics.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

from dyntools.assembly import series_of
from dyntools.findings import RULES, Finding, Severity
from dyntools.journal import Row
from dyntools.log import Log
from dyntools.report import Report, Series

# Rows of a metric. Chosen: an evaluation of all metrics takes 45 ms on 50 tensors, 70 on 150.
KEPT = 64
# Rules that are no warnings: about a run that is over, and advice for the next one.
LEFT_OUT = ("unfinished", "low_memory_adam")

Told = Callable[[Finding], object]


class EarlyWarnings:
    """entries: of the metrics in the plan (`Task.entry`). unit: what steps count."""

    def __init__(self, entries: Sequence[Mapping[str, object]], unit: str) -> None:
        self._entries = {str(entry["metric"]): entry for entry in entries}
        self._unit = unit
        self._rows: dict[str, list[Row]] = {}
        self._told: dict[str, Severity] = {}
        self._waiting: deque[tuple[Told, Finding]] = deque()
        self.callbacks: list[Told] = []
        self.failed: dict[str, str] = {}  # rules that raised, and what

    def take(self, rows: Sequence[Row], log: Log | None) -> None:
        """One report more; what is new in the findings waits for `tell`."""
        for row in rows:
            self._rows[row.metric] = thinned([*self._rows.get(row.metric, ()), row])
        if not self.callbacks or not rows:
            return
        report = Report({"step_unit": self._unit}, _Lazy(self._entries, self._rows), log=log)
        for finding in self._news(report):
            self._waiting.extend((callback, finding) for callback in self.callbacks)

    def tell(self) -> None:
        """Call the callbacks. What one of them raises passes; what waits behind it is told next."""
        while self._waiting:
            callback, finding = self._waiting.popleft()
            callback(finding)

    def _news(self, report: Report) -> list[Finding]:
        order = list(Severity)
        news: list[Finding] = []
        now: dict[str, Severity] = {}
        for finding in self._found(report):
            before = self._told.get(finding.rule)
            if before is None or order.index(finding.severity) < order.index(before):
                news.append(finding)
            worst = now.get(finding.rule, finding.severity)
            now[finding.rule] = min(worst, finding.severity, key=order.index)
        # What has become less urgent may become as urgent as it was: that is told again.
        self._told = now
        return sorted(news, key=lambda finding: order.index(finding.severity))

    def _found(self, report: Report) -> Iterator[Finding]:
        for rule in RULES:
            name = rule.__module__.rpartition(".")[2]
            if name in LEFT_OUT or name in self.failed:
                continue
            try:
                yield from rule(report)
            except Exception as error:  # one rule is not worth the others, nor the training
                self.failed[name] = f"{type(error).__name__}: {error}"


class _Lazy(Mapping[str, Series]):
    """Series that are laid out when a rule asks for them."""

    def __init__(
        self, entries: Mapping[str, Mapping[str, object]], rows: Mapping[str, Sequence[Row]]
    ) -> None:
        self._entries, self._rows = entries, rows
        self._made: dict[str, Series] = {}

    def __getitem__(self, metric: str) -> Series:
        if metric not in self._made:
            self._made[metric] = series_of(self._entries[metric], self._rows[metric])
        return self._made[metric]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def thinned(rows: list[Row]) -> list[Row]:
    """The same rows where these are few; else the first, and fewer of the older half behind it."""
    if len(rows) <= KEPT + 1:
        return rows
    middle = 1 + KEPT // 2
    return [rows[0], *rows[2:middle:2], *rows[middle:]]
