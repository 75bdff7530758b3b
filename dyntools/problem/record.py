"""Record: what a report keeps of a problem, so that no two probes are ever compared unawares."""

from __future__ import annotations

import torch

from dyntools.problem.probe import probe_of
from dyntools.problem.problem import Problem
from dyntools.problem.validation import validation_probe


def record(problem: Problem, device: torch.device) -> dict[str, object]:
    """The examples by hash and number, the mode, and how products are computed."""
    engine = problem.engine
    probe = probe_of(problem, device, engine.dtype)
    held_out = validation_probe(problem, device)
    of_validation: dict[str, object] = {}
    if held_out is not None:
        of_validation["validation_hash"] = held_out.digest
        of_validation["validation_examples"] = held_out.examples
    return {
        "hash": probe.digest,
        "examples": probe.examples,
        "mode": problem.mode,
        "dtype": str(engine.dtype).removeprefix("torch."),
        "hvp": engine.hvp,
        "source": problem.source,
        **of_validation,
    }


def sentence(problem: Problem, device: torch.device) -> str:
    """The same on one line, as the setting `probe` of every number that depends on it."""
    told = record(problem, device)
    extra = "" if told["hvp"] == "autograd" else f", {told['hvp']}"
    return f"{told['hash']}: {told['examples']} examples, {told['mode']}, {told['dtype']}{extra}"


def validation_sentence(problem: Problem, device: torch.device) -> str:
    """Of the validation examples, "" where there are none; what else matters stands in `probe`."""
    probe = validation_probe(problem, device)
    return "" if probe is None else f"{probe.digest}: {probe.examples} examples"
