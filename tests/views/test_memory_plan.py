"""A decision on Adam's memory as a person reads it: words, groups, widths, nothing cut."""

from __future__ import annotations

import math
import re

import pytest
from rich.console import Console

from dyntools.adam_memory import Decision, Tensor, decide, evidence_of
from dyntools.adam_memory.cutoffs import around
from dyntools.adam_memory.hindsight import hindsight
from dyntools.adam_memory.optimizers import compare
from dyntools.forms import EIGHT_BIT, FACTORED, FULL, Form, in_blocks, mean_over
from dyntools.report import Report
from dyntools.views import memory_plan, memory_tables, tables
from dyntools.views.memory_words import amount, in_words, layout_of, percent
from tests.adam_memory.hand_made import (
    compression_series,
    evidence,
    report,
    snr_series,
    tensor,
    with_errors,
)

STEPS = (10, 20, 30)


def text_of(view: object, width: int = 80) -> str:
    console = Console(width=width, force_terminal=False, highlight=False)
    with console.capture() as captured:
        console.print(view, end="")
    return captured.get()


def linear(name: str, shape: tuple[int, ...], kind: str) -> Tensor:
    return Tensor(name, shape, kind, ())


def gpt(rows: int, columns: int) -> Report:
    """Two blocks; the second down projection has no SNR above the cutoff."""
    shapes = {
        "transformer.h.0.mlp.c_fc.weight": (rows, columns),
        "transformer.h.1.mlp.c_fc.weight": (rows, columns),
        "transformer.h.0.ln_1.weight": (8,),
        "transformer.h.0.mlp.c_fc.bias": (columns,),
    }
    snr = {
        "transformer.h.0.mlp.c_fc.weight": {"0": [4.0] * 3, "1": [0.5] * 3, "0,1": [0.2] * 3},
        "transformer.h.1.mlp.c_fc.weight": {"0": [0.3] * 3, "1": [0.5] * 3, "0,1": [0.2] * 3},
        "transformer.h.0.ln_1.weight": {"0": [7.0] * 3},
        "transformer.h.0.mlp.c_fc.bias": {"0": [math.inf] * 3},
    }
    errors = {
        "transformer.h.0.mlp.c_fc.weight": {"axes 0": [0.1, 0.3, 0.2], "8-bit": [0.01] * 3},
        "transformer.h.1.mlp.c_fc.weight": {"axes 0": [0.9] * 3, "8-bit": [0.02] * 3},
        "transformer.h.0.mlp.c_fc.bias": {"axes 0": [0.0] * 3},
    }
    return report(
        snr_series(shapes, snr, steps=STEPS), compression_series(shapes, errors, steps=STEPS)
    )


def decided(rows: int = 8, columns: int = 32, **settings: object) -> Decision:
    return decide(evidence_of(gpt(rows, columns)), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shape", "kind", "layout"),
    [
        ((32, 8), "mlp up", "out, in"),
        ((8, 32), "mlp up", "in, out"),
        ((8, 32), "mlp down", "out, in"),
        ((24, 8), "qkv", "out, in"),
        ((8, 24), "qkv", "in, out"),
        ((8, 8), "mlp up", ""),
        ((32, 8), "other", ""),
    ],
)
def test_the_layout_is_told_by_matrices_that_widen(
    shape: tuple[int, int], kind: str, layout: str
) -> None:
    assert layout_of([linear("w", shape, kind)]) == layout


def test_a_layout_that_contradicts_itself_is_not_known() -> None:
    two = [linear("a", (32, 8), "mlp up"), linear("b", (8, 32), "mlp up")]
    assert layout_of(two) == ""


@pytest.mark.parametrize(
    ("form", "shape", "kind", "layout", "words"),
    [
        (mean_over(1), (32, 8), "mlp up", "out, in", "mean over axis 1 (fan-in)"),
        (mean_over(1), (8, 32), "mlp up", "in, out", "mean over axis 1 (fan-out)"),
        (mean_over(1), (8, 8), "query", "", "mean over axis 1"),
        (mean_over(1), (8, 32), "other", "in, out", "mean over axis 1"),
        (mean_over(0), (50, 8), "embedding", "", "mean over axis 0 (the vocabulary)"),
        (mean_over(1), (50, 8), "head", "in, out", "mean over axis 1 (fan-in)"),
        (mean_over(0, 1), (50, 8), "head", "", "one value for the tensor"),
        (mean_over(0), (50,), "bias", "", "one value for the tensor"),
        (mean_over(2, 3), (4, 2, 3, 3), "conv", "", "mean over axes 2,3 (the kernel)"),
        (mean_over(1, 2, 3), (4, 2, 3, 3), "conv", "", "mean over axes 1,2,3 (fan-in)"),
        (mean_over(2), (4, 2, 3, 3), "conv", "", "mean over axis 2"),
        (in_blocks(12), (12, 8), "query", "", "12 blocks"),
        (FACTORED, (12, 8), "query", "", "rows × columns (Adafactor)"),
        (EIGHT_BIT, (12, 8), "query", "", "8-bit codes"),
        (FULL, (12, 8), "query", "", "in full"),
    ],
)
def test_forms_in_words(
    form: Form, shape: tuple[int, ...], kind: str, layout: str, words: str
) -> None:
    assert in_words(form, linear("w", shape, kind), layout) == words  # type: ignore[arg-type]


