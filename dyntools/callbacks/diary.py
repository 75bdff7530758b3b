"""Diary: the journal of a live recorder, and the report it is sealed into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from dyntools import hdf5, provenance
from dyntools.callbacks.requests import Requests
from dyntools.errors import ReportError
from dyntools.gathering import report_of_journal
from dyntools.journal import Journal, Row

UNIT = "step"


class Diary:
    """An open journal at `path`; a file that is there already is kept under another name."""

    def __init__(
        self,
        path: Path,
        requests: Requests,
        shapes: Mapping[str, tuple[int, ...]],
        *,
        budget: float,
        recipe: Mapping[str, float],
    ) -> None:
        """shapes: of the parameters. budget: the share of wall time that measuring may take.

        recipe: what a person told of the training.
        """
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        _set_aside(path)
        self._journal = Journal(path)
        self._journal.header(
            {
                "run": path.stem,
                "path": str(path),
                "command": "",
                "step_unit": UNIT,
                "identity": uuid4().hex[:16],  # no two live recordings are the same
                "budget": budget,
                "recipe": dict(recipe),
                "left_out_metrics": dict(requests.left_out),
                "shapes": {name: list(shape) for name, shape in shapes.items()},
                **provenance.surroundings(),
            },
            [task.entry(UNIT) for task, _ in requests.tasks.values()],
        )

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._journal.scalars(step, values)

    def row(self, row: Row) -> None:
        self._journal.measurement(row)

    def note(self, sentence: str) -> None:
        self._journal.note(sentence)

    def seal(self, notes: Sequence[str] = ()) -> Path:
        """Close the journal with some last sentences and write the report beside it.

        On a full disk the journal ends as it is. Raises ReportError where no report can be written.
        """
        with self._journal, suppress(ReportError):
            for sentence in notes:
                self.note(sentence)
            self._journal.write("finished", time=provenance.now())
        sealed = self.path.with_suffix(".h5")
        hdf5.write(report_of_journal(self.path), sealed)
        return sealed


def _set_aside(path: Path) -> None:
    """A journal of an earlier start becomes `live-1.jsonl`; none is overwritten."""
    if not path.exists() or not path.stat().st_size:
        return
    number = 1
    while (older := path.with_name(f"{path.stem}-{number}{path.suffix}")).exists():
        number += 1
    path.rename(older)
