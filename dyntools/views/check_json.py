"""Check as JSON, for programs. The shape is a promise: docs/reference/json.md.

Strict JSON: what is not known, or no finite number, is null.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from dyntools.checks.verdict import Check
from dyntools.views.check_words import Judged, counts, headline, mark

SCHEMA, SCHEMA_VERSION = "dyntools-check", "1.0.0"  # semantic: keys are added, not renamed


def to_json(judged: Judged) -> dict[str, Any]:
    """An outcome as plain values that `json.dumps(…, allow_nan=False)` takes."""
    outcome = judged.outcome
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "verdict": str(outcome.verdict),
        "exit_code": judged.exit_code,
        "sentence": headline(outcome),
        "accept": judged.accept or None,
        "report": outcome.report,
        "baseline": outcome.baseline,
        "source": outcome.source,
        "level": outcome.level,
        "counts": {str(verdict): n for verdict, n in counts(outcome).items()},
        "notes": list(outcome.notes),
        "checks": [_check(check) for check in outcome.checks],
    }


def _check(check: Check) -> dict[str, Any]:
    fields = asdict(check) | {
        "verdict": str(check.verdict),
        "samples": {"baseline": check.samples[0], "now": check.samples[1]},
        "mark": mark(check).strip(),
    }
    return {key: _plain(value) for key, value in fields.items()}


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
