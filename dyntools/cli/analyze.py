"""dyntools analyze RUN: measure everything the files allow, seal the report, say what was found."""

from __future__ import annotations

import os
import shlex
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dyntools.cli import options, processes, terminal
from dyntools.cli.loss import Loss
from dyntools.errors import UsageError
from dyntools.recipe import NOTHING, read_recipe

if TYPE_CHECKING:
    import torch

    from dyntools.plan import Plan
    from dyntools.report import Report
    from dyntools.run import Run

WIDTH = 80  # columns of the announcement; those of a plain terminal


def command(
    path: options.RunPath,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="REPORT", help="Default: the run's name, .h5."),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="NAME[:k=v,…]", help="Only these; may be repeated."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            help="quick, weights, optimizer, low-memory, gradients, activations, curvature, "
            "sharpness or full.",
        ),
    ] = None,
    initial: options.Initial = None,
    steps: Annotated[
        str | None, typer.Option("--steps", metavar="0,100,…", help="Only these steps.")
    ] = None,
    every: Annotated[
        int | None,
        typer.Option("--every", metavar="N", min=1, help="Every N-th checkpoint, and the last."),
    ] = None,
    last: Annotated[bool, typer.Option("--last", help="Only the last checkpoint.")] = False,
    logs: options.Logs = None,
    role: options.Roles = None,
    kind: options.Kinds = None,
    config: options.Config = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda[:i] or mps.")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Continue what was cut off.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an earlier report.")] = False,
    shard: Annotated[
        str | None,
        typer.Option("--shard", metavar="i/n", help="The i-th of n parts; then: dyntools merge."),
    ] = None,
    no_mmap: options.NoMmap = False,
    problem: options.Problem = None,
    text: options.Text = None,
    tokens: options.Tokens = None,
    tokenizer: options.Tokenizer = None,
    block: options.Block = None,
    examples: options.Examples = None,
    validation: options.Validation = None,
    memory: options.Memory = None,
    basis_memory: options.BasisMemory = None,
    dtype: options.Dtype = None,
    hvp: options.Hvp = None,
    mode: options.Mode = None,
    probe_error: options.ProbeError = False,
    second_moments: options.SecondMoments = None,
    shard_parameters: Annotated[
        bool,
        typer.Option("--shard-parameters", help="Cut them over torchrun's processes; eigenvalues."),
    ] = False,
) -> None:
    """Measure a training run from its checkpoints and logs, and write a report (HDF5).

    Without options it measures all that the files allow without running any code of yours. The
    curvature of the loss needs the loss: --problem, --text or --tokens.

    Example: dyntools analyze runs/my-run -o my-run.h5
    """
    # The cheap questions first: opening a run costs an import of torch.
    if resume and force:
        raise UsageError("--resume and --force exclude one another.")
    part = _shard(shard)
    _check_shardable(shard_parameters, problem or text or tokens)
    roles, kinds = options.roles_of(role), options.kinds_of(kind)
    words = (text, tokens, tokenizer, block, examples)
    loss = Loss(problem, *words, memory, basis_memory, dtype, hvp, mode, probe_error, validation)
    estimate = options.estimate_of(second_moments, problem or text or tokens)
    if estimate is not None and processes.several():
        raise UsageError("--estimate-second-moments works in one process.", remedy="no torchrun")
    recipe = NOTHING if config is None else read_recipe(config)
    from dyntools import ranks
    from dyntools.analysis import analyze, assist
    from dyntools.measuring import device_of
    from dyntools.opening import open_run
    from dyntools.plan import make_plan, parse, with_sampling_errors

    place = ranks.own(device_of(device))
    run = open_run(
        path,
        initial=initial,
        log_paths=logs or (),
        roles=roles,
        kinds=kinds,
        recipe=recipe,
        mmap=not no_mmap,
    )
    # A mistake is told before the code of a problem runs.
    asked = [parse(request).name for request in metric or ()]
    given = loss.load(run.checkpoints[-1] if run.checkpoints else None)
    plan = make_plan(run, metric or (), preset, given, estimate)
    plan = with_sampling_errors(plan) if probe_error else plan
    if given is not None and plan.problem is None:
        terminal.say("The loss is not used: no metric asked for needs it.")
    chosen = _chosen_steps(run.steps, steps, every, last)
    target = output or Path(_default_name(run.name, shard))
    if plan.problem is not None:
        among = ranks.join(place)
        engine = replace(plan.problem.engine, sharded=shard_parameters)
        plan = replace(plan, problem=replace(plan.problem, ranks=among, engine=engine))
    if ranks.launched() and not processes.is_first():
        assist(run, plan, steps=chosen, device=place)
        ranks.leave()
        return
    terminal.say(_announcement(run, plan, chosen, _places(place)))
    if device == "mps":
        terminal.say("mps has no float64: the decompositions run on the CPU.")
    try:
        with terminal.progress_bar() as progress:
            report = analyze(
                run,
                plan,
                target,
                steps=chosen,
                device=place,
                shard=part,
                resume=resume,
                force=force,
                command=shlex.join(["dyntools", *sys.argv[1:]]),
                progress=progress,
            )
    except KeyboardInterrupt:
        terminal.say("What was finished is kept; the same command with --resume continues.")
        raise
    ranks.leave()
    _print(report, target, shard, asked)


