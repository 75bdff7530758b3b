"""Comparison: a plan of compressed moments against AdamW, trained on from one checkpoint.

Both see the same mini-batches and the same random numbers (`continued`), in several orders, and are
judged by examples that these steps did not train on; `paired` says what the difference is worth.
"""

from __future__ import annotations

from collections.abc import Mapping

from dyntools.errors import UsageError
from dyntools.forms import Form
from dyntools.problem import Problem
from dyntools.problem.parallel import refuse_parallel
from dyntools.problem.user_code import blamed
from dyntools.snapshot import Snapshot
from dyntools.verification.continued import Told, Training
from dyntools.verification.examples import Examples, examples_of
from dyntools.verification.paired import Verification
from dyntools.verification.start import start_of

SEEDS = 3  # orders of the examples, the fewest that give an interval of any use; chosen


def verify(
    problem: Problem,
    snapshot: Snapshot,
    forms: Mapping[str, Form | str],
    steps: int,
    *,
    seeds: int = SEEDS,
    batch_size: int | None = None,
    lr: float | None = None,
    clip: float | None = None,
    held_out: Problem | None = None,
    told: Told | None = None,
) -> Verification:
    """Train `steps` steps from the snapshot with AdamW and with the plan, in `seeds` orders.

    forms: of second moments by the names of the checkpoint; a tensor without one is kept in full.
    batch_size: examples of a mini-batch; by default those of the problem's first batch, but at most
        an eighth of the examples.
    lr: the learning rate of the group that has the largest, the others keep their ratio to it; by
        default the checkpoint's. clip: norm that gradients are cut to; by default they are not.
    held_out: a problem by whose batches the result is judged, with the loss of the first; by
        default a fifth of the examples is held out.
    told: is told the steps taken, and of how many, after each run.
    Raises ProblemError where the problem does not fit the checkpoint, CheckpointError where its
    optimizer state is not Adam's or has no names, UsageError for settings that make no sense.
    """
    if steps < 1 or seeds < SEEDS:
        found = f"{steps} steps, {seeds} orders"
        raise UsageError("A verification needs a step, and three orders or more.", found=found)
    if clip is not None and not clip > 0.0:
        raise UsageError("A norm that gradients are cut to is positive.", found=str(clip))
    if problem.ranks.count > 1:
        remedy = "the command without torchrun"
        raise UsageError("A verification runs in one process.", remedy=remedy)
    refuse_parallel(problem.model, problem.source or None)
    start = start_of(problem, snapshot, lr)
    start.slim(start.leaves(), forms)  # forms that do not fit are told before anything is trained
    with blamed(problem):
        examples = examples_of(problem, held_out, batch_size, snapshot.device)
        training = Training(problem, start, examples, steps, clip)
        before = training.judged_at_start()
        adamw, plan = training.arms((start.adamw, lambda x: start.slim(x, forms)), seeds, told)
    return Verification(
        step=snapshot.step,
        steps=steps,
        seeds=tuple(range(seeds)),
        batch_size=examples.batch_size,
        learning_rate=start.learning_rate,
        examples=(len(examples.training), len(examples.judged)),
        start=before,
        adamw=adamw,
        plan=plan,
        evaluated=f"mean loss on {examples.told}, after {steps} steps from step {snapshot.step}",
        limits=(*start.limits, *_limits(examples, steps, clip, held_out)),
    )


def _limits(
    examples: Examples, steps: int, clip: float | None, held_out: Problem | None
) -> tuple[str, ...]:
    passes = steps * examples.batch_size / len(examples.training)
    told = [
        f"{steps} steps do not tell what the plan costs in a training from the start.",
        f"They pass {passes:.2g} times over {len(examples.training)} examples"
        f" in mini-batches of {examples.batch_size}.",
    ]
    if clip is None:
        told.append("Gradients are not clipped; where the run did, give its norm.")
    if held_out is None:
        told.append("Before the checkpoint the run may have trained on the held-out examples.")
    return tuple(told)
