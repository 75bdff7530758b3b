"""Listings: checkpoints with what became of them, metrics with their needs, what comes next."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from dyntools.report import CheckpointRow, Report
from dyntools.views import listings
from tests.reports import random_report


def printed(view: RenderableType, width: int = 80, encoding: str = "utf-8") -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    Console(file=file, width=width).print(view)
    file.seek(0)
    return file.read()


def test_checkpoints_as_a_person_sees_them() -> None:
    rows = (
        CheckpointRow("a.pt", "torch", 0, "`step` in the file", "ok"),
        CheckpointRow("b[1].pt", "torch", None, "", "damaged", "truncated"),
        CheckpointRow("c.pt", "torch", 10, "file name", "set aside", "also step 10"),
    )
    assert printed(listings.checkpoints(Report(checkpoints=rows))) == (
        "step     checkpoint  format  number from\n"
        "   0  ·  a.pt        torch   `step` in the file\n"
        "   ?  ✗  b[1].pt     torch   damaged: truncated\n"
        "  10  –  c.pt        torch   set aside: also step 10\n"
    )


def test_no_checkpoints_and_no_series() -> None:
    assert printed(listings.checkpoints(Report())) == "no checkpoints\n"
    assert "plot r.h5" in printed(listings.next_commands(Path("r.h5"), Report()))


def test_the_next_command_can_be_pasted() -> None:
    text = printed(listings.next_commands(Path("my run.h5"), random_report()))
    assert "dyntools show 'my run.h5' --metric effective_rank\n" in text


@pytest.mark.parametrize("width", [80, 120])
def test_an_output_that_knows_only_ascii_is_served(width: int) -> None:
    views = (
        listings.checkpoints(random_report()),
        listings.measurable(["a"], {"b": "no – log"}, {"parameters": "3 × 4"}),
        listings.next_commands(Path("ü.h5"), random_report()),
    )
    for view in views:
        assert printed(view, width, "ascii")
