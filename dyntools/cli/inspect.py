"""dyntools inspect RUN: what was found, what can be measured, what is missing; nothing measured."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dyntools.cli import options, terminal

if TYPE_CHECKING:
    from dyntools.checkpoint import OptimizerState
    from dyntools.run import Run


def command(
    path: options.RunPath,
    initial: options.Initial = None,
    logs: options.Logs = None,
    role: options.Roles = None,
    kind: options.Kinds = None,
    kinds: Annotated[
        bool, typer.Option("--kinds", help="Every tensor, with its shape and kind of layer.")
    ] = False,
    no_mmap: options.NoMmap = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show what a run holds and what can be measured on it, from headers alone.

    Example: dyntools inspect runs/my-run
    """
    from dyntools.metrics import PRESETS
    from dyntools.opening import open_run
    from dyntools.plan import by_reason, lacking_in, parse
    from dyntools.report import Report

    roles, told = options.roles_of(role), options.kinds_of(kind)
    run = open_run(
        path, initial=initial, log_paths=logs or (), roles=roles, kinds=told, mmap=not no_mmap
    )
    tasks = [parse(request) for request in PRESETS["full"]]
    missing = lacking_in(run, tasks)
    measurable = [task.name for task in tasks if task.name not in missing]
    if as_json:
        content = _json(run, measurable, missing)
        print(json.dumps(content, indent=2, allow_nan=False))
        return
    from dyntools.views import listings, tables

    report = Report(
        attributes={"run": run.name, "step_unit": run.step_unit},
        checkpoints=run.rows,
        log=run.log,
        notes=run.notes,
    )
    grouped = {", ".join(names): reason for reason, names in by_reason(missing).items()}
    console = terminal.stdout()
    console.print(tables.overview(report))
    console.print(listings.checkpoints(report))
    console.print(listings.measurable(measurable, grouped, _facts(run)))
    if kinds:
        console.print()
        console.print(listings.tensors(_tensors(run)))


def _facts(run: Run) -> dict[str, str]:
    """What the newest checkpoint holds, in words."""
    if not run.checkpoints:
        return {}
    from dyntools.run import parameters

    kept, _ = parameters(run.checkpoints[-1])
    count = sum(math.prod(entry.shape) for entry in kept.values())
    facts = {"parameters": f"{count:,} in {len(kept)} tensors"}
    facts["optimizer"] = _optimizer(run.checkpoints[-1].optimizer())
    return facts


def _optimizer(state: OptimizerState | None) -> str:
    from dyntools.checkpoints.optimizer_names import is_index

    if state is None:
        return "no state saved"
    without = sum(map(is_index, state.state))
    remedy = f"; the model of a --problem would name the other {without}" if without else ""
    return f"{state.family} ({state.naming}{remedy})"


def _json(run: Run, measurable: list[str], left_out: dict[str, str]) -> dict[str, Any]:
    from dataclasses import asdict

    log = run.log
    return {
        "run": run.name,
        "path": run.path,
        "step_unit": run.step_unit,
        "checkpoints": [asdict(row) for row in run.rows],
        "initial": None if run.initial is None else str(run.initial.path),
        "tensors": _tensors(run),
        "left_out_tensors": dict(run.left_out),
        "log": None
        if log is None
        else {
            "sources": list(log.sources),
            "roles": {role.value: name for role, name in log.roles.items()},
            "curves": {name: len(curve.steps) for name, curve in log.curves.items()},
            "unit": log.unit,
            "notes": list(log.notes),
        },
        "measurable": measurable,
        "missing": left_out,
        "facts": _facts(run),
        "notes": list(run.notes),
    }


def _tensors(run: Run) -> dict[str, dict[str, Any]]:
    """Of the newest checkpoint: shape, type and kind of layer."""
    if not run.checkpoints:
        return {}
    from dyntools.run import parameters

    kept, _ = parameters(run.checkpoints[-1])
    return {
        name: {
            "shape": list(entry.shape),
            "dtype": entry.dtype,
            "kind": run.kinds.of(name, entry.shape),
        }
        for name, entry in kept.items()
    }
