"""Both files read back as they were written; what a format cannot say; files that are damaged."""

from __future__ import annotations

import json
import math
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from dyntools.adam_memory import Candidate, Decision, Tensor, decide
from dyntools.adam_memory.exports import as_axes, export, plan_toml, read_forms, rules_json
from dyntools.errors import UsageError
from dyntools.forms import EIGHT_BIT, FACTORED, FULL, Form, in_blocks, mean_over
from tests.adam_memory.hand_made import evidence, tensor

ODD = 'odd "name" [x].\\weight\x7f\n ünï 𝕏'


def decision() -> Decision:
    constant = Candidate(mean_over(0), "axes 0", snr=math.inf, corrected=math.nan)
    found = evidence(
        tensor("z.up", (4, 8), axes_1=5.25),
        tensor("a.out", (4, 8), axes_0=0.5),
        tensor("conv", (2, 3, 5), "conv", axes_02=7.0),
        Tensor(ODD, (4, 8), "other", (constant,)),
    )
    return decide(found)


def of_forms(forms: dict[str, tuple[Form, tuple[int, ...]]]) -> Decision:
    tensors = [
        Tensor(name, shape, "mlp up", (Candidate(form, form.label, update_error=0.01),))
        for name, (form, shape) in forms.items()
    ]
    return decide(evidence(*tensors), "update-error")


ALL = {
    "axes": (mean_over(0, 1), (8, 8)),
    "blocks": (in_blocks(12), (8, 9)),
    "rows": (in_blocks(8), (8, 9)),
    "factored": (FACTORED, (8, 9)),
    "8-bit": (EIGHT_BIT, (64, 64)),
}


