"""Exports: a decision as a file that a trainer reads, and such a file as forms.

`rules.json`: the format of the SlimAdam authors' trainer (dayal-kalra/low-memory-adam), name → list
of averaged axes or null for full, indented by four. `plan.toml`: ours, which can say every form and
where it comes from; see docs/reference/memory-plan.md.
"""

from __future__ import annotations

import json
import math
import tomllib
from importlib.metadata import version
from pathlib import Path

from dyntools.adam_memory.decision import Choice, Decision
from dyntools.errors import UsageError
from dyntools.forms import FULL, Form, form_of, mean_over

SCHEMA = 1
ENDINGS = "a file that ends in .json (the SlimAdam authors' rules) or .toml (a plan of dyntools)"
_LARGEST = 100_000_000  # bytes; a plan of a million tensors; chosen


def export(decision: Decision, path: Path, *, force: bool = False) -> tuple[str, ...]:
    """Write the decision, as the ending of `path` says; sentences on what the format cannot say.

    Raises UsageError for another ending, a file that is there already (without `force`), or a path
    that cannot be written.
    """
    check(path, force=force)
    is_json = path.suffix == ".json"
    text, notes = rules_json(decision) if is_json else (plan_toml(decision), ())
    try:
        with path.open("w" if force else "x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except (OSError, UnicodeEncodeError) as error:
        raise UsageError(
            "The plan cannot be written.", where=str(path), found=str(error)
        ) from error
    return notes


def check(path: Path, *, force: bool = False) -> None:
    """Raises UsageError for another ending, or a file that is there already (without `force`)."""
    if path.suffix not in (".json", ".toml"):
        raise UsageError("A plan is written as JSON or TOML.", found=str(path), remedy=ENDINGS)
    if path.exists() and not force:
        raise UsageError(
            "There is a file in the way.", where=str(path), remedy="another name, or --force"
        )


def rules_json(decision: Decision) -> tuple[str, tuple[str, ...]]:
    """The authors' file, in the order of the model, and a sentence for each tensor lost on it."""
    rules: dict[str, list[int] | None] = {}
    notes = []
    for choice in decision.choices:
        form = as_axes(choice.form, choice.tensor.shape)
        rules[choice.tensor.name] = list(form.axes) or None
        if form.kind not in ("full", "axes"):
            notes.append(
                f"{choice.tensor.name} is kept in full in rules.json, which cannot say "
                f"{choice.form.label!r}; plan.toml can"
            )
    if missing := decision.evidence.left_out:
        notes.append(f"not in rules.json, being of unknown size: {', '.join(missing)}")
    # As json.dump(…, indent=4) of the authors writes it, without a newline at the end.
    return json.dumps(rules, indent=4), tuple(notes)


def as_axes(form: Form, shape: tuple[int, ...]) -> Form:
    """Blocks that are whole leading slices, such as rows, as the axes that are averaged away."""
    if form.kind != "blocks":
        return form
    for leading in range(len(shape)):
        if math.prod(shape[:leading]) == form.blocks:
            return mean_over(*range(leading, len(shape)))
    return form


def plan_toml(decision: Decision) -> str:
    """The plan, with where it comes from."""
    evidence = decision.evidence
    lines = [
        "# How dyntools.optim.SlimAdamW keeps the second moment of each tensor; see",
        "# docs/reference/memory-plan.md.",
        f"schema = {SCHEMA}",
        "",
        "[provenance]",
        f"dyntools = {_quoted(version('dyntools'))}",
        f"report = {_quoted(evidence.source)}",
        f"rule = {_quoted(decision.rule)}",
        f"cutoff = {_number(decision.cutoff)}",
    ]
    if decision.max_update_error is not None:
        lines.append(f"max_update_error = {_number(decision.max_update_error)}")
    lines += [
        f"steps = [{', '.join(map(str, evidence.steps))}]",
        f"step_unit = {_quoted(evidence.step_unit)}",
        f"saved = {_number(round(decision.saved, 6))} # share of the entries of v",
        "",
        "[tensors]",
        *map(_line, decision.choices),
        "",
    ]
    return "\n".join(lines)


def _line(choice: Choice) -> str:
    shape = ", ".join(map(str, choice.tensor.shape))
    measured = ""
    if choice.candidate is not None:
        for name in ("snr", "corrected", "update_error"):
            value = getattr(choice.candidate, name)
            measured += "" if math.isnan(value) else f", {name} = {_number(float(f'{value:.6g}'))}"
    form = _quoted(choice.form.label)
    return f"{_quoted(choice.tensor.name)} = {{ form = {form}, shape = [{shape}]{measured} }}"


def _quoted(text: str) -> str:
    """A TOML basic string: the escapes of JSON, and DEL, which TOML forbids too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _number(value: float) -> str:
    """TOML wants a point or an exponent in a float, and says inf as Python does."""
    return repr(float(value))


def read_forms(path: Path) -> dict[str, Form]:
    """The form of each tensor that the file names: a plan.toml, or the authors' rules.json.

    Raises UsageError for a file that is missing, damaged, of a later schema, or names no form.
    """
    return {name: form for name, (form, _) in read_plan(path).items()}


def read_plan(path: Path) -> dict[str, tuple[Form, tuple[int, ...] | None]]:
    """The form of each tensor, and the shape it was decided for, where the file says it.

    Raises UsageError as `read_forms`.
    """
    if path.suffix not in (".json", ".toml"):
        raise UsageError("This is no plan.", where=str(path), remedy=ENDINGS)
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError("larger than any plan")
        text = path.read_text("utf-8")
        if path.suffix == ".toml":
            return _forms_of_plan(tomllib.loads(text), path)
        rules = _forms_of_rules(json.loads(text, object_pairs_hook=_no_twice), path)
        return {name: (form, None) for name, form in rules.items()}
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            "The plan cannot be read.", where=str(path), found=str(error)[:200], remedy=ENDINGS
        ) from error


def _forms_of_plan(
    plan: dict[str, object], path: Path
) -> dict[str, tuple[Form, tuple[int, ...] | None]]:
    if plan.get("schema") != SCHEMA:
        raise UsageError(
            "The plan has another schema than this version of dyntools reads.",
            where=str(path),
            found=f"schema = {plan.get('schema')!r}",
            remedy=f"schema = {SCHEMA}, or another version of dyntools",
        )
    tensors = plan.get("tensors")
    if not isinstance(tensors, dict):
        raise UsageError(
            "The plan has no table of tensors.",
            where=str(path),
            remedy='[tensors], with lines "name" = { form = "axes 1" }',
        )
    return {name: _form_of_entry(name, entry, path) for name, entry in tensors.items()}


def _form_of_entry(name: str, entry: object, path: Path) -> tuple[Form, tuple[int, ...] | None]:
    label = entry.get("form") if isinstance(entry, dict) else None
    shape = entry.get("shape") if isinstance(entry, dict) else None
    try:
        form = form_of(label) if isinstance(label, str) else None
    except ValueError:
        form = None
    if form is None:
        raise _no_form(
            name, entry, path, '{ form = "axes 1" }; full, axes 0,1, blocks 12, factored or 8-bit'
        )
    if shape is not None and not (_naturals(shape) and form.fits(shape)):
        raise _no_form(name, entry, path, "a form that fits the shape")
    return form, None if shape is None else tuple(shape)


def _forms_of_rules(rules: object, path: Path) -> dict[str, Form]:
    if not isinstance(rules, dict):
        raise UsageError(
            "The rules are no JSON object.", where=str(path), remedy='{"name": [1], …}'
        )
    forms = {}
    for name, axes in rules.items():
        if axes is None or axes == []:
            forms[name] = FULL
        elif _naturals(axes) and len(set(axes)) == len(axes):
            forms[name] = mean_over(*axes)
        else:
            raise _no_form(name, axes, path, "a list of axes, such as [1], or null")
    return forms


def _naturals(value: object) -> bool:
    return isinstance(value, list) and all(type(n) is int and n >= 0 for n in value)


def _no_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a tensor is named twice")
    return found


def _no_form(name: str, found: object, path: Path, remedy: str) -> UsageError:
    return UsageError(
        f"The plan says no form for {name}.",
        where=str(path),
        found=json.dumps(found, default=str)[:200],
        remedy=remedy,
    )
