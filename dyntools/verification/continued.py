"""Continued: training goes on from a checkpoint, in one order of the examples after another.

Weights, buffers, moments and settings are those of the checkpoint. The tensors are swapped into the
problem's own model and out again, so that whatever looks at it (a penalty on its weights, say) sees
those that are trained. It is in training mode (dropout, batch statistics) for a step and in
evaluation mode to be judged. A seed sets the order and torch's random numbers: on a CPU it gives
the same bits again. Training stops where its loss is no longer finite, which is a result.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from dyntools.problem import Problem
from dyntools.problem.batches import Batch
from dyntools.problem.conditions import undisturbed
from dyntools.problem.evaluation import Evaluation
from dyntools.verification.examples import Examples, pooled
from dyntools.verification.paired import Arm
from dyntools.verification.start import Start

T = TypeVar("T")
Build = Callable[[Mapping[str, Tensor]], torch.optim.Optimizer]
Told = Callable[[int, int], None]  # steps taken, of how many


@dataclass(frozen=True)
class Run:
    """One way of training in one order.

    loss: in the end, on the examples it is judged by. training: mean of the mini-batches' losses
    over the second half of the steps. seconds, updates: of each step, of its update alone.
    """

    loss: float
    training: float
    state_bytes: int
    seconds: tuple[float, ...]
    updates: tuple[float, ...]


class Training:
    """What all runs have in common."""

    def __init__(
        self, problem: Problem, start: Start, examples: Examples, steps: int, clip: float | None
    ) -> None:
        self.problem, self.start, self.examples = problem, start, examples
        self.steps, self.clip = steps, clip
        self._device = examples.source.device
        self._evaluation = Evaluation(problem, (), {}, self._device, problem.engine.dtype)

    def arms(self, builds: Sequence[Build], seeds: int, told: Told | None) -> list[Arm]:
        """An arm for each optimizer; they take turns, so that a busy machine slows them all."""
        runs: list[list[Run]] = [[] for _ in builds]
        total, done = seeds * len(builds) * self.steps, 0
        for seed in range(seeds):
            for build, own in zip(builds, runs, strict=True):
                own.append(self.run(build, seed))
                done += self.steps
                if told is not None:
                    told(done, total)
        return [_arm(own) for own in runs]

    def judged_at_start(self) -> float:
        """The loss of the checkpoint."""
        return self._within(self.start.leaves(), self._judged)

    def run(self, build: Build, seed: int) -> Run:
        """From the checkpoint on."""
        leaves = self.start.leaves()
        optimizer = build(leaves)

        def work() -> tuple[list[float], list[float], list[float], float]:
            torch.manual_seed(seed)
            losses, seconds, updates = self._trained(leaves, optimizer, seed)
            broken = not math.isfinite(losses[-1])
            return losses, seconds, updates, math.nan if broken else self._judged()

        losses, seconds, updates, judged = self._within(leaves, work)
        late = statistics.fmean(losses[len(losses) // 2 :])
        return Run(judged, late, state_bytes(optimizer), tuple(seconds), tuple(updates))

    def _trained(
        self, leaves: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, seed: int
    ) -> tuple[list[float], list[float], list[float]]:
        """Losses of the mini-batches before each update, seconds of each step and update."""
        losses, seconds, updates = [], [], []
        self.problem.model.train()
        for batches in self.examples.order(seed, self.steps):
            began = self._now()
            optimizer.zero_grad()
            losses.append(self._gradient(batches))
            if not math.isfinite(losses[-1]):
                break
            if self.clip is not None:
                nn.utils.clip_grad_norm_(leaves.values(), self.clip)
            middle = self._now()
            optimizer.step()
            ended = self._now()
            seconds.append(ended - began)
            updates.append(ended - middle)
        return losses, seconds, updates

    def _gradient(self, batches: Sequence[Batch]) -> float:
        """Adds the gradient of the mean loss to the leaves; the loss."""
        total = 0.0
        for batch, share in pooled(batches, self.problem.terms):
            loss = self._evaluation.loss(batch) * share
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        return total

    def _judged(self) -> float:
        """Mean loss over the examples of the evaluation, summed in float64."""
        self.problem.model.eval()
        total = terms = 0.0
        with torch.no_grad():
            for batch in self.examples.evaluation():
                count = self.problem.terms(batch)
                if count > 0:
                    total += count * float(self._evaluation.loss(batch))
                    terms += count
        return total / terms if terms else math.nan

    def _within(self, leaves: Mapping[str, Tensor], work: Callable[[], T]) -> T:
        """`work()` while the model holds these tensors; it is as it was when this ends."""
        values = {name: tensor.clone() for name, tensor in self.start.constants.items()}
        values |= {self.start.inside[name]: leaf for name, leaf in leaves.items()}
        host = _Host(self.problem.model)
        prefixed = {f"model.{name}": tensor for name, tensor in values.items()}
        with _as_before(self.problem.model, self._device):
            return functional_call(host, prefixed, (work,))  # type: ignore[no-any-return]

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return perf_counter()


def state_bytes(optimizer: torch.optim.Optimizer) -> int:
    """Memory of an optimizer's tensors, without the counters of steps."""
    return sum(
        value.nbytes
        for state in optimizer.state.values()
        for key, value in state.items()
        if isinstance(value, Tensor) and key != "step"
    )


class _Host(nn.Module):
    """Runs any work as a forward pass of a model, so that functional_call can swap tensors."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, work: Callable[[], object]) -> object:
        return work()


@contextmanager
def _as_before(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Modes of modules, random numbers and switches of torch are put back."""
    before = {module: module.training for module in model.modules()}
    with ExitStack() as stack:
        stack.enter_context(undisturbed(device))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(torch.autocast(device.type, enabled=False))
        if "torch._dynamo" in sys.modules:  # compiled modules know nothing of swapped tensors
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        try:
            yield
        finally:
            for module, training in before.items():
                module.training = training


def _arm(runs: Sequence[Run]) -> Arm:
    return Arm(
        tuple(run.loss for run in runs),
        tuple(run.training for run in runs),
        max(run.state_bytes for run in runs),
        _median([second for run in runs for second in run.seconds]),
        _median([second for run in runs for second in run.updates]),
    )


def _median(seconds: Sequence[float]) -> float:
    """NaN where not one step was taken."""
    return statistics.median(seconds) if seconds else math.nan