def _check_shardable(wanted: bool, loss: object) -> None:
    if wanted and not processes.several():
        raise UsageError(
            "--shard-parameters cuts the parameters over several processes, and this is one.",
            remedy="torchrun --nproc-per-node N -m dyntools analyze …",
        )
    if wanted and loss is None:
        raise UsageError(
            "--shard-parameters goes with a loss, and none is given.",
            remedy="--problem FILE.py:NAME",
        )


def _shard(text: str | None) -> tuple[int, int]:
    """`2/4` as (1, 4): people count parts from one."""
    if text is None:
        return 0, 1
    i, slash, n = text.partition("/")
    if slash and i.isdecimal() and n.isdecimal() and 1 <= int(i) <= int(n) and int(n) > 1:
        return int(i) - 1, int(n)
    raise UsageError(
        "A shard is written i/n with 1 <= i <= n and n > 1.", found=text, remedy="--shard 1/4"
    )


def _default_name(run: str, shard: str | None) -> str:
    stem = "".join(c if c.isalnum() or c in "-_." else "-" for c in run).strip("-.") or "run"
    part = "" if shard is None else f".part-{shard.replace('/', '-of-')}"
    return f"{stem}{part}.h5"


def _chosen_steps(
    known: Sequence[int], steps: str | None, every: int | None, last: bool
) -> Sequence[int]:
    if sum((steps is not None, every is not None, last)) > 1:
        raise UsageError("--steps, --every and --last exclude one another.")
    if last:
        return known[-1:]
    if every is not None:
        return [s for i, s in enumerate(known) if i % every == 0 or i == len(known) - 1]
    if steps is None:
        return known
    try:
        wanted = {int(step) for step in steps.split(",")}
    except ValueError as error:
        raise UsageError("Steps are whole numbers.", found=steps, remedy="--steps 0,100") from error
    if unknown := sorted(wanted - set(known)):
        raise UsageError(
            f"There is no checkpoint at step {unknown[0]}.",
            remedy="steps: " + ", ".join(map(str, known)),
        )
    return sorted(wanted)


def _places(device: torch.device) -> str:
    from dyntools.ranks import launched

    return f"{os.environ['WORLD_SIZE']} × {device.type}" if launched() else str(device)


def _announcement(run: Run, plan: Plan, steps: Sequence[int], device: str) -> str:
    parts = []
    if plan.of_weights:
        checkpoints = _count(len(steps), "checkpoint")
        parts.append(f"{checkpoints} × {_count(len(plan.of_weights), 'metric')} on {device}")
    if plan.of_log:
        parts.append(_count(len(plan.of_log), "metric") + " of the log")
    from dyntools.plan import by_reason

    lines = [f"{run.name}: " + ", ".join(parts)]
    for reason, names in by_reason(plan.left_out).items():
        text = f"left out: {', '.join(names)}: {reason}"
        lines.append(_folded(text))
    return "\n".join(lines)


def _folded(text: str) -> str:
    """Lines of a plain terminal; paths and names are never cut."""
    return textwrap.fill(
        text, WIDTH, subsequent_indent=" " * 10, break_long_words=False, break_on_hyphens=False
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _print(report: Report, path: Path, shard: str | None, asked: Sequence[str]) -> None:
    from dyntools import findings
    from dyntools.views import listings, tables

    console = terminal.stdout()
    if shard is not None:
        console.print(f"wrote {path}; when all parts are there: dyntools merge PARTS… -o REPORT")
        return
    for view in (
        tables.overview(report),
        tables.summary(report),
        tables.unanswered(report, asked),
        tables.findings(findings.find(report)),
        listings.next_commands(path, report),
    ):
        console.print(view)
