"""Kinds of layers at the command line: shown, and told otherwise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dyntools import hdf5
from dyntools.cli.options import kinds_of
from dyntools.errors import UsageError
from tests.cli.test_commands import Command
from tests.processes import ROOT
from tests.small_run import write_small_run

RUN = str(ROOT / "fixtures/runs/nanogpt")


def test_inspect_prints_every_tensor_with_its_kind(dyntools: Command) -> None:
    outcome = dyntools("inspect", RUN, "--kinds", "--kind", "*.wpe.weight=other")
    assert outcome.code == 0, outcome.err
    rows = [" ".join(line.split()) for line in outcome.out.splitlines()]
    for row in (
        "transformer.wte.weight 27 × 16 embedding",
        "transformer.wpe.weight 16 × 16 other",
        "transformer.h.1.mlp.c_fc.weight 64 × 16 mlp up",
        "transformer.ln_f.bias 16 norm",
    ):
        assert row in rows
    assert "27 × 16" not in dyntools("inspect", RUN).out


def test_inspect_json_has_the_kinds(dyntools: Command) -> None:
    outcome = dyntools("inspect", RUN, "--json", "--kind", "*.c_attn.*=value")
    tensors = json.loads(outcome.out)["tensors"]
    assert tensors["transformer.h.0.attn.c_attn.weight"]["kind"] == "value"
    assert tensors["transformer.wte.weight"]["kind"] == "embedding"


def test_inspect_says_how_states_without_a_name_get_one(dyntools: Command) -> None:
    outcome = dyntools("inspect", str(ROOT / "fixtures/runs/accelerate"))
    assert "model of a --problem would name the other 3" in " ".join(outcome.out.split())
    assert "--problem would name" not in dyntools("inspect", RUN).out


def test_analyze_keeps_what_it_was_told(dyntools: Command, tmp_path: Path) -> None:
    write_small_run(tmp_path / "run")
    told = ("--kind", "0.weight=query", "--kind", "2.*=head")
    outcome = dyntools("analyze", "run", "--metric", "weight_norm", "-o", "r.h5", *told)
    assert outcome.code == 0, outcome.err
    kinds = hdf5.read(tmp_path / "r.h5").attributes["kinds"]
    assert kinds == [["0.weight", "query"], ["2.*", "head"]]


@pytest.mark.parametrize(
    ("told", "what"),
    [
        ("0.wieght=query", "fits no tensor"),
        ("0.weight=queri", "no kind of layer called 'queri'"),
        ("0.weight", "written GLOB=KIND"),
        ("=query", "written GLOB=KIND"),
    ],
)
def test_slips_of_the_pen_are_refused(
    dyntools: Command, tmp_path: Path, told: str, what: str
) -> None:
    write_small_run(tmp_path / "run")
    outcome = dyntools("analyze", "run", "--metric", "weight_norm", "-o", "r.h5", "--kind", told)
    assert outcome.code == 2
    assert what in outcome.err
    assert not (tmp_path / "r.h5").exists()


def test_an_unknown_kind_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as raised:
        kinds_of(["*.weight=mlp_up"])
    assert "mlp up, mlp gate" in str(raised.value.remedy)
    assert kinds_of(["a=b.weight = mlp up"]).given == (("a=b.weight", "mlp up"),)
    assert kinds_of(None).given == ()
