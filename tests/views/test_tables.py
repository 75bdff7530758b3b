"""Tables as screenshots: what is printed at 80 and at 120 columns, blank for blank."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import replace
from textwrap import dedent

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from dyntools.errors import ReportError
from dyntools.findings.finding import Finding, Severity
from dyntools.measurement import Status
from dyntools.report import CheckpointRow, Omission, Report, Series
from dyntools.views import tables

Build = Callable[..., Series]


def printed(view: RenderableType, width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=False).print(view)
    return out.getvalue()


def screenshot(text: str) -> str:
    return dedent(text).lstrip("\n")


def test_summary_at_80_columns(small: Report) -> None:
    assert printed(tables.summary(small)) == screenshot("""
        Weights at step 100: 3 layers
                                along  spectral  eff.rank
        layer         rotation  steps   × start  × random
        ─────────────────────────────────────────────────
        net.0            0.231  ▁▅█        1.50     0.750
        net.2           0.0310  ▁▆█        1.10     0.600
        net.4[query]    failed  ▁█         4115    failed
        names without .weight

        Training log up to step 100
        curve                first       last      extreme  at step  along steps
        ────────────────────────────────────────────────────────────────────────
        train loss            2.30      0.700    min 0.700      100  █▃▁▁▁
        validation loss       2.31       1.00    min 0.900       50  █▁▁
        learning rate            0    5.00e-4  max 0.00100       50  ▁█▅
        generalization gap  0.0500  0.30±0.02    max 0.300      100  ▁█

        """)


def test_overview_at_80_columns(small: Report) -> None:
    assert printed(tables.overview(small)) == screenshot("""
        run          tiny  runs/tiny
        checkpoints  3 used, step 0 to 100, 1 damaged (torch)
          damaged    step-150.pt: the zip ends early
        log          3 curves, up to step 100 (csv)
                     train loss = train/loss, validation loss = validation/loss,
                     learning rate = learning/rate
        measured     4 metrics on 3 tensors
        note         One note.

        """)


def test_omissions_at_80_columns(small: Report) -> None:
    assert printed(tables.omissions(small)) == screenshot("""
        Not measured
        1-d tensor  2 tensors: net.0.bias, net.2.bias (layer_rotation)

        """)


def test_metric_table_at_80_columns_leaves_out_the_last_columns(small: Report) -> None:
    series = small["spectral_norm"]
    more = {"a_rather_long_companion": series.values, "another": series.values}
    table = tables.metric_table(replace(series, beside={**series.beside, **more}))
    assert printed(table) == screenshot("""
        spectral_norm: largest singular value
        3 steps, 0 to 100 · Author 2020, arXiv:2001.00001 · names without .weight
                                                                       ratio to
        layer          step 0  step 100  change  along steps  initial   initial
        ───────────────────────────────────────────────────────────────────────
        net.4[query]  3.0±0.3     12.3k  +12.3k  ▁▁█                3      4115
        net.0            1.00      1.50  +0.500  ▁▄█                1      1.50
        net.2            2.00      2.20  +0.200  ▁▅█                2      1.10
        no room at this width: a rather long companion, another
        """)
    assert printed(table, 120) == screenshot("""
        spectral_norm: largest singular value
        3 steps, 0 to 100 · Author 2020, arXiv:2001.00001 · names without .weight
                                                                       ratio to        a rather
        layer          step 0  step 100  change  along steps  initial   initial  long companion  another
        ────────────────────────────────────────────────────────────────────────────────────────────────
        net.4[query]  3.0±0.3     12.3k  +12.3k  ▁▁█                3      4115           12.3k    12.3k
        net.0            1.00      1.50  +0.500  ▁▄█                1      1.50            1.50     1.50
        net.2            2.00      2.20  +0.200  ▁▅█                2      1.10            2.20     2.20
        """)  # noqa: E501 - a screenshot of 120 columns


def test_metric_table_of_one_number_a_step(small: Report) -> None:
    assert printed(tables.metric_table(small["generalization_gap"])) == screenshot("""
        generalization_gap: validation loss minus training loss
        2 steps, 50 to 100 · in loss · Author 2020, arXiv:2001.00001
                           best  best validation
        step        value  step             loss    gl
        ──────────────────────────────────────────────
        50    0.050±0.010    50            0.900     0
        100     0.30±0.02    50            0.900  11.1
        """)


def test_metric_table_of_two_axes(build: Build) -> None:
    fractions = tuple(np.linspace(0, 1, 9).tolist())
    values = np.geomspace(8, 0.01, 9) * np.array([1, 2, 3])[:, None]
    series = build(
        "singular_values",
        [0, 10],
        np.stack([values, 2 * values]),
        dims=("layer", "fraction"),
        coords={"layer": ("a", "b", "c"), "fraction": fractions},
    )
    assert printed(tables.metric_table(series, most=2)) == screenshot("""
        singular_values: what it is
        2 steps, 0 to 10 · Author 2020, arXiv:2001.00001 · at step 10
               along     fraction  fraction  fraction  fraction  fraction
        layer  fraction         0     0.250     0.500     0.750         1
        ─────────────────────────────────────────────────────────────────
        c      █▇▆▅▄▃▂▁      48.0      9.03      1.70     0.319    0.0600
        b      █▇▆▅▄▃▂▁      32.0      6.02      1.13     0.213    0.0400
        … and 1 more (dyntools show REPORT --metric singular_values)
        """)


def test_an_axis_of_words_goes_across(build: Build) -> None:
    series = build(
        "snr",
        [0],
        [[[1.0, 2.0], [3.0, np.nan]]],
        dims=("layer", "axes"),
        coords={"layer": ("a", "b"), "axes": ("fan-in", "fan-out")},
    )
    assert printed(tables.metric_table(series)).splitlines()[2:] == [
        "         axes     axes",
        "layer  fan-in  fan-out",
        "──────────────────────",
        "a        1.00     2.00",
        "b        3.00   failed",
    ]


def test_every_status_shows(build: Build) -> None:
    status = [[Status.ok, Status.skipped, Status.failed, Status.unconverged, Status.absent]]
    series = build(
        "top",
        [0],
        [[1.0, np.nan, np.nan, 4.0, np.nan]],
        coords={"layer": tuple("abcde")},
        status=status,
        error=[[0.5, np.nan, np.nan, 1.0, np.nan]],
    )
    shown = printed(tables.metric_table(series)).splitlines()
    assert shown[4:] == [
        "c        failed",
        "d      ~4.0±1.0",
        "a       1.0±0.5",
        "b       skipped",
        "e        absent",
        "~ not converged: the error says how far it got",
    ]


def test_one_step_and_a_choice_of_layers(small: Report) -> None:
    table = tables.metric_table(small["layer_rotation"], step=50, layers="net.4*[query]")
    assert printed(table).splitlines()[3:6] == [
        "layer         step 0  step 50  change  along steps",
        "──────────────────────────────────────────────────",
        "net.4[query]       0    0.500  +0.500  ▁█",
    ]


def test_what_is_not_there_is_said_with_what_is(small: Report) -> None:
    with pytest.raises(ReportError) as no_step:
        tables.metric_table(small["layer_rotation"], step=7)
    assert "0, 50, 100" in str(no_step.value)
    with pytest.raises(ReportError) as no_layer:
        tables.metric_table(small["layer_rotation"], layers="net.9*")
    assert "net.0.weight" in str(no_layer.value)


def test_names_are_never_markup(build: Build) -> None:
    names = ("[bold]x[/bold]", "<script>", "[query]", "a[/]", "\x1b[31mred", "[link=x]y")
    series = build("layer_rotation", [0, 1], np.ones((2, 6)), coords={"layer": names})
    report = Report({"run": "[red]r"}, {"layer_rotation": series}, notes=("[b]n[/b]",))
    views = tables.overview(report), tables.summary(report), tables.metric_table(series)
    shown = "".join(printed(view) for view in views)
    for name in ("[bold]x[/bold]", "<script>", "[query]", "a[/]", "\\x1b[31mred", "[link=x]y"):
        assert name in shown
    assert "[red]r" in shown
    assert "[b]n[/b]" in shown
    assert "\x1b" not in shown


def test_findings_say_what_was_seen_and_what_to_do_first() -> None:
    finding = Finding(
        rule="rank_collapse",
        severity=Severity.watch,
        sentence="[fc] has lost half of its rank.",
        evidence=("fc: 3", "fc2: 4"),
        meaning="Few directions do the work.",
        remedy="Lower the weight decay.",
        paper="Author 2020",
        caveat="No threshold is known.",
    )
    assert printed(tables.findings([finding])) == screenshot("""
        Findings
        ● WATCH [fc] has lost half of its rank.
          do    Lower the weight decay.
          why   Few directions do the work.
          seen  fc: 3; fc2: 4
          but   No threshold is known.
          rule  rank_collapse: Author 2020

        """)


def test_no_finding_is_no_praise() -> None:
    assert "not a proof" in printed(tables.findings([]))


def test_reasons_that_differ_in_numbers_are_one(build: Build) -> None:
    omitted = tuple(
        Omission(f"b{n}", f"1-d tensor of {n} values at layer 3", (0,)) for n in (10, 20)
    )
    series = build("layer_rotation", [0], [[1.0]], coords={"layer": ("w",)}, omissions=omitted)
    report = Report({"left_out_metrics": {"trace": "no problem"}}, {"layer_rotation": series})
    assert "1-d tensor of N values at layer 3" in printed(tables.omissions(report))
    assert "no problem" in printed(tables.omissions(report))


def test_what_a_log_lacked_only_at_first_is_not_told(small: Report) -> None:
    series = small["generalization_gap"]
    early = replace(series, omissions=(Omission("gl", "needs 5 checks", (0,)),))
    assert int(series.steps[-1]) != 0
    assert "gl" not in printed(tables.omissions(Report({}, {"generalization_gap": early})))


def test_a_part_of_a_metric_is_not_called_a_tensor(small: Report) -> None:
    series = small["generalization_gap"]
    last = int(series.steps[-1])
    gap = replace(series, omissions=(Omission("gl", "not > 0", (last,)),))
    shown = printed(tables.omissions(Report({}, {"generalization_gap": gap})))
    assert "gl (generalization_gap)" in shown
    assert "tensor" not in shown


def test_a_fused_tensor_stands_in_for_its_parts_in_parentheses(build: Build) -> None:
    whole = build("layer_rotation", [0, 1], [[0.0, 0.0], [0.5, 0.2]], coords={"layer": ("c", "d")})
    parts = ("c[query]", "c[key]", "d")
    rank = build("effective_rank", [0, 1], np.ones((2, 3)), coords={"layer": parts},
                 beside={"null": np.full((2, 3), 2.0)})  # fmt: skip
    alpha = build("spectral_alpha", [0, 1], np.ones((2, 3)), coords={"layer": parts})
    report = Report({}, {s.metric: s for s in (whole, rank, alpha)})
    shown = printed(tables.summary(report)).splitlines()
    assert [line.split()[0] for line in shown[4:7]] == ["c[query]", "c[key]", "d"]
    assert "(0.500)" in shown[4]
    assert any("of the whole fused tensor" in line for line in shown)


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_nothing_is_wider_than_the_terminal(
    realistic: Callable[[int, int], Report], width: int
) -> None:
    report = realistic(3, 4)
    views = [tables.overview(report), tables.summary(report), tables.omissions(report)]
    views += [tables.metric_table(series) for series in report.series.values()]
    for view in views:
        assert all(cell_len(line) <= width for line in printed(view, width).splitlines())


def awkward(small: Report) -> dict[str, Report]:
    nothing = {
        name: replace(
            series,
            values=np.full_like(series.values, np.nan),
            status=np.full_like(series.status, Status.failed),
            beside={key: np.full_like(a, np.nan) for key, a in series.beside.items()},
        )
        for name, series in small.series.items()
    }
    logs = {"generalization_gap": small["generalization_gap"]}
    weights = {name: s for name, s in small.series.items() if s.dims}
    no_steps = replace(
        small["layer_rotation"],
        steps=np.array([], dtype=np.int64),
        values=np.empty((0, 3)),
        status=np.empty((0, 3), dtype=np.int8),
    )
    no_layers = replace(
        small["layer_rotation"],
        coords={"layer": ()},
        values=np.empty((3, 0)),
        status=np.empty((3, 0), dtype=np.int8),
    )
    return {
        "empty": Report(),
        "only logs": Report(series=logs, log=small.log),
        "only weights": Report(series=weights),
        "all NaN": replace(small, series=nothing),
        "no steps": Report(series={"layer_rotation": no_steps}),
        "no layers": Report(series={"layer_rotation": no_layers}),
    }


@pytest.mark.parametrize(
    "case", ["empty", "only logs", "only weights", "all NaN", "no steps", "no layers"]
)
def test_awkward_reports_are_printed(small: Report, case: str) -> None:
    report = awkward(small)[case]
    for view in (tables.overview(report), tables.summary(report), tables.omissions(report)):
        printed(view)
    for series in report.series.values():
        assert series.metric in printed(tables.metric_table(series))


def test_checkpoints_left_aside_are_counted_not_flooded(small: Report) -> None:
    rows = tuple(CheckpointRow(f"c{i}", "torch", i, "name", "set aside", "twin") for i in range(30))
    shown = printed(tables.overview(replace(small, checkpoints=rows)))
    assert "30 set aside" in shown
    assert "25 more" in shown


def test_ten_thousand_layers_are_fast(realistic: Callable[[int, int], Report]) -> None:
    report = realistic(1667, 3)
    started = time.perf_counter()
    for view in (tables.overview(report), tables.summary(report), tables.omissions(report)):
        printed(view)
    shown = printed(tables.metric_table(report["layer_rotation"]))
    assert time.perf_counter() - started < 10  # about 1 s on two cores
    assert "… and 9982 more (dyntools show REPORT --metric layer_rotation)" in shown
