"""Reports that lack something, names from hell and every mistake, under `dyntools check`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from dyntools import hdf5
from dyntools.measurement import Status
from tests.conftest import Outcome
from tests.gates import LIMITS, RANK, gate_report, last, lost, write_report
from tests.views.test_check_junit import validate

Command = Callable[..., Outcome]


def test_a_metric_that_is_missing(baseline: Path, tmp_path: Path, dyntools: Command) -> None:
    write_report(tmp_path / "now.h5", seed=1, only=["effective_rank"])
    check = ("check", "now.h5", "--baseline", baseline, *LIMITS)
    outcome = dyntools(*check)
    assert outcome.code == 3
    assert "does not hold hessian_top" in outcome.out
    allowed = dyntools(*check, "--allow-missing")
    assert allowed.code == 0
    assert "left out" in allowed.out


def test_nan_fails_where_the_baseline_has_a_number(
    baseline: Path, tmp_path: Path, dyntools: Command
) -> None:
    fields = lost(gate_report()["effective_rank"])
    write_report(tmp_path / "now.h5", seed=1, **fields)
    check = ("check", "now.h5", "--baseline", baseline, "--limit", RANK)
    outcome = dyntools(*check)
    assert outcome.code == 1
    assert outcome.out.count("\n!") == 3
    content = dyntools(*check, "--format", "json").out
    assert "NaN" not in content.replace("(NaN", "")
    assert json.loads(content)["checks"][0]["now"] is None


def test_unconverged_is_no_pass(baseline: Path, tmp_path: Path, dyntools: Command) -> None:
    status = np.full((3, 3), Status.unconverged, dtype=np.int8)
    write_report(tmp_path / "now.h5", seed=1, status=status)
    outcome = dyntools("check", "now.h5", "--baseline", baseline, "--limit", RANK)
    assert outcome.code == 3
    assert "did not converge" in outcome.out


def test_another_version_of_a_metric(baseline: Path, tmp_path: Path, dyntools: Command) -> None:
    write_report(tmp_path / "now.h5", seed=1, version=2)
    outcome = dyntools("check", "now.h5", "--baseline", baseline, "--limit", RANK)
    assert outcome.code == 3
    assert "version of the metric differs" in outcome.out


def test_an_empty_report(baseline: Path, tmp_path: Path, dyntools: Command) -> None:
    hdf5.write(replace(gate_report(), series={}), tmp_path / "now.h5")
    against = dyntools("check", "now.h5", "--baseline", baseline, "--limit", RANK)
    assert against.code == 3
    hdf5.write(replace(gate_report(), series={}), tmp_path / "before.h5")
    nothing = dyntools("check", "now.h5", "--baseline", "before.h5", "--inconclusive-ok")
    assert nothing.code == 3
    assert last(nothing) == "INCONCLUSIVE: nothing was checked."
    assert "give --limit" in nothing.out


def test_ten_thousand_layers_are_a_page(tmp_path: Path, dyntools: Command) -> None:
    layers = [f"transformer.h.{i}.mlp.c_fc.weight" for i in range(10_000)]
    for name, scale in (("before", 1.0), ("now", 1.0), ("bad", 1.3)):
        only = ["effective_rank"]
        write_report(tmp_path / f"{name}.h5", scale, layers=layers, only=only, steps=(0, 1))
    limits = ("--limit", RANK)
    passed = dyntools("check", "now.h5", "--baseline", "before.h5", *limits)
    assert passed.code == 0
    assert "10000 entries" in passed.out
    assert len(passed.out.splitlines()) < 20
    failed = dyntools("check", "bad.h5", "--baseline", "before.h5", *limits)
    assert failed.code == 1
    assert len(failed.out.splitlines()) < 100


HOSTILE = ("<script>alert(1)</script>", "a\n::error::owned", "50 %, 100 %: x", "层.weight")


@pytest.mark.parametrize("form", ["rich", "plain", "json", "markdown", "github", "junit"])
def test_names_from_hell(form: str, tmp_path: Path, dyntools: Command) -> None:
    write_report(tmp_path / "before.h5", layers=HOSTILE)
    write_report(tmp_path / "now.h5", 1.3, layers=HOSTILE, seed=1)
    outcome = dyntools(
        *("check", "now.h5", "--baseline", "before.h5", "--limit", RANK, "--format", form)
    )
    assert outcome.code == 1, outcome.err
    assert "\n::error::owned" not in outcome.out
    if form == "junit":
        root = ElementTree.fromstring(outcome.out.encode())
        validate(root)
        assert HOSTILE[0] in "".join(case.get("name", "") for case in root.iter("testcase"))
    elif form == "json":
        assert {one["entry"] for one in json.loads(outcome.out)["checks"]} == set(HOSTILE)
    elif form == "github":
        errors = [line for line in outcome.out.splitlines() if line.startswith("::error ")]
        assert len(errors) == 4
    else:
        assert "层" in outcome.out


# Errors


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[tool.other]\n", "says nothing about checks"),
        ("[tool.dyntools.check]\nlimts = []\n", "limits"),
        ("[tool.dyntools.check]\nlimits = ['hessian_top within']\n", "tolerance"),
        ("[tool.dyntools\n", "cannot be read"),
    ],
)
def test_a_wrong_configuration(
    content: str, sentence: str, tmp_path: Path, dyntools: Command
) -> None:
    write_report(tmp_path / "now.h5")
    (tmp_path / "mine.toml").write_text(content)
    outcome = dyntools("check", "now.h5", "--config", "mine.toml")
    assert outcome.code == 2
    assert sentence in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        ("hesian_top@last within 10%", "hessian_top"),
        ("effective_rank@lst within 10%", "last"),
        ("effective_rank@last near 10%", "within"),
        ("effective_rank[layer=9.weight]@last within 10%", "0.weight"),
        ("effective_rank[head=1]@last within 10%", "layer"),
        ("effective_rank.nul@last within 10%", "no companion"),
        ("", "expected the name of a metric"),
    ],
)
def test_a_wrong_limit(
    limit: str, sentence: str, baseline: Path, tmp_path: Path, dyntools: Command
) -> None:
    write_report(tmp_path / "now.h5", seed=1)
    outcome = dyntools("check", "now.h5", "--baseline", baseline, "--limit", limit)
    assert outcome.code == 2
    assert sentence in outcome.err
    assert "Traceback" not in outcome.err
    assert not outcome.out


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"not json", "no JSON"),
        (b"", "no JSON"),
        (b"[1, 2]", "no baseline"),
        (b'{"schema": "other"}', "no baseline"),
        (b'{"schema": "dyntools-baseline", "schema_version": "2.0.0"}', "another major version"),
        (b'{"schema": "dyntools-baseline", "schema_version": "1.0.0"}', "damaged"),
        (b"\x80\x04pickle", "no JSON"),
        (b"\x89HDF\r\n\x1a\n torn", "truncated or damaged"),
    ],
)
def test_a_baseline_that_is_none(
    content: bytes, sentence: str, tmp_path: Path, dyntools: Command
) -> None:
    write_report(tmp_path / "now.h5")
    (tmp_path / "b.json").write_bytes(content)
    outcome = dyntools("check", "now.h5", "--baseline", "b.json", *LIMITS)
    assert outcome.code == 2
    assert sentence in outcome.err, outcome.err
    assert "b.json" in outcome.err


def test_files_that_are_not_what_they_should_be(
    baseline: Path, tmp_path: Path, dyntools: Command
) -> None:
    write_report(tmp_path / "now.h5", seed=1)
    write_report(tmp_path / "other.h5", seed=2)
    (tmp_path / "zeros.h5").write_bytes(bytes(100))
    (tmp_path / "seeds").mkdir()
    for arguments, sentence in (
        (["now.h5", "--baseline", "missing.json"], "There is no baseline here"),
        (["now.h5", "--baseline", "missing.h5"], "no report here"),
        (["now.h5", "--baseline", "seeds/*.h5"], "No file has a name like this"),
        (["seeds", "--baseline", baseline], "folder"),
        (["zeros.h5", "--baseline", baseline], "not HDF5"),
        (["baseline.json", "--baseline", baseline], "not HDF5"),
        (["now.h5", "--baseline", baseline, "other.h5"], "not a mixture"),
        (["now.h5", "other.h5", "--baseline", "now.h5", "before.h5"], "both sides"),
        (["--baseline", "before.h5", "now.h5", "other.h5"], "not plain"),
        (["now.h5", "--baseline", baseline, "--level", "1.5"], "between 0 and 1"),
        (["now.h5", "--baseline", baseline, "--format", "xml"], "xml"),
    ):
        outcome = dyntools("check", *arguments, *LIMITS)
        assert outcome.code == 2, arguments
        assert sentence in outcome.err, outcome.err
        assert not outcome.out


def test_another_schema_of_report(tmp_path: Path, dyntools: Command) -> None:
    import h5py

    write_report(tmp_path / "now.h5")
    with h5py.File(tmp_path / "now.h5", "a") as file:
        file.attrs["schema_version"] = "9.0.0"
    outcome = dyntools("check", "now.h5", "--limit", "hessian_top[0]@max below 50")
    assert outcome.code == 2
    assert "9.0.0" in outcome.err


def test_an_interruption(
    tmp_path: Path, dyntools: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dyntools import gate

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    write_report(tmp_path / "now.h5")
    monkeypatch.setattr(gate, "judged", interrupted)
    outcome = dyntools("check", "now.h5", "--limit", "hessian_top[0]@max below 50")
    assert (outcome.code, outcome.out) == (130, "")
    assert "Traceback" not in outcome.err
