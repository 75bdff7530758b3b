"""The examples of a language model: which ids, cut where, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dyntools.errors import ProblemError
from dyntools.problem.tokens import Words, blocks
from tests.processes import FIXTURES

GPT = FIXTURES / "runs/tiny-gpt"
IDS = np.arange(50) % 17


def saved(folder: Path, name: str, dtype: str) -> str:
    path = folder / name
    if path.suffix == ".npy":
        np.save(path, IDS.astype(dtype))
    else:
        IDS.astype(dtype).tofile(path)
    return str(path)


@pytest.mark.parametrize(
    ("name", "dtype", "end"),
    [
        ("ids.npy", "int64", ""),
        ("ids.npy", "uint16", ""),
        ("ids.bin", "uint16", ""),
        ("ids.bin", "uint16", ":uint16"),
        ("ids.bin", "uint32", ":uint32"),
        ("ids.bin", "int64", ":int64"),
    ],
)
def test_blocks_lie_one_after_another_from_the_front(
    name: str, dtype: str, end: str, tmp_path: Path
) -> None:
    spec = saved(tmp_path, name, dtype) + end
    found = blocks(Words(tokens=spec, examples=4), tmp_path, 8, 17)
    assert found.tolist() == IDS[:32].reshape(4, 8).tolist()
    assert blocks(Words(tokens=spec), tmp_path, 8, 17).shape == (6, 8)  # the rest fills no block
    assert blocks(Words(tokens=spec), tmp_path, 64, 17).shape == (1, 50)


@pytest.mark.parametrize(
    ("name", "dtype", "end", "sentence"),
    [
        ("ids.bin", "uint32", "", "every second number is zero"),
        ("ids.bin", "int64", "", "every second number is zero"),
        ("ids.npy", "float32", "", "whole numbers"),
        ("ids.bin", "uint16", ":uint32", "not those of this model"),
    ],
)
def test_a_wrong_width_is_refused(
    name: str, dtype: str, end: str, sentence: str, tmp_path: Path
) -> None:
    """uint32 read as uint16 is every id followed by a zero, which are all valid ids."""
    with pytest.raises(ProblemError, match=sentence):
        blocks(Words(tokens=saved(tmp_path, name, dtype) + end), tmp_path, 8, 17)


def test_files_that_are_not_there_or_no_text(tmp_path: Path) -> None:
    (tmp_path / "image.bin").write_bytes(b"\xff\xfe\xfa\x00")
    (tmp_path / "one.txt").write_text("a")
    for words, sentence in (
        (Words(text=tmp_path / "missing.txt"), "cannot be read"),
        (Words(text=tmp_path / "image.bin"), "cannot be read"),
        (Words(text=tmp_path / "one.txt"), "no tokenizer"),
        (Words(tokens=str(tmp_path / "missing.npy")), "cannot be read"),
        (Words(text=tmp_path / "one.txt", tokens="x.npy"), "exclude"),
    ):
        with pytest.raises(ProblemError, match=sentence):
            blocks(words, tmp_path, 8, 17)


def test_object_arrays_are_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "ids.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ProblemError, match="cannot be read"):
        blocks(Words(tokens=str(tmp_path / "ids.npy")), tmp_path, 8, 17)


def test_too_few_tokens(tmp_path: Path) -> None:
    np.save(tmp_path / "ids.npy", np.array([3]))
    with pytest.raises(ProblemError, match="too few"):
        blocks(Words(tokens=str(tmp_path / "ids.npy")), tmp_path, 8, 17)


def test_a_text_is_cut_by_the_tokenizer_of_the_checkpoint() -> None:
    pytest.importorskip("tokenizers", reason="the extra `text` is not installed")
    folder, text = GPT / "checkpoint-10", GPT / "text.txt"
    found = blocks(Words(text=text, examples=3), folder, 32, 60)
    assert found.shape == (3, 32)
    alphabet = sorted(set("\n !$&',-.3:;?") | set(text.read_text()))
    assert alphabet[0] == "\n"
    assert int(found[0, 5]) == 1  # the space of "First Citizen" is second in code point order
    same = blocks(Words(text=text, tokenizer=folder / "tokenizer.json", examples=3), GPT, 32, 60)
    assert same.equal(found)


def test_a_damaged_tokenizer_is_a_sentence(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers", reason="the extra `text` is not installed")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ProblemError, match="tokenizer cannot be read"):
        blocks(Words(text=GPT / "text.txt"), tmp_path, 8, 60)
