"""Configuration: the limits and options of a project, and the limits that hold without any.

    [tool.dyntools.check]                        in pyproject.toml; in dyntools.toml: [check]
    baseline = "baseline.json"
    level = 0.05
    allow-missing = false
    limits = ["hessian_top[0]@last within 10%", "effective_rank@last within 5%"]

`limits` may be a table as well: `"hessian_top[0]@last" = "within 10%"`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dyntools.checks.baseline import Baseline
from dyntools.checks.limit import Limit, parse
from dyntools.checks.selection import places
from dyntools.errors import UsageError, nearest
from dyntools.report import Report, Series

KEYS = ("limits", "level", "allow-missing", "baseline")
FILES = ("dyntools.toml", "pyproject.toml")  # the more particular first

# What holds without a configuration. The tolerances are chosen, no source; each is wide against the
# noise of its metric on one machine: 2e-7 for an eigenvalue of the same probe, rounding for the
# numbers of weights, and 10 % to 20 % of scatter between seeds of small runs. Two-sided, for a
# smaller curvature or a higher rank is a changed training too.
DEFAULTS = (
    "hessian_top[0]@last within 25%",  # 14 % s.d. between probes of 64 examples, 6 % of 1,024
    "adam_sharpness[0]@last within 25%",
    "hessian_trace@last within 25%",  # its standard error is about 1 % with 48 products
    "effective_rank@last within 10%",
    "stable_rank@last within 20%",  # the square of a ratio, so twice as sensitive
    "spectral_norm@last within 15%",
    # Not of biases, which move between seeds by more than any useful tolerance (docs/reproductions/
    # ci-gate.md); names as torch gives them.
    "weight_norm[layer=*weight]@last within 10%",
    "layer_rotation@last within 10% or 0.02",
    "second_moment_snr.corrected[layer=*weight]@last within 50% or 0.1",  # of few gradients
    "generalization_gap@last within 25% or 0.05",
    "divergence@last within 25% or 0.05",
    "loss_spikes@last within 1",  # percent of the steps judged
)
DEFAULT_LIMITS: tuple[Limit, ...] = tuple(parse(line) for line in DEFAULTS)
DEFAULT_SOURCE = "defaults"


@dataclass(frozen=True)
class Configuration:
    """What a project says about its checks; None where it does not say.

    baseline: paths or patterns, counted from the folder of the file. source: the file, in words.
    """

    limits: tuple[Limit, ...] | None
    level: float | None
    allow_missing: bool | None
    baseline: tuple[Path, ...]
    source: str


def nearest_configuration(start: Path) -> Configuration | None:
    """From `start` upward the first file that has the table; None where none has."""
    folder = start.resolve()
    for place in (folder, *folder.parents):
        for name in FILES:
            path = place / name
            if path.is_file() and (found := read(path)) is not None:
                return found
    return None


def read(path: Path) -> Configuration | None:
    """None where the file has no table for checks. Raises UsageError for one that is not right."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            "The configuration cannot be read.",
            where=str(path),
            found=str(error),
            remedy="TOML in UTF-8, such as: limits = ['hessian_top[0]@last within 10%']",
        ) from error
    table: Any = content.get("check") if path.name == FILES[0] else None
    if table is None:
        table = _inner(_inner(content, "tool"), "dyntools").get("check")
    if table is None:
        return None
    if not isinstance(table, dict):
        raise _wrong(path, "check", table, "a table", "[check]")
    return _configuration(table, path)


def _inner(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = content.get(key)
    return found if isinstance(found, dict) else {}


def _configuration(table: Mapping[str, Any], path: Path) -> Configuration:
    for key in table:
        if key not in KEYS:
            raise UsageError(
                f"There is no key {key!r} in the configuration of checks.",
                where=str(path),
                remedy=nearest(key, KEYS),
            )
    return Configuration(
        limits=_limits(table["limits"], path) if "limits" in table else None,
        level=_level(table["level"], path) if "level" in table else None,
        allow_missing=_allow_missing(table, path),
        baseline=_baseline(table.get("baseline", []), path),
        source=str(path),
    )


def _limits(value: object, path: Path) -> tuple[Limit, ...]:
    if isinstance(value, dict):
        value = [f"{subject} {relation}" for subject, relation in value.items()]
    if not isinstance(value, list) or not all(isinstance(line, str) for line in value):
        wanted = "a list of limits, or a table of subject = relation"
        raise _wrong(path, "limits", value, wanted, "limits = ['stable_rank@last within 5%']")
    return tuple(parse(line) for line in value)


def _level(value: object, path: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1:
        raise _wrong(path, "level", value, "a number between 0 and 1", "level = 0.05")
    return float(value)


def _allow_missing(table: Mapping[str, Any], path: Path) -> bool | None:
    value = table.get("allow-missing")
    if value is not None and not isinstance(value, bool):
        raise _wrong(path, "allow-missing", value, "true or false", "allow-missing = true")
    return value


def _baseline(value: object, path: Path) -> tuple[Path, ...]:
    lines = [value] if isinstance(value, str) else value
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise _wrong(
            path, "baseline", value, "a path or a list of paths", "baseline = 'baseline.json'"
        )
    return tuple(path.parent / line for line in lines)


def _wrong(path: Path, key: str, value: object, wanted: str, remedy: str) -> UsageError:
    return UsageError(
        f"The key {key!r} of the configuration must be {wanted}.",
        where=str(path),
        found=repr(value),
        remedy=remedy,
    )


def defaults_for(
    reports: Sequence[Report], baseline: Baseline | Sequence[Report] | None = None
) -> tuple[Limit, ...]:
    """The default limits on metrics that at least one side holds, and on labels that are there."""
    held = {name for report in reports for name in report.series}
    if isinstance(baseline, Baseline):
        held |= {quantity.metric for quantity in baseline.quantities.values()}
    else:
        held |= {name for report in baseline or () for name in report.series}
    series = [series for report in reports for series in report.series.values()]
    return tuple(
        limit
        for limit in DEFAULT_LIMITS
        if limit.metric in held and all(_chooses(limit, s) for s in series)
    )


def _chooses(limit: Limit, series: Series) -> bool:
    """Whether a limit finds labels in a series that it is on; others are no matter."""
    return series.metric != limit.metric or all(places(series.dims, series.coords, limit))
