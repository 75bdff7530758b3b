"""Comparisons as text: screenshots at 80 and 120 columns, Markdown, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from dyntools.comparison.compared import compare
from dyntools.comparison.coordinate_check import SCALE, coordinate_check
from dyntools.comparison.lr_sensitivity import lr_sensitivity
from dyntools.comparison.overview import overview
from dyntools.comparison.side import Side
from dyntools.comparison.width_transfer import width_transfer
from dyntools.log import Role
from dyntools.measurement import Status
from dyntools.views import compare_data, compare_series, compare_tables
from dyntools.views.compare_sheet import Sheet, markdown, table
from tests.comparison.reports import report, series, side
from tests.views.test_tables import screenshot


def printed(sheets: Sequence[Sheet], width: int = 80) -> str:
    out = io.StringIO()
    for sheet in sheets:
        Console(file=out, width=width, force_terminal=False).print(table(sheet))
    return out.getvalue()


def two() -> list[Side]:
    """A layer that differs, one that agrees within its error, one that failed, one alone."""
    layers = ("a.weight", "b.weight", "c.weight")
    one = series("weight_norm", (0, 5), [[1, 1, 1], [2, 3, 4]], layers=layers, error=0.01)
    other = [[1, 1, 1, 1], [3, 3.01, np.nan, 1]]
    more = series("weight_norm", (0, 5), other, layers=(*layers, "d.weight"), error=0.01)
    return [side("base", report(one)), side("wide", report(more))]


def test_a_metric_at_80_columns() -> None:
    found = compare(two(), "weight_norm")
    assert printed([compare_tables.metric_sheet(found, found.last)]) == screenshot("""
        weight_norm: what it is
        Aligned by step (all reports have these steps). At step 5. · names without
        .weight
        entry       base       wide   change  relative  verdict
        ──────────────────────────────────────────────────────────
        a      2.00±0.01  3.00±0.01    +1.00     +50 %  differs
        b      3.00±0.01  3.01±0.01  +0.0100   +0.33 %  within
        c      4.00±0.01     failed        –         –  not tested
        not tested: c.weight. One of the two has no number.
        only in wide: d.weight
        One run a side: `differs` is said of these runs, not of their recipes, for two
          seeds of one recipe differ too. Several seeds: --group NAME='GLOB'.

        """)


def test_three_sides_are_marked_where_they_differ_from_the_first() -> None:
    made = [side(n, report(series("hessian_top", (0,), [x], error=0.1)))
            for n, x in (("a", 1.0), ("b", 1.1), ("c", 2.0))]  # fmt: skip
    found = compare(made, "hessian_top")
    text = printed([compare_tables.metric_sheet(found, 0)])
    assert "hessian_top  1.00±0.10   1.10±0.10   2.00±0.10*    73 %" in text
    assert "* differs from a" in text


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    long = [side(f"a rather long name of a run, number {i}", report(
        series("weight_norm", (0,), [[1.0 + i, 2.0]], layers=("x" * 90, "y" * 30), error=0.1),
        series("hessian_top", (0,), [1e-9 * i], error=0.0))) for i in range(3)]  # fmt: skip
    found = compare(long, "weight_norm")
    sheets = [
        compare_tables.metric_sheet(found, 0),
        *compare_tables.overview_sheets(overview(long)),
    ]
    for line in printed(sheets, width).splitlines():
        assert cell_len(line) <= width, line


def test_rows_beyond_the_first_are_counted_and_all_can_be_had() -> None:
    layers = [f"{i}.weight" for i in range(30)]
    made = [side(n, report(series("m", (0,), [np.arange(30.0) + i], layers=layers)))
            for i, n in enumerate("ab")]  # fmt: skip
    found = compare(made, "m")
    assert "… and 10 more: --all" in printed([compare_tables.metric_sheet(found, 0)])
    assert "29" in printed([compare_tables.metric_sheet(found, 0, None)])


def test_the_overview_has_a_line_a_metric_and_says_what_is_left_out() -> None:
    curve = series("singular_values", (0,), [[1.0, 2.0]], coords={"fraction": (0.0, 0.5)})
    top = {"error": 0.1, "settings": {"probe": "one"}}
    one = report(series("hessian_top", (0,), [1.0], **top), curve, series("m", (0,), [1.0]))
    top["settings"] = {"probe": "two"}
    other = report(series("hessian_top", (0,), [2.0], **top), curve)
    found = overview([side("a", one), side("b", other)])
    text = printed(compare_tables.overview_sheets(found), 100)
    assert "hessian_top  1.00±0.10  2.00±0.10" in text
    assert "not tested: hessian_top. The loss was probed otherwise: one in a, two in b." in text
    assert "in full with --metric: singular_values" in text
    assert "only a: m" in text
    assert "The same rules speak of all of them, or none does." in text


@pytest.mark.parametrize("width", [80, 100])
def test_what_a_headline_is_of_outlives_what_follows_from_it(width: int) -> None:
    """A median over layers must not be read as the number of the network."""

    def of(*values: float) -> Side:
        layers = [f"{i}.weight" for i in range(12)]
        made = [series("second_moment_snr", (0,), [np.full(12, x)], layers=layers) for x in values]
        return side(f"{values[0]:.0f}-seeds", *map(report, made))

    found = overview([of(100.1, 200.2, 300.3, 400.4), of(1100.1, 1200.2, 1300.3, 1400.4)])
    text = printed(compare_tables.overview_sheets(found)[:1], width)
    assert "median of 12 layers" in text
    assert "differs" in text
    assert ("relative" in text.splitlines()[2]) == (width == 100)


def test_layers_with_a_number_for_a_name_are_sorted_and_ranks_are_not() -> None:
    def of(coords: dict[str, tuple[str | float, ...]]) -> list[str]:
        made = [side(n, report(series("m", (0,), [[1.0, 1.0 + i]], coords=coords)))
                for i, n in enumerate("ab")]  # fmt: skip
        return list(compare_tables.metric_sheet(compare(made, "m"), 0).names)

    assert of({"layer": ("block 0", "block 1")}) == ["block 1", "block 0"]
    assert of({"rank": (1, 2)}) == ["rank 1", "rank 2"]


def test_a_metric_that_is_refused_is_named_once_and_so_is_its_report() -> None:
    empty = series("m", (0,), [np.nan], status=[Status.skipped])
    made = [report(series("m", (0,), [1.0]), series("n", (0,), [1.0])),
            report(empty, series("n", (0,), [1.0]))]  # fmt: skip
    found = overview([side("a", made[0]), side("b", made[1])])
    assert "m was measured at no step in b-0.h5." in compare_tables.overview_sheets(found)[0].notes


def test_the_level_that_was_asked_for_decides_how_many_seeds_would_do() -> None:
    sides = [side(n, *(report(series("m", (0,), [x])) for x in values))
             for n, values in (("a", (1, 2, 3)), ("b", (11, 12, 13)))]  # fmt: skip
    text = printed([compare_tables.metric_sheet(compare(sides, "m", level=0.001), 0)], 200)
    assert "7 a side could show a difference." in text  # 2 of C(14, 7) = 3432; of C(12, 6) = 924


def test_too_few_seeds_are_said_with_the_number_that_would_do() -> None:
    sides = [side(n, *(report(series("m", (0,), [x])) for x in values))
             for n, values in (("a", (1, 2, 3)), ("b", (11, 12, 13)))]  # fmt: skip
    found = compare(sides, "m")
    text = printed([compare_tables.metric_sheet(found, 0)])
    assert "too few" in text
    assert "3 against 3 seeds give p = 0.1 at best" in text
    assert "4 a side could show a difference." in " ".join(text.split())


def test_markdown_is_a_table_in_which_names_are_no_markup() -> None:
    layers = ("<script>|`x`@user #1",)
    made = [side(n, report(series("m", (0,), [[x]], layers=layers, error=0.1)))
            for n, x in (("a_b", 1.0), ("*c*", 2.0))]  # fmt: skip
    found = compare(made, "m")
    text = markdown(compare_tables.metric_sheet(found, 0))
    assert "| entry | a\\_b | \\*c\\* | change |" in text
    assert "&lt;script&gt;\\|\\`x\\`" in text
    assert "<script>" not in text
    assert "@user" not in text  # who would be notified
    assert "#1" not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in rows}) == 1


def test_names_steer_no_terminal() -> None:
    made = [side(n, report(series("m", (0,), [[1.0]], layers=("\x1b[31mred",)))) for n in "ab"]
    assert "\x1b" not in printed([compare_tables.metric_sheet(compare(made, "m"), 0)])


def test_json_has_every_place_and_is_strict() -> None:
    sides = two()
    found = compare_data.metric_json(sides, compare(sides, "weight_norm"))
    text = json.dumps(found, allow_nan=False)
    metric = json.loads(text)["metrics"]["weight_norm"]
    assert [row["place"] for row in metric["rows"]] == [0, 0, 0, 1, 1, 1]
    assert metric["places"] == [0, 5]
    assert metric["rows"][5]["numbers"][1] == {
        "value": None, "error": 0.01, "status": "failed", "samples": 1,
    }  # fmt: skip
    assert metric["rows"][3]["differences"][0]["outcome"] == "differs"
    assert metric["only"] == {"d.weight": ["wide"]}
    whole = compare_data.overview_json(overview(sides))
    json.dumps(whole, allow_nan=False)
    for one in (found, whole):
        assert (one["schema"], one["schema_version"]) == ("dyntools-compare", "1.0.0")


def test_csv_has_a_line_a_number() -> None:
    rows = list(csv.DictReader(compare_data.metric_csv(compare(two(), "weight_norm"))))
    assert len(rows) == 2 * 3 * 2
    last = rows[-1]
    assert (last["entry"], last["side"], last["step"], last["value"]) == (
        "c.weight", "wide", "5", "",
    )  # fmt: skip
    assert last["why"] == "One of the two has no number."
    summary = list(csv.DictReader(compare_data.overview_csv(overview(two()))))
    assert [row["entry"] for row in summary] == ["median of 3 layers"] * 2


def widths() -> list[Side]:
    made = []
    for width in (64, 128, 256):
        top = series("hessian_top", (0, 9), [[1.0], [2.0]], coords={"rank": (1,)}, error=0.0)
        scale = series(SCALE, (0, 9), [[1.0], [width**0.5]], layers=("a",))
        made.append(side(f"w{width}", report(top, scale, shapes={"a": [width, 64]})))
    return made


def test_width_transfer_says_whether_curves_collapse() -> None:
    text = printed(compare_series.width_sheets(width_transfer(widths(), {})), 120)
    assert "The curves of hessian_top lie on one another: median spread 0 %" in text
    assert "arXiv:2402.17457" in text
    assert "collapse" in text


def test_coordinate_check_shows_the_exponent() -> None:
    text = printed(compare_series.coordinate_sheets(coordinate_check(widths(), {})), 80)
    assert "+0.500" in text
    assert "grows" in text
    assert "near 0 in every layer" in text


def test_views_promise_the_keys_of_the_page_and_no_more() -> None:
    """docs/reference/json.md; `Curves.behind` is nobody's business."""
    plain = compare_data.view_json("width-transfer", width_transfer(widths(), {}))
    assert set(plain) == {"schema", "schema_version", "view", "sides", "widths", "curves",
                          "sentence"}  # fmt: skip
    assert set(plain["curves"][0]) == {
        "metric", "entry", "places", "values", "spread", "p", "power", "median_spread",
        "smallest_p", "verdict",
    }  # fmt: skip
    plain = compare_data.view_json("coordinate-check", coordinate_check(widths(), {}))
    assert set(plain["fits"][0]) == {"layer", "first", "last", "values"}
    assert set(plain["fits"][0]["last"]) == {"exponent", "error", "points", "left_out", "flat"}


def test_sensitivity_marks_what_diverged() -> None:
    sides = [
        side(f"{rate:g}", report(log={Role.learning_rate: [rate], Role.validation_loss: [2.0, x]}))
        for rate, x in ((1e-3, 1.0), (1e-2, 0.5), (1e-1, np.nan))
    ]
    found = lr_sensitivity(sides, {})
    text = printed(compare_series.sensitivity_sheets(found), 80)
    assert "2.00!" in text
    assert "LR sensitivity 0.667 over 3 rates from 0.001 to 0.1; best 0.500 at 0.01." in text
    plain = compare_data.view_json("lr-sensitivity", found)
    assert list(plain) == ["schema", "schema_version", "view", "loss", "recipes", "one_grid"]
    assert plain["recipes"][0]["value"] == pytest.approx(2 / 3)
    json.dumps(plain, allow_nan=False)