def test_the_method_of_blocks_is_named_where_it_is_known() -> None:
    assert in_words(in_blocks(12), linear("w", (12, 8), "query"), "", "adam-mini").startswith(
        "Adam"
    )


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 B"),
        (512, "512 B"),
        (1023, "1.00 KiB"),
        (-2048, "-2.00 KiB"),
        (124e6 * 4, "473 MiB"),
        (1000 * 2**20, "0.98 GiB"),
        (10 * 2**30, "10.0 GiB"),
    ],
)
def test_bytes_have_a_unit_and_three_digits(size: float, words: str) -> None:
    assert amount(size) == words


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.0, "0.0 %"), (0.994, "99.4 %"), (0.99999, "> 99.9 %"), (1.0, "100.0 %")],
)
def test_a_hundred_percent_is_all(share: float, words: str) -> None:
    assert percent(share) == words


def test_the_headline_has_share_tensors_and_bytes() -> None:
    # Of 552 entries 256 become 32 and 32 become one.
    found = memory_plan.headline(decided())
    assert (
        found == "46.20 % of Adam's second moment can go, in 2 of 4 tensors: 2.16 KiB → 1.16 KiB."
    )


def test_nothing_saved_is_said() -> None:
    assert "None of" in memory_plan.headline(decide(evidence(tensor("w", (4, 8), axes_0=0.1))))


@pytest.mark.parametrize("width", [80, 100, 120])
@pytest.mark.parametrize("every", [False, True])
def test_no_line_is_wider_than_the_terminal_and_no_name_is_cut(width: int, every: bool) -> None:
    found = text_of(memory_plan.plan(decided(), every=every), width)
    assert max(map(len, found.splitlines())) <= width
    for name in ("transformer.h.0.mlp.c_fc.weight", "transformer.h.1.mlp.c_fc.weight"):
        assert name in found
    assert "…" not in found.replace("(…)", "")


def test_a_name_longer_than_the_line_is_folded_and_not_cut() -> None:
    name = "model." + "very_long_part." * 12 + "weight"
    decision = decide(evidence(tensor(name, (4, 8), axes_0=3.0)))
    found = text_of(memory_plan.plan(decision, every=True))
    assert name in re.sub(r"\s", "", found)


def test_an_exception_within_a_kind_is_named() -> None:
    found = text_of(memory_plan.plan(decided()))
    assert "mlp up: transformer.h.1.mlp.c_fc.weight" in found
    assert "norm, 1" in found


def test_what_is_kept_in_full_shows_the_best_that_failed_and_why() -> None:
    found = text_of(memory_plan.plan(decided()), 120)
    line = next(row for row in found.splitlines() if "in full" in row and "(0.500)" in row)
    assert "0.500" in line.replace("(0.500)", "", 1)  # the margin at cutoff 1
    assert "kept in full, no SNR above the cutoff: transformer.h.1.mlp.c_fc.weight" in found


def test_a_constant_tensor_has_an_infinite_ratio_and_the_worst_error_is_shown() -> None:
    found = text_of(memory_plan.plan(decided()), 120)
    assert "inf" in found
    assert "0.300" in found  # of 0.1, 0.3 and 0.2 along the steps


def test_columns_without_a_number_are_left_out() -> None:
    bare = evidence(with_errors("w", (4, 8), {"axes 0": 0.01}))
    found = text_of(memory_plan.plan(decide(bare, max_update_error=0.1, rule="update-error")), 120)
    assert "corrected  margin" not in found
    assert "0.0100" in found


def test_codes_of_8_bit_are_said_to_need_a_library() -> None:
    found = text_of(memory_plan.plan(decided(rule="update-error", max_update_error=0.05)))
    assert "bitsandbytes" in found
    assert "of the bytes of" in " ".join(found.split())


def test_averages_are_means_over_the_layers_of_a_kind() -> None:
    found = text_of(memory_plan.averages(decided()))
    (line,) = [row for row in found.splitlines() if row.startswith("mlp up")]
    assert line.split()[2:] == ["2", "2.15", "0.500", "0.200"]  # (4 + 0.3) / 2 over axis 0


def test_the_chosen_cutoff_is_marked_among_its_neighbours() -> None:
    decision = decided(cutoff=3.0)
    rows = text_of(memory_tables.cutoffs(around(decision), decision)).splitlines()
    marked = [row for row in rows if row.endswith("←")]
    assert len(marked) == 1
    assert marked[0].split()[0] == "3"


def test_along_training_and_comparison_fit_80_columns() -> None:
    decision = decided()
    whole = gpt(8, 32)
    for view in (
        memory_tables.along(hindsight(whole, decision), decision),
        memory_tables.comparison(compare(decision)),
        memory_tables.trust(["a sentence " * 20]),
    ):
        found = text_of(view)
        assert found.strip()
        assert max(map(len, found.splitlines())) <= 80
    assert "last only" in text_of(memory_tables.along(hindsight(whole, decision), decision))


def test_long_commands_stay_one_command() -> None:
    from pathlib import Path

    run = "runs/" + "deep/" * 12 + "run"
    found = text_of(memory_tables.next_commands(Path("r.h5"), "r.h5", run, False, False))
    joined = found.replace("\\\n", "")
    assert re.search(rf"dyntools adam-memory\s+{run}\s+--problem\s+FILE.py:NAME\s+--verify", joined)


def test_a_metric_of_layers_and_names_is_a_table_with_empty_cells() -> None:
    found = text_of(tables.metric_table(gpt(8, 32)["second_moment_snr"]))
    assert "absent" not in found
    assert "inf" in found
    heads = next(row for row in found.splitlines() if row.startswith("layer")).split()
    assert heads == ["layer", "0", "1", "0,1"]
