"""Markdown of the curvature benchmarks: tables, goals, and what a page was made by."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

AT_MOST = "at most"


def table(heads: str, rows: Iterable[tuple[object, ...]]) -> str:
    """heads: "a | b | c"."""
    lines = [f"| {heads} |", "| --- " * (heads.count("|") + 1) + "|"]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n" + "\n".join(lines) + "\n"


def verdict(measured: Mapping[str, float], limit: float) -> tuple[str, str, str]:
    """(limit, what was measured, whether all of it is within the limit).

    A name with AT_MOST has a bound from above, which can show that a goal is met, not the contrary.
    """
    told = "; ".join(f"{name}: {value:.3g}".removeprefix(": ") for name, value in measured.items())
    beyond = [name for name, value in measured.items() if not value <= limit]
    missed = sum(AT_MOST not in name for name in beyond)
    if missed:
        short = f"not met by {missed} of {len(measured)}"
    elif beyond:
        short = f"not shown by {len(beyond)} of {len(measured)}"
    else:
        short = "met" if measured else "not measured"
    return f"{limit:.3g}", told, short


def made_by(options: Any, packages: Iterable[str] = ()) -> str:
    """The command, the versions and the machine; `packages` are those of --peers."""
    hidden = {"--work", str(getattr(options, "work", "")), "--out", str(options.out)}
    peers = getattr(options, "peers", None)
    given = ["PYTHON" if word == peers else word for word in sys.argv[1:] if word not in hidden]
    command = " ".join(["python", f"docs/benchmarks/{Path(sys.argv[0]).name}", *given])
    versions = [f"Python {platform.python_version()}"]
    versions += [f"{name} {version(name)}" for name in ("torch", "numpy", "scipy")]
    if peers:
        names = ("torch", *packages)
        code = f"from importlib.metadata import version\nfor n in {names}: print(n, version(n))"
        run = subprocess.run([peers, "-c", code], capture_output=True, text=True, check=True)
        versions += [f"{line} (peers)" for line in run.stdout.splitlines()]
    machine = f"{os.cpu_count()} cores, {platform.machine()}, {options.threads} thread(s)"
    return f"Made by `{command}`\n({', '.join(versions)}; {machine})."
