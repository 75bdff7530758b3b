"""What is printed is plain text that the output can encode."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.text import Text

from dyntools.report import Report
from dyntools.views import tables
from dyntools.views.fitted import Fitted, encodable


def test_an_ascii_output_gets_ascii_of_the_same_width(small: Report) -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    Console(file=out, width=80).print(tables.summary(small))
    out.flush()
    shown = raw.getvalue().decode("ascii").splitlines()
    assert shown[:4] == [
        "Weights at step 100: 3 layers",
        "                        along  spectral  eff.rank",
        "layer         rotation  steps   x start  x random",
        "-------------------------------------------------",
    ]
    assert shown[4] == "net.0            0.231  _=@        1.50     0.750"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437", "utf-8"])
def test_substitutes_keep_columns_aligned(encoding: str) -> None:
    text = "▁▂▃▄▅▆▇█ – — … ± × · → − ▲ ● ○ ─ 名"
    assert len(encodable(text, encoding)) == len(text)
    encodable(text, encoding).encode(encoding)


def test_nothing_trails_and_no_colour_where_there_is_no_terminal(small: Report) -> None:
    out = io.StringIO()
    Console(file=out, width=80).print(tables.summary(small))
    assert "\x1b" not in out.getvalue()
    assert all(line == line.rstrip() for line in out.getvalue().splitlines())


def test_no_color_is_honoured(small: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()
    Console(file=out, width=80, force_terminal=True).print(
        tables.metric_table(small["layer_rotation"])
    )
    assert "failed" in out.getvalue()
    assert "\x1b[1;31m" not in out.getvalue()


def test_it_is_built_for_the_width_it_gets() -> None:
    out = io.StringIO()
    Console(file=out, width=33).print(Fitted(lambda width: Text(str(width))))
    assert out.getvalue() == "33\n"
