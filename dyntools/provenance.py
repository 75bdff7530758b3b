"""Provenance: what a reader needs to trust a number a year later, as plain values.

Versions, the command, the device, times, and the identity of the analysis: a hash over the
checkpoints, the log and the metrics with their settings. Two analyses of one identity give the same
numbers, so a journal may be resumed, or shards merged, only when their identities agree. No user or
host name is recorded: reports are made to be passed on.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

import torch

from dyntools.checkpoint import Checkpoint
from dyntools.checkpoints.fingerprint import fingerprint
from dyntools.errors import CheckpointError
from dyntools.journal import encode_log
from dyntools.plan import Plan
from dyntools.problem.loading import code_digest
from dyntools.problem.record import record, sentence, validation_sentence
from dyntools.run import parameters

if TYPE_CHECKING:
    from dyntools.run import Run

LIBRARIES = ("dyntools", "torch", "numpy", "scipy", "h5py")


def attributes(
    run: Run, plan: Plan, device: torch.device, steps: Sequence[int], shard: str, command: str
) -> dict[str, object]:
    """The attributes of a report that is about to be made."""
    return {
        "run": run.name,
        "path": run.path,
        "command": command,
        "step_unit": run.step_unit,
        "steps": list(steps),
        "shard": shard,
        "device": str(device),
        "threads": torch.get_num_threads(),
        "identity": identity(run, plan, device, steps),
        "problem": {} if plan.problem is None else record(plan.problem, device),
        "kinds": [list(line) for line in run.kinds.given],
        "recipe": run.recipe.told,
        "second_moments": "" if plan.estimate is None else plan.estimate.sentence,
        "left_out_metrics": dict(plan.left_out),
        "left_out_tensors": dict(run.left_out),
        "shapes": shapes_of(run),
        **surroundings(),
    }


def surroundings() -> dict[str, object]:
    """The time and the versions of what computes."""
    return {
        "started": now(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        **{f"{library}_version": version(library) for library in LIBRARIES},
    }


def shapes_of(run: Run) -> dict[str, list[int]]:
    """The shape of every parameter, as the last checkpoint has it."""
    found = parameters(run.checkpoints[-1])[0] if run.checkpoints else {}
    return {name: list(entry.shape) for name, entry in found.items()}


def identity(run: Run, plan: Plan, device: torch.device, steps: Sequence[int]) -> str:
    """A hash of all that the numbers depend on."""
    content = {
        "checkpoints": [(row.step, row.fingerprint) for row in run.rows if row.status == "ok"],
        "initial": _fingerprint(run.initial) if run.initial else "",
        **_final(run, plan),
        "log": "" if run.log is None else _digest(encode_log(run.log)),
        "steps": list(steps),
        "kinds": list(run.kinds.given),
        "recipe": run.recipe.told,
        "metrics": [task.entry("", estimate=plan.estimate) for task in plan.tasks],
        "problem": None if plan.problem is None else sentence(plan.problem, device),
        **_validation(plan, device),
        "code": "" if plan.problem is None else code_digest(plan.problem.source),
        "device": device.type,
        "versions": [version(library) for library in LIBRARIES],
    }
    return _digest(content)


def _validation(plan: Plan, device: torch.device) -> dict[str, str]:
    """The examples held out from training, where there are any."""
    told = "" if plan.problem is None else validation_sentence(plan.problem, device)
    return {"validation": told} if told else {}


def _final(run: Run, plan: Plan) -> dict[str, str]:
    """The last checkpoint, for the metrics that compare every other one with it."""
    if not any("final" in task.metric.needs for task in plan.tasks):
        return {}
    return {"final": _fingerprint(run.checkpoints[-1])}


def _fingerprint(checkpoint: Checkpoint) -> str:
    try:
        return fingerprint(checkpoint)
    except CheckpointError:
        return "vanished"  # reading it will say so


def _digest(content: object) -> str:
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def now() -> str:
    """The time of day in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
