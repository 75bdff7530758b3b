"""dyntools adam-memory: how much of Adam's second moment can go, in which tensors, at what price.

From a report, from a run, which is analysed first, or from the SNR trace of the SlimAdam authors'
trainer (Kalra et al. 2025, arXiv:2503.01843). Torch is imported for a run only.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dyntools.cli import memory_output, memory_run, options, terminal
from dyntools.cli.loss import Loss
from dyntools.errors import UsageError
from dyntools.forms import EIGHT_BIT

if TYPE_CHECKING:
    from dyntools.adam_memory import Decision, Evidence
    from dyntools.layer_kinds import Kinds
    from dyntools.report import Report

SIGNATURE = b"\x89HDF\r\n\x1a\n"  # of HDF5, in which reports are


def command(
    path: Annotated[
        str,
        typer.Argument(metavar="REPORT|RUN|TRACE.csv", help="A run is analysed first."),
    ],
    rule: Annotated[
        str | None,
        typer.Option(
            "--rule",
            metavar="NAME",
            help="slimadam (the default), most-memory, corrected or update-error.",
        ),
    ] = None,
    cutoff: Annotated[
        float | None, typer.Option("--cutoff", metavar="X", help="Of the SNR; default 1.")
    ] = None,
    max_update_error: Annotated[
        float | None,
        typer.Option(
            "--max-update-error", metavar="X", help="Alone it means the rule update-error."
        ),
    ] = None,
    steps: Annotated[
        str | None, typer.Option("--steps", metavar="0,100,…", help="Decide from these steps.")
    ] = None,
    from_step: Annotated[
        int | None, typer.Option("--from-step", metavar="S", help="Decide from S on.")
    ] = None,
    kind: options.Kinds = None,
    export: Annotated[
        list[Path] | None,
        typer.Option(
            "--export",
            metavar="FILE",
            help="The plan: .toml, or .json as the SlimAdam trainer reads it; may be repeated.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The whole decision.")] = False,
    every: Annotated[bool, typer.Option("--all", help="A line for every tensor.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="REPORT", help="Default: NAME-adam-memory.h5."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite report and exports.")] = False,
    initial: options.Initial = None,
    logs: options.Logs = None,
    role: options.Roles = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda[:i] or mps.")] = "auto",
    no_mmap: options.NoMmap = False,
    verify: Annotated[
        int | None,
        typer.Option("--verify", metavar="STEPS", min=1, help="Train on, with AdamW and the plan."),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", metavar="N", min=3, help="Orders; default 3.")
    ] = None,
    lr: Annotated[
        float | None, typer.Option("--lr", metavar="X", help="Default: the checkpoint's.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", metavar="N", min=1, help="Examples of a step.")
    ] = None,
    clip: Annotated[
        float | None, typer.Option("--clip", metavar="X", help="Norm gradients are cut to.")
    ] = None,
    problem: options.Problem = None,
    text: options.Text = None,
    tokens: options.Tokens = None,
    tokenizer: options.Tokenizer = None,
    block: options.Block = None,
    examples: options.Examples = None,
    dtype: options.Dtype = None,
    second_moments: options.SecondMoments = None,
) -> None:
    """Decide in which form Adam's second moment of each tensor is kept, and what that saves.

    A run is measured whole, and its report is taken as it is the next time. With --verify and the
    loss of the run the plan is trained on, beside AdamW, from the last checkpoint.

    Example: dyntools adam-memory runs/my-run --export plan.toml
    """
    # The cheap questions first: a run may take long to measure, and torch long to import.
    told = options.kinds_of(kind)
    rule = _check_rule(rule, cutoff, max_update_error)
    wanted = _steps(steps)
    memory_run.check_exports(export or (), force=force)
    trial = memory_run.Trial(verify, seeds, lr, batch_size, clip)
    trial.check(problem or text or tokens)
    loss = Loss(problem, text, tokens, tokenizer, block, examples, dtype=dtype)
    source = memory_run.Source(
        path,
        output,
        force,
        initial,
        tuple(logs or ()),
        options.roles_of(role),
        told,
        device,
        not no_mmap,
        loss,
        options.estimate_of(second_moments, problem or text or tokens),
    )
    report, place = _report(source, trial)
    from dyntools.adam_memory import decide, without
    from dyntools.adam_memory.rules import CUTOFF

    kinds = _kinds(told, report)
    evidence = _evidence(report, kinds, wanted, from_step)
    if trial.wanted and rule == "update-error":
        evidence = without(evidence, EIGHT_BIT.label)
        terminal.say("8-bit is left out: dyntools.optim does not run it, so it is not verified.")
    decision = decide(evidence, rule, CUTOFF if cutoff is None else cutoff, max_update_error)
    _export(decision, export or (), force)
    if not as_json:
        memory_output.show(report, decision, kinds, every=every)
    verified = memory_run.verified(source, trial, decision.forms) if trial.wanted else None
    if as_json:
        print(json.dumps(memory_output.content(report, decision, kinds, verified), allow_nan=False))
        return
    from dyntools.views import memory_tables, memory_verification

    if verified is not None:
        terminal.stdout().print(memory_verification.verification(verified))
    run = str(report.attributes.get("path", "") or "")
    shown = memory_tables.next_commands(place, path, run, trial.wanted, bool(export))
    terminal.stdout().print(shown)


def _check_rule(rule: str | None, cutoff: float | None, limit: float | None) -> str:
    from dyntools.adam_memory import RULES
    from dyntools.errors import nearest

    chosen = rule or ("update-error" if limit is not None and cutoff is None else "slimadam")
    if chosen not in RULES:
        raise UsageError(f"There is no rule {chosen!r}.", remedy=nearest(chosen, RULES))
    if chosen == "update-error" and cutoff is not None:
        raise UsageError(
            "The rule update-error has no cutoff of the SNR.", remedy="--max-update-error 0.1"
        )
    for option, value in (("--cutoff", cutoff), ("--max-update-error", limit)):
        if value is not None and not 0 < value < float("inf"):
            raise UsageError(f"{option} takes a number above 0.", found=f"{value}")
    return chosen


def _steps(text: str | None) -> set[int] | None:
    try:
        return None if text is None else {int(step) for step in text.split(",")}
    except ValueError as error:
        raise UsageError("Steps are whole numbers.", found=text, remedy="--steps 0,100") from error


def _report(source: memory_run.Source, trial: memory_run.Trial) -> tuple[Report, Path | None]:
    """The report, and where it lies; a trace lies in none."""
    path = Path(source.path)
    if path.suffix.lower() == ".csv" and path.is_file():
        source.refuse_run_options(trial, "a trace")
        from dyntools.adam_memory.trace import report_of_trace

        return report_of_trace(path), None
    from dyntools import gathering

    if path.suffix.lower() == ".h5" or _is_hdf5(path) or gathering.is_journal(path):
        source.refuse_run_options(trial, "a report")
        return gathering.read(path), path
    return source.analysed()


def _is_hdf5(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(SIGNATURE)) == SIGNATURE


def _kinds(told: Kinds, report: Report) -> Kinds:
    """The lines of this command before those that the report was made with."""
    from dyntools.layer_kinds import Kinds, kinds_from

    return Kinds(tuple(dict.fromkeys((*told.given, *kinds_from(report.attributes).given))))


def _evidence(
    report: Report, kinds: Kinds, wanted: Collection[int] | None, from_step: int | None
) -> Evidence:
    from dyntools.adam_memory import evidence_of

    whole = evidence_of(report, kinds=kinds)
    if wanted is None and from_step is None:
        return whole
    known = ", ".join(map(str, whole.steps))
    if unknown := sorted((set(wanted or ())) - set(whole.steps)):
        raise UsageError(
            f"No second moment was measured at {whole.step_unit} {unknown[0]}.",
            remedy=f"{whole.step_unit}s: {known}",
        )
    chosen = [s for s in whole.steps if (wanted is None or s in wanted) and s >= (from_step or s)]
    if not chosen:
        raise UsageError(
            f"No second moment was measured from {whole.step_unit} {from_step} on.",
            remedy=f"{whole.step_unit}s: {known}",
        )
    return evidence_of(report, kinds=kinds, steps=chosen)


def _export(decision: Decision, paths: Sequence[Path], force: bool) -> None:
    from dyntools.adam_memory.exports import export

    for path in paths:
        for note in export(decision, path, force=force):
            terminal.say(f"note: {note}")
        terminal.say(f"wrote {path}")
