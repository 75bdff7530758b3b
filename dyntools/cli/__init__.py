"""The command line: one command, one file; each parses, calls one function and prints one view.

Exit codes: 0 done · 2 use or data error · 130 interrupted. 1 and 3 are those of `check` (failed;
inconclusive or not comparable), so that an error is never taken for a verdict.
Nothing here imports torch; a command that needs it imports the analysis when it is run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer

from dyntools.cli import (
    adam_memory,
    analyze,
    baseline,
    check,
    compare,
    doctor,
    init,
    inspect,
    merge,
    metrics,
    plot,
    processes,
    report,
    seal,
    show,
    watch,
)
from dyntools.errors import USE_OR_DATA_ERROR, DyntoolsError

INTERRUPTED = 130  # 128 + SIGINT, as shells report it
EPILOG = "First: dyntools analyze RUN    Then: dyntools show RUN.h5 --metric layer_rotation"

app = typer.Typer(
    name="dyntools",
    help="Tells people who train neural networks what their training is doing, from checkpoints"
    " and logs.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
COMMANDS = (
    *(init, inspect, analyze, merge, show, plot, report, watch, seal, adam_memory),
    *(compare, baseline, check, metrics, doctor),
)
for command in COMMANDS:
    name = command.__name__.rsplit(".", 1)[-1].replace("_", "-")
    app.command(name=name, cls=getattr(command, "Parser", None))(command.command)


@app.callback(invoke_without_command=True)
def _version(
    version: bool = typer.Option(False, "--version", help="Print the version and leave."),
) -> None:
    if version:
        from importlib.metadata import version as version_of

        print(version_of("dyntools"))
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and leave with its exit code; every error is sentences, never a traceback."""
    code = run(arguments)
    if code and processes.several():
        processes.end(code)
    sys.exit(code)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    try:
        with processes.one_voice():
            return app(None if arguments is None else list(arguments), standalone_mode=False) or 0
    except DyntoolsError as error:
        return _complain(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _complain("interrupted", INTERRUPTED)
    except BrokenPipeError:  # `dyntools show … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _complain(f"the system refused: {error}")
    except Exception as error:
        if hasattr(error, "show") and hasattr(error, "exit_code"):  # typer's own usage errors
            if processes.may_speak():
                error.show()
            return int(error.exit_code)
        if os.environ.get("DYNTOOLS_DEBUG"):
            raise
        sentence = f"{type(error).__name__}: {error}"
        hint = "  try: DYNTOOLS_DEBUG=1 shows where; please report it"
        return _complain(f"dyntools met a mistake of its own: {sentence}\n{hint}")


def _complain(text: str, code: int = USE_OR_DATA_ERROR) -> int:
    if processes.may_speak():
        print(f"dyntools: {text}", file=sys.stderr)
    return code
