"""Views of the terminal as plain data: nothing is cut, every number is the same."""

from __future__ import annotations

import numpy as np
from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

from dyntools.page.blocks import Table, Words, blocks, notes, tables
from dyntools.views.columns import Column, grid
from dyntools.views.fitted import Fitted
from dyntools.views.metric_table import metric_table
from tests.page.conftest import series


def test_views_of_every_kind_in_order() -> None:
    rich = RichTable.grid()
    rich.add_column()
    rich.add_column(justify="right")
    rich.add_row(Text("a", "dim"), "1")
    names = grid("layer", ["x.a.weight", "x.b.weight"], [Column("on\ntwo lines", ("1", "2"))], 80)
    view = Fitted(lambda width: Group(Text("Title", "bold"), Text(), names, rich, Text("q", "dim")))
    found = blocks(view)
    assert found[0] == Words("Title", "strong")
    assert found[1] == Table(
        ("layer", "on two lines"),
        ((Words("a"), Words("1")), (Words("b"), Words("2"))),
        (False, True),
    )
    assert found[2] == Words("names without x. and .weight", "quiet")
    assert found[3] == Table(("", ""), ((Words("a", "quiet"), Words("1")),), (False, True))
    assert notes(found) == ("names without x. and .weight", "q")


def test_a_title_is_as_strong_as_its_beginning() -> None:
    assert blocks(Text.assemble(("Weights", "bold"), " at step 3")) == (
        Words("Weights at step 3", "strong"),
    )


def test_what_another_line_says_too_is_said_once() -> None:
    view = Group(Text("at step 3", "dim"), Text("100 steps · at step 3", "dim"))
    assert blocks(view) == (Words("100 steps · at step 3", "quiet"),)


def test_no_row_and_no_column_is_left_out() -> None:
    wide = {f"companion_{i}": np.full((2, 50), float(i)) for i in range(30)}
    one = series("metric", [[1.0] * 50] * 2, beside=wide)
    (found,) = tables(blocks(metric_table(one, most=None)))
    assert len(found.rows) == 50
    assert [h for h in found.headers if h.startswith("companion")] == [
        f"companion {i}" for i in range(30)
    ]


def test_a_column_can_be_dropped_by_its_head() -> None:
    table = Table(("a", "along steps"), ((Words("1"), Words("▁▂")),), (True, False))
    assert table.without("along") == Table(("a",), ((Words("1"),),), (True,))
