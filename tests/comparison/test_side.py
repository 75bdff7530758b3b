"""What stands side by side, and how it is called."""

from __future__ import annotations

import pytest

from dyntools.comparison.side import names_of, repeated, sides_of
from dyntools.errors import UsageError
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
    """By its file, or by the identity and the time of the analysis, where it was copied."""
    one, other = report(identity="f", started="now"), report(identity="f", started="later")
    assert not repeated([side("a", one), side("b", other)])
    copied = repeated([side("a", one), side("b", one)])
    assert copied == ["b-0.h5 is the same report as a-0.h5: it stands here twice, as a and as b."]
