"""Baseline: the quantities that later reports are judged against, and the file they are kept in.

The file is for git: sorted, one field a line, no time of its own, so that the same reports give the
same bytes and a change of the training is a readable diff. docs/reference/checks.md tells its form.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dyntools.checks import stored
from dyntools.checks.limit import Limit
from dyntools.checks.origins import distinct, origin
from dyntools.checks.quantity import Quantity
from dyntools.checks.reading import read_off
from dyntools.errors import ReportError, UsageError
from dyntools.report import Report
from dyntools.whole_file import write_whole

SCHEMA = "dyntools-baseline"
SCHEMA_VERSION = "1.1.0"  # semantic: a reader accepts every file of its major version
MOST_BYTES = 1_000_000_000  # of a file that is read; chosen, 10^6 quantities take about 0.3 GB

NOT_OF_ITS_KIND = (KeyError, TypeError, ValueError, AttributeError, OverflowError, UsageError)
MAKE = "dyntools baseline REPORT -o baseline.json"


@dataclass(frozen=True)
class Baseline:
    """Quantities by key (see `Quantity.key`), and where they come from.

    provenance: "reports", one entry each, see `origins.origin`.
    """

    quantities: Mapping[str, Quantity]
    provenance: Mapping[str, Any] = field(default_factory=dict)


def baseline_of(reports: Sequence[Report], limits: Sequence[Limit]) -> Baseline:
    """What the limits are on, read off one report, or several of one recipe with other seeds."""
    reports = distinct(reports)
    quantities: dict[str, Quantity] = {}
    for limit in limits:
        quantities |= read_off(reports, limit)
    return Baseline(quantities, {"reports": [origin(report) for report in reports]})


def write(baseline: Baseline, path: Path) -> None:
    """Whole or not at all. Raises ReportError, also over a file that is no baseline."""
    if path.exists() and not _is_baseline(path):
        raise ReportError(
            "There is something here that is no baseline; it is never overwritten.",
            where=str(path),
            remedy="another path with -o, or remove it",
        )
    try:
        write_whole(path, text_of(baseline).encode())
    except OSError as error:
        raise ReportError(
            "The baseline could not be written.",
            where=str(path),
            found=str(error),
            remedy="another path with -o",
        ) from error


def text_of(baseline: Baseline) -> str:
    """The content of the file."""
    content = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "provenance": baseline.provenance,
        **stored.encoded(baseline.quantities),
    }
    return stored.as_lines(content) + "\n"


def read(path: Path) -> Baseline:
    """Raises ReportError where the file is no baseline, is damaged, or from a later major."""
    content = _content(path)
    if content.get("schema") != SCHEMA:
        raise ReportError(
            "This file is no baseline.",
            where=str(path),
            found=f"schema {content.get('schema', 'not given')!r}",
            remedy=MAKE,
        )
    version = str(content.get("schema_version", ""))
    if version.partition(".")[0] != SCHEMA_VERSION.partition(".")[0]:
        raise ReportError(
            "This baseline was written by another major version of dyntools.",
            where=str(path),
            found=f"schema {version or 'without a version'}, this dyntools reads {SCHEMA_VERSION}",
            remedy="a newer dyntools, or write the baseline anew",
        )
    try:
        return Baseline(stored.decoded(content), _provenance(content.get("provenance", {})))
    except NOT_OF_ITS_KIND as error:
        raise ReportError(
            "The baseline is damaged: a field is missing or not of its kind.",
            where=str(path),
            found=f"{type(error).__name__}: {error}",
            remedy="write it anew: dyntools baseline REPORT -o FILE",
        ) from error


def _provenance(given: Mapping[str, Any]) -> dict[str, Any]:
    """Raises TypeError or AttributeError where it is not what `Baseline` says."""
    for entry in given.get("reports", []):
        if not isinstance(entry, dict):
            raise TypeError(f"provenance.reports holds {entry!r:.40}, no object")
    return dict(given)


def is_baseline(path: Path) -> bool:
    """Whether a file begins as a baseline does, without reading it whole."""
    try:
        with open(path, "rb") as file:
            return SCHEMA.encode() in file.read(200)
    except OSError:
        return False


def _is_baseline(path: Path) -> bool:
    return path.is_file() and is_baseline(path)


def _content(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ReportError(
                "This file is too large for a baseline.", where=str(path), remedy=MAKE
            )
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReportError(
            "The baseline could not be read.", where=str(path), found=str(error), remedy=MAKE
        ) from error
    except (ValueError, RecursionError) as error:
        raise ReportError(
            "The baseline is no JSON.",
            where=str(path),
            found=str(error),
            remedy="if git left conflict marks in it, write it anew",
        ) from error
    if not isinstance(content, dict):
        raise ReportError(
            "This file is no baseline.", where=str(path), found="not an object", remedy=MAKE
        )
    return content
