"""All metrics of several reports at once."""

from __future__ import annotations

import numpy as np
import pytest

from dyntools.comparison.compared import compare
from dyntools.comparison.differing import Outcome
from dyntools.comparison.headline import headline
from dyntools.comparison.overview import overview
from dyntools.errors import ReportError
from dyntools.log import Role
from dyntools.report import Report
from tests.comparison.reports import report, series, side


def headline_of(*reports: Report, metric: str = "m") -> tuple[str, list[float]] | None:
    sides = [side(str(i), one) for i, one in enumerate(reports)]
    found = headline(sides, metric)
    if found is None:
        return None
    row = compare(found.sides, metric).rows(0)[0]
    return found.of, [number.value for number in row.numbers]


def test_the_median_is_over_layers_that_all_have() -> None:
    one = report(series("m", (0,), [[1, 2, 9, 100]], layers=("a", "b", "c", "d")))
    two = report(series("m", (0,), [[7, 5, 3]], layers=("c", "b", "a")))
    assert headline_of(one, two) == ("median of 3 layers", [2, 5])


def test_a_failed_layer_is_left_out_of_the_median() -> None:
    one = report(series("m", (0,), [[1, np.nan, 3]], layers=("a", "b", "c")))
    assert headline_of(one, one) == ("median of 3 layers", [2, 2])


def test_the_largest_eigenvalue_of_all_parameters_is_the_headline() -> None:
    coords = {"block": ("a", "all"), "rank": (1, 2)}
    one = report(series("m", (0,), [[[1, 2], [3, 4]]], coords=coords))
    assert headline_of(one, one) == ("rank 1", [3, 3])


def test_of_further_names_the_first_is_said() -> None:
    coords = {"layer": ("a", "b"), "axes": ("0", "1")}
    one = report(series("m", (0,), [[[1, 2], [3, 4]]], coords=coords))
    assert headline_of(one, one) == ("median of 2 layers, axes 0", [2, 2])


def test_curves_have_no_headline() -> None:
    one = report(series("m", (0,), [[1, 2]], coords={"fraction": (0.0, 0.5)}))
    assert headline_of(one, one) is None
    both = report(series("m", (0,), [[1, 2]], coords={"fraction": (0.0, 0.5)}),
                  series("n", (0,), [1.0]))  # fmt: skip
    assert overview([side("a", both), side("b", both)]).curves == ("m",)


def test_lines_are_tested_together_and_medians_are_not() -> None:
    one = report(
        series("hessian_top", (0,), [1.0], error=0.1),
        series("weight_norm", (0,), [[1.0, 1.0]], layers=("a", "b"), error=0.0),
    )
    two = report(
        series("hessian_top", (0,), [2.0], error=0.1),
        series("weight_norm", (0,), [[1.0, 4.0]], layers=("a", "b"), error=0.0),
    )
    found = overview([side("one", one), side("two", two)])
    top, norm = (line.row.differences[0] for line in found.lines)
    assert top.outcome is Outcome.differs
    assert norm.outcome is Outcome.untested
    assert "A median has no error" in norm.why
    assert [(far.compared.metric, far.row.entry) for far in found.far] == [
        ("weight_norm", "b"),
        ("hessian_top", ""),
    ]


def test_a_median_is_known_as_one_whatever_its_words() -> None:
    """A layer called `median.weight` is none; the median of what stands behind another axis is."""
    of_one = [
        report(series("m", (0,), [[x]], layers=("median.weight",), error=0.1)) for x in (1, 2)
    ]
    found = overview([side("one", of_one[0]), side("two", of_one[1])])
    assert found.lines[0].of == "median.weight"
    assert found.lines[0].row.differences[0].outcome is Outcome.differs
    coords = {"form": ("out", "in"), "layer": ("a", "b")}
    many = [report(series("m", (0,), [[[x, x], [x, x]]], coords=coords)) for x in (1, 2)]
    found = overview([side("one", many[0]), side("two", many[1])])
    assert found.lines[0].of == "form out, median of 2 layers"
    assert "A median has no error" in found.lines[0].row.differences[0].why


def test_seeds_of_a_median_are_tested() -> None:
    def of(*values: float) -> list[Report]:
        return [report(series("m", (0,), [[x, x]], layers=("a", "b"))) for x in values]

    found = overview([side("a", *of(1, 2, 3, 4)), side("b", *of(11, 12, 13, 14))])
    assert found.lines[0].row.differences[0].outcome is Outcome.differs


def test_findings_that_one_has_and_the_other_lacks() -> None:
    rising = np.concatenate([np.linspace(2, 0.5, 20), np.linspace(0.5, 3, 40)])
    steps = tuple(range(60))

    def of(validation: np.ndarray) -> Report:
        gap = series("m", steps, np.zeros(60))
        logs = {Role.train_loss: np.linspace(2, 0.1, 60), Role.validation_loss: validation}
        return report(gap, log=logs)

    diverged = report(series("m", steps, np.zeros(60)),
                      log={Role.train_loss: np.r_[np.ones(59), np.nan]})  # fmt: skip
    found = overview([side("one", diverged), side("two", of(rising))])
    for seen in found.seen:
        assert len(set(seen.seen)) == 2
    same = overview([side("one", diverged), side("two", diverged)])
    assert same.seen == ()


def test_what_cannot_be_set_side_by_side_is_said_and_the_rest_compared() -> None:
    one = report(series("m", (0,), [1.0]), series("n", (0,), [1.0]))
    two = report(series("m", (0,), [[1.0]], layers=("a",)), series("n", (0,), [1.0]))
    found = overview([side("one", one), side("two", two)])
    assert list(found.refused) == ["m"]
    assert [line.compared.metric for line in found.lines] == ["n"]


def test_nothing_in_common_is_an_error() -> None:
    one, two = report(series("m", (0,), [1.0])), report(series("n", (0,), [1.0]))
    with pytest.raises(ReportError, match="no metric in common") as caught:
        overview([side("one", one), side("two", two)])
    assert "one: m; two: n" in str(caught.value)


def test_metrics_that_not_all_have_are_listed() -> None:
    both, more = series("m", (0,), [1.0]), series("n", (0,), [1.0])
    found = overview([side("one", report(both, more)), side("two", report(both))])
    assert found.unshared == {"n": ("one",)}