@pytest.mark.parametrize("ending", ["json", "toml"])
def test_a_decision_reads_back_as_its_forms(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"plan.{ending}"
    assert export(decision(), path) == ()
    assert read_forms(path) == decision().forms
    assert list(read_forms(path)) == ["z.up", "a.out", "conv", ODD]


def test_the_plan_says_every_form(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    export(of_forms(ALL), path)
    assert read_forms(path) == {name: form for name, (form, _) in ALL.items()}


def test_the_plan_carries_where_it_comes_from() -> None:
    plan = tomllib.loads(plan_toml(decision()))
    assert plan["schema"] == 1
    assert plan["provenance"]["rule"] == "slimadam"
    assert plan["provenance"]["cutoff"] == 1.0
    assert plan["provenance"]["steps"] == [10, 20]
    assert plan["provenance"]["report"] == "made by hand"
    assert "max_update_error" not in plan["provenance"]
    assert plan["provenance"]["saved"] == pytest.approx(decision().saved, abs=1e-6)
    assert plan["tensors"]["z.up"] == {
        "form": "axes 1",
        "shape": [4, 8],
        "snr": 5.25,
        "corrected": 5.25,
    }
    assert plan["tensors"]["a.out"] == {"form": "full", "shape": [4, 8]}
    assert plan["tensors"][ODD]["snr"] == math.inf
    limited = tomllib.loads(plan_toml(of_forms(ALL)))
    assert limited["provenance"]["max_update_error"] == 0.1


def test_the_authors_format_is_written_as_they_write_it() -> None:
    text, notes = rules_json(decision())
    assert text.startswith(
        '{\n    "z.up": [\n        1\n    ],\n    "a.out": null,\n    "conv": [\n'
    )
    assert text.endswith("\n}")
    assert notes == ()
    assert json.loads(text)["conv"] == [0, 2]


def test_what_the_authors_format_cannot_say_is_null_and_told() -> None:
    text, notes = rules_json(of_forms(ALL))
    assert json.loads(text) == {
        "axes": [0, 1],
        "blocks": None,
        "rows": [1],
        "factored": None,
        "8-bit": None,
    }
    assert len(notes) == 3
    assert "blocks is kept in full in rules.json, which cannot say 'blocks 12'" in notes[0]


def test_tensors_of_unknown_size_are_told() -> None:
    found = replace(decision(), evidence=replace(decision().evidence, left_out={"lost": "why"}))
    assert rules_json(found)[1] == ("not in rules.json, being of unknown size: lost",)


@pytest.mark.parametrize(
    ("blocks", "shape", "axes"),
    [(8, (8, 9), (1,)), (1, (8, 9), (0, 1)), (6, (2, 3, 5), (2,)), (2, (2, 3, 5), (1, 2))],
)
def test_blocks_of_whole_slices_are_axes(
    blocks: int, shape: tuple[int, ...], axes: tuple[int, ...]
) -> None:
    form = as_axes(in_blocks(blocks), shape)
    assert form == mean_over(*axes)
    assert form.values(shape) == blocks
    assert as_axes(in_blocks(4), (8, 9)) == in_blocks(4)


def test_a_file_in_the_way_stays(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text("mine")
    with pytest.raises(UsageError, match="in the way"):
        export(decision(), path)
    assert path.read_text() == "mine"
    export(decision(), path, force=True)
    assert read_forms(path) == decision().forms


def test_paths_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="JSON or TOML"):
        export(decision(), tmp_path / "plan.yaml")
    with pytest.raises(UsageError, match="cannot be written"):
        export(decision(), tmp_path / "nowhere" / "plan.toml")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("plan.yaml", "", "no plan"),
        ("plan.toml", "schema = ", "cannot be read"),
        ("plan.toml", 'x = "\ud800"', "cannot be read"),
        ("plan.toml", "", "another schema"),
        ("plan.toml", "schema = 2\n[tensors]", "another schema"),
        ("plan.toml", "schema = 1", "no table of tensors"),
        ("plan.toml", "schema = 1\ntensors = 3", "no table of tensors"),
        ("plan.toml", "schema = 1\n[tensors]\na = 3", "no form for a"),
        ("plan.toml", 'schema = 1\n[tensors]\na = "axes 1"', "no form for a"),
        ("plan.toml", 'schema = 1\n[tensors]\na = { form = "axis 1" }', "no form for a"),
        ("plan.toml", 'schema = 1\n[tensors]\na = { form = "axes 1,1" }', "no form for a"),
        ("plan.toml", 'schema = 1\n[tensors]\na = { form = "blocks 0" }', "no form for a"),
        ("plan.toml", 'schema = 1\n[tensors]\na = { form = "axes 2", shape = [3, 4] }', "for a"),
        ("plan.toml", 'schema = 1\n[tensors]\na = { form = "full", shape = "x" }', "for a"),
        ("rules.json", "{", "cannot be read"),
        ("rules.json", "[" * 100_000, "cannot be read"),
        ("rules.json", "[1]", "no JSON object"),
        ("rules.json", '{"a": [1], "a": null}', "cannot be read"),
        ("rules.json", '{"a": 1}', "no form for a"),
        ("rules.json", '{"a": [1.0]}', "no form for a"),
        ("rules.json", '{"a": [true]}', "no form for a"),
        ("rules.json", '{"a": [-1]}', "no form for a"),
        ("rules.json", '{"a": [1, 1]}', "no form for a"),
    ],
)
def test_damaged_plans_are_told(tmp_path: Path, name: str, text: str, words: str) -> None:
    path = tmp_path / name
    path.write_text(text, "utf-8", "surrogatepass")
    with pytest.raises(UsageError, match=words) as error:
        read_forms(path)
    assert error.value.where == str(path)
    assert error.value.remedy


def test_a_missing_plan_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_forms(tmp_path / "plan.toml")


def test_empty_lists_of_axes_are_full(tmp_path: Path) -> None:
    path = tmp_path / "rules.json"
    path.write_text('{"a": [], "b": null, "c": [1, 0]}')
    assert read_forms(path) == {"a": FULL, "b": FULL, "c": mean_over(0, 1)}
