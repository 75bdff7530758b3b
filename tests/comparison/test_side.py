"""What stands side by side, and how it is called."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dyntools.comparison.side import names_of, repeated, sides_of
from dyntools.errors import UsageError
from dyntools.report import CheckpointRow, Report
from tests.comparison.reports import report, side


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["runs/a.h5", "runs/b.h5"], ["a", "b"]),
        (["a/run.h5", "b/run.h5"], ["a", "b"]),
        (["x/a/run.h5", "y/a/run.h5"], ["x", "y"]),
        (["a/run.h5", "a/run.h5"], ["run", "run (2)"]),
        (["a/run.h5", "b/other.h5", "b/run.h5"], ["a/run", "b/other", "b/run"]),
        (["ünï.h5", "b.h5"], ["ünï", "b"]),
        (["one.h5"], ["one"]),
    ],
)
def test_names_are_short_and_tell_apart(files: list[str], names: list[str]) -> None:
    assert names_of(files) == names


def test_a_group_is_one_side() -> None:
    found = sides_of([("a.h5", report())], {"g": [("b.h5", report()), ("c.h5", report())]})
    assert [(one.name, len(one.reports)) for one in found] == [("a", 1), ("g", 2)]


def test_one_report_alone_is_refused() -> None:
    with pytest.raises(UsageError, match="at least two") as caught:
        sides_of([("a.h5", report())], {})
    assert "dyntools show" in str(caught.value)


def test_two_sides_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="both be called 'a'"):
        sides_of([("a.h5", report()), ("b.h5", report())], {"a": [("c.h5", report())]})


def test_the_same_report_twice_is_said() -> None:
    """By the identity and the time of the analysis, where it knows no checkpoints."""
    one, other = report(identity="f", started="now"), report(identity="f", started="later")
    assert not repeated([side("a", one), side("b", other)])
    assert repeated([side("a", one), side("b", one)]) == [
        "a-0.h5 and b-0.h5 come from the same checkpoints (as a and as b): agreement would show"
        " that the measurement repeats, and nothing about another training."
    ]


def of_weights(fingerprint: str, identity: str = "f") -> Report:
    row = CheckpointRow("5.pt", "torch", 5, "file", "ok", fingerprint=fingerprint)
    return replace(report(identity=identity), checkpoints=[row])


def test_a_training_given_twice_is_one_seed_of_its_group() -> None:
    """Copied under other names, a group of one training would look like several seeds."""
    members = [("a.h5", of_weights("1")), ("copy.h5", of_weights("1")), ("b.h5", of_weights("2"))]
    one, two = sides_of([("c.h5", of_weights("3"))], {"g": members})
    assert (len(one.reports), two.files, two.left_out) == (1, ("a.h5", "b.h5"), ("copy.h5",))
    assert repeated([one, two]) == [
        "1 of 3 reports of g are of the same checkpoints as another and were left out: copy.h5."
    ]


def test_two_analyses_of_one_training_on_two_sides_are_said() -> None:
    (said,) = repeated([side("a", of_weights("1")), side("b", of_weights("1", "other"))])
    assert "come from the same checkpoints" in said
