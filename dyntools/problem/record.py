"""Record: what a report keeps of a problem, so that no two probes are ever compared unawares."""

from __future__ import annotations

import torch

from dyntools.problem.probe import probe_of
from dyntools.problem.problem import Problem


def record(problem: Problem, device: torch.device) -> dict[str, object]:
    """The examples by hash and number, the mode, and how products are computed."""
    engine = problem.engine
    probe = probe_of(problem, device, engine.dtype)
    return {
        "hash": probe.digest,
        "examples": probe.examples,
        "mode": problem.mode,
        "dtype": str(engine.dtype).removeprefix("torch."),
        "hvp": engine.hvp,
        "source": problem.source,
    }


def sentence(problem: Problem, device: torch.device) -> str:
    """The same on one line, as the setting `probe` of every number that depends on it."""
    told = record(problem, device)
    extra = "" if told["hvp"] == "autograd" else f", {told['hvp']}"
    return f"{told['hash']}: {told['examples']} examples, {told['mode']}, {told['dtype']}{extra}"
