"""Stored: quantities as the plain values of a baseline file, and back.

What all quantities of a metric share stands once, under "metrics". A number that is missing is
null, beside its status. The lists stand on one line each, so that a diff names the field.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from dyntools.checks.error_kinds import is_bound
from dyntools.checks.limit import Limit, Relation, parse
from dyntools.checks.quantity import Quantity, Sample
from dyntools.errors import UsageError
from dyntools.measurement import Status

INFINITE = "inf"  # an error of that size in the file, for JSON has no word of its own
LARGEST = 2**63 - 1  # of a step, a version or a side of a tensor: int64
NOTHING = Sample(0.0)  # what need not be said
SHARED = ("version", "settings", "step_unit", "probe")
OF_SAMPLES = ("status", "steps", "missed", "skipped")  # of each sample; told once where they agree


def encoded(quantities: Mapping[str, Quantity]) -> dict[str, Any]:
    """{"metrics": …, "quantities": …}, both sorted by name."""
    metrics: dict[str, Any] = {}
    stored = {}
    for key in sorted(quantities):
        quantity = quantities[key]
        shared = {name: _plain(getattr(quantity, name)) for name in SHARED}
        error = "bound" if is_bound(quantity.metric) else "standard error"
        fields = _fields(quantity)
        shared["ends"] = list(quantity.ends)
        # Steps last and off the quantities that share them: a hundred steps, thousands of layers.
        shared["steps"] = fields.pop("steps")
        common = metrics.setdefault(quantity.metric, {"error": error, **shared})
        own = {name: value for name, value in shared.items() if value != common[name]}
        stored[key] = {**fields, **own}
    return {"metrics": {name: metrics[name] for name in sorted(metrics)}, "quantities": stored}


def _fields(quantity: Quantity) -> dict[str, Any]:
    samples = quantity.samples
    fields: dict[str, Any] = {
        "value": _number(quantity.value),
        "error": _written_error(quantity.error),
    }
    if len(samples) > 1:
        fields["samples"] = [_number(sample.value) for sample in samples]
        errors = [_written_error(sample.bound + sample.standard_error) for sample in samples]
        if any(error != 0 for error in errors):
            fields["sample_errors"] = errors
    for name in OF_SAMPLES:
        values = [_plain(getattr(sample, name)) for sample in samples]
        if all(value == values[0] for value in values):
            values = values[:1]
        if name == "steps" or any(value != _plain(getattr(NOTHING, name)) for value in values):
            fields[name] = values[0] if len(values) == 1 else values
    if not _reads_back(quantity):
        fields["name"] = {
            "metric": quantity.metric,
            "companion": quantity.companion,
            "labels": dict(quantity.labels),
            "reduction": quantity.reduction,
        }
    optional = {"unit": quantity.unit, "shape": list(quantity.shape), "mixed": quantity.mixed}
    return fields | {name: value for name, value in optional.items() if value}


def _reads_back(quantity: Quantity) -> bool:
    """Whether the key tells all of the name; a label with both kinds of quotes does not."""
    try:
        return parse(f"{quantity.key} within 0").selection == quantity.labels
    except UsageError:
        return False


def _name(key: str, given: Mapping[str, Any] | None) -> Limit:
    if given is None:
        return parse(f"{key} within 0")
    labels = tuple((str(dim), str(label)) for dim, label in given["labels"].items())
    metric, companion, reduction = (str(given[k]) for k in ("metric", "companion", "reduction"))
    return Limit(metric, Relation.within, companion, labels, reduction)


def decoded(content: Mapping[str, Any]) -> dict[str, Quantity]:
    """Raises KeyError, TypeError, ValueError or OverflowError where a field is not of its kind."""
    found = {
        key: _quantity(key, stored, content["metrics"])
        for key, stored in content["quantities"].items()
    }
    dims: dict[tuple[str, str, str], list[str]] = {}
    for key, quantity in found.items():
        own = [dim for dim, _ in quantity.labels]
        subject = (quantity.metric, quantity.companion, quantity.reduction)
        if dims.setdefault(subject, own) != own:
            raise ValueError(f"{key} has other dims than the quantities before it")
    return found


def _quantity(key: str, stored: Mapping[str, Any], metrics: Mapping[str, Any]) -> Quantity:
    name = _name(key, stored.get("name"))
    common = metrics[name.metric]
    shared = {field: stored.get(field, common[field]) for field in SHARED}
    samples = tuple(_samples({"steps": common["steps"], **stored}, common["error"] == "bound"))
    ends = stored.get("ends", common.get("ends", []))  # since schema 1.1
    if ends and len(ends) != len(samples):
        raise ValueError(f"{len(ends)} ends of {len(samples)} samples")
    return Quantity(
        metric=name.metric,
        companion=name.companion,
        labels=name.selection,
        reduction=name.reduction,
        samples=samples,
        unit=str(stored.get("unit", "")),
        version=_whole(shared["version"]),
        settings=dict(shared["settings"]),
        step_unit=str(shared["step_unit"]),
        probe=str(shared["probe"]),
        shape=_wholes(stored.get("shape", [])),
        mixed=str(stored.get("mixed", "")),
        ends=tuple(None if end is None else _whole(end) for end in ends),
    )


def _samples(stored: Mapping[str, Any], bound: bool) -> Sequence[Sample]:
    values = stored.get("samples", [stored["value"]])
    if not isinstance(values, list) or not values:
        raise ValueError("samples is no list with a number for each report")
    single = [stored.get("error", 0.0)] if len(values) == 1 else [0.0] * len(values)
    errors = stored.get("sample_errors", single)
    columns = [_spread(stored.get(name), len(values), name) for name in OF_SAMPLES]
    samples = [
        Sample(
            _real(value),
            bound=_error(error) if bound else 0.0,
            standard_error=0.0 if bound else _error(error),
            status=Status.ok if status is None else Status[status],
            steps=_wholes(steps),
            missed=_wholes(missed or []),
            skipped=_wholes(skipped or []),
        )
        for value, error, status, steps, missed, skipped in zip(
            values, errors, *columns, strict=True
        )
    ]
    if any(sample.usable and not sample.steps for sample in samples):
        raise ValueError("a number without the steps that it was made of")
    return samples


def _error(stored: Any) -> float:
    """NaN for null, the error is not known; infinite for what `_written_error` makes of that."""
    return math.inf if stored == INFINITE else _real(stored)


def _real(stored: Any) -> float:
    """NaN for null."""
    if not isinstance(stored, int | float | None):
        raise TypeError(f"{stored!r:.40} is no number")
    return math.nan if stored is None else float(stored)


def _whole(stored: Any) -> int:
    if not isinstance(stored, int) or abs(stored) > LARGEST:
        raise TypeError(f"{type(stored).__name__} where a whole number of 64 bits belongs")
    return stored


def _wholes(stored: Any) -> tuple[int, ...]:
    if not isinstance(stored, list):
        raise TypeError(f"{type(stored).__name__} where a list of whole numbers belongs")
    return tuple(_whole(number) for number in stored)


def _spread(value: Any, count: int, name: str) -> list[Any]:
    """One value for all samples, or one each: a list of words, or of lists of steps."""
    each = isinstance(value, list) and (name == "status" or any(isinstance(x, list) for x in value))
    return value if each else [value] * count


def _plain(value: Any) -> Any:
    if isinstance(value, Status):
        return value.name
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _written_error(value: float) -> float | str | None:
    """An infinite error is known, and is not what null says."""
    return INFINITE if value == math.inf else _number(value)


def as_lines(content: Any, indent: str = "") -> str:
    """JSON with a line for each field of an object, and every list of plain values on one line."""
    if isinstance(content, Mapping) and content:
        deeper = indent + "  "
        lines = (
            f"{deeper}{_word(key)}: {as_lines(value, deeper)}" for key, value in content.items()
        )
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(content, list) and any(isinstance(item, Mapping) for item in content):
        deeper = indent + "  "
        items = (f"{deeper}{as_lines(item, deeper)}" for item in content)
        return "[\n" + ",\n".join(items) + f"\n{indent}]"
    return _word(content)


def _word(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair in a name
        return json.dumps(value, allow_nan=False)
    return text
