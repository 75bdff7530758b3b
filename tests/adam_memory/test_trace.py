"""The authors' CSV as a report: numbers, gaps, and files that are no trace."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from dyntools.adam_memory import decide
from dyntools.adam_memory.trace import evidence_of_trace, report_of_trace
from dyntools.errors import UsageError
from dyntools.forms import FULL, mean_over

HEAD = "step,key,shape,compress_dims,snr,mean_sqr,var\n"
GOOD = HEAD + (
    '1,a.fc1.weight,"(4, 8)","(0,)",0.5,1,2\n'
    '1,a.fc1.weight,"(4, 8)","(1,)",2.0,1,2\n'
    '1,a.fc1.weight,"(4, 8)","(0, 1)",,1,2\n'
    '1,ln_f.weight,"(8,)","(0,)",inf,1,2\n'
    '101,a.fc1.weight,"(4, 8)","(0,)",1.7,1,2\n'
    '101,a.fc1.weight,"(4, 8)","(1,)",nan,1,2\n'
)


def written(folder: Path, text: str) -> Path:
    path = folder / "trace.csv"
    path.write_text(text, "utf-8")
    return path


def test_rows_become_evidence(tmp_path: Path) -> None:
    found = evidence_of_trace(written(tmp_path, GOOD))
    assert [(t.name, t.shape, t.kind) for t in found.tensors] == [
        ("a.fc1.weight", (4, 8), "mlp up"),
        ("ln_f.weight", (8,), "norm"),
    ]
    ratios = {one.label: one.snr for one in found.tensors[0].candidates}
    assert ratios["axes 0"] == pytest.approx(1.1)
    assert ratios["axes 1"] == 2.0
    assert math.isnan(ratios["axes 0,1"])
    assert found.tensors[1].candidates[0].snr == math.inf
    assert (found.steps, found.source) == ((1, 101), "trace.csv")
    assert math.isnan(found.n_eff)
    assert decide(found).forms == {"a.fc1.weight": mean_over(1), "ln_f.weight": FULL}
    assert decide(evidence_of_trace(written(tmp_path, GOOD), steps=[101])).forms[
        "a.fc1.weight"
    ] == mean_over(0)


def test_extra_columns_and_lists_are_fine(tmp_path: Path) -> None:
    text = 'note,snr,step,shape,key,compress_dims\nx,3.0,5,"[4, 8]",w,[1]\n'
    found = evidence_of_trace(written(tmp_path, text))
    assert found.tensors[0].candidates[0].form == mean_over(1)
    assert found.tensors[0].size == 32


def test_a_trace_knows_no_beta2(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="beta2"):
        decide(evidence_of_trace(written(tmp_path, GOOD)), "corrected")


def line(
    step: str = "1", shape: str = "(4, 8)", axes: str = "(1,)", snr: str = "2.0", key: str = "w"
) -> str:
    return f'{step},{key},"{shape}","{axes}",{snr},1,2\n'


@pytest.mark.parametrize(
    "bad",
    [
        line(shape="__import__('os').getcwd()"),
        line(shape="(4, 8"),
        line(shape="(4, -8)"),
        line(shape="(4, 0)"),
        line(shape="(99999999, 99999999)"),
        line(shape="4"),
        line(axes="(2,)"),
        line(axes="()"),
        line(axes="(1, 0)"),
        line(axes="(1, 1)"),
        line(axes="abc"),
        line(step="1.5"),
        line(step="-1"),
        line(step=str(2**63)),  # no int64: was once an OverflowError
        line(step=""),
        line(snr="-1"),
        line(snr="two"),
        "1,w\n",
    ],
)
def test_a_bad_line_is_told_with_its_number(tmp_path: Path, bad: str) -> None:
    path = written(tmp_path, GOOD + bad)
    with pytest.raises(UsageError, match="line of the SNR trace") as error:
        report_of_trace(path)
    assert error.value.where == f"{path}, line 8"
    assert error.value.found
    assert "columns step, key, shape" in (error.value.remedy or "")


@pytest.mark.parametrize("text", ["", "step,key\n1,w\n", "\x00\x01", "a;b\n"])
def test_a_file_of_other_columns_is_no_trace(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="SNR trace"):
        report_of_trace(written(tmp_path, text))


def test_a_missing_or_empty_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        report_of_trace(tmp_path / "nowhere.csv")
    with pytest.raises(UsageError, match="empty"):
        report_of_trace(written(tmp_path, HEAD))
    path = tmp_path / "binary.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read"):
        report_of_trace(path)


@pytest.mark.parametrize("twice", [line() + line(snr="3"), line() + line("2", shape="(4, 9)")])
def test_a_trace_that_contradicts_itself(tmp_path: Path, twice: str) -> None:
    with pytest.raises(UsageError, match="contradicts itself"):
        report_of_trace(written(tmp_path, HEAD + twice))
