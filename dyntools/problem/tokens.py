"""Tokens: the examples of a language model, cut from a text or from a file of token ids.

Blocks of equal length, one after another from the front, so that the examples are the same ones
each time and a person can say which they were.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dyntools.errors import ProblemError

EXAMPLES = 64  # blocks; chosen
CHARACTERS = 64  # of text read per token wanted; chosen, far above any tokenizer's mean
WIDTHS = ("uint16", "uint32", "int32", "int64")


@dataclass(frozen=True)
class Words:
    """What the examples are made of: a text and its tokenizer, or a file of token ids.

    tokens: `file.npy`, or `file.bin` of 16 bits a token as nanoGPT writes it, or `file.bin:uint32`.
    tokenizer: a tokenizer.json or a folder with one; by default the checkpoint's own.
    block: tokens of an example, by default the model's context. examples: how many blocks.
    validation: another file of the same kind, held out from training.
    """

    text: Path | None = None
    tokens: str | None = None
    tokenizer: Path | None = None
    block: int | None = None
    examples: int = EXAMPLES
    validation: str | None = None

    @property
    def of_validation(self) -> Words | None:
        """The same cut of the validation file; None where none is given."""
        if self.validation is None:
            return None
        if self.tokens is not None:
            return replace(self, tokens=self.validation, validation=None)
        return replace(self, text=Path(self.validation), validation=None)

    @property
    def source(self) -> str:
        """The option that names them."""
        return f"--text {self.text}" if self.tokens is None else f"--tokens {self.tokens}"


def blocks(words: Words, folder: Path, block: int, vocabulary: int | None) -> Tensor:
    """Token ids (examples, block), as many as there are; a shorter block of what fills none.

    folder: of the checkpoint, for its tokenizer. vocabulary: None if it is not known.
    Raises ProblemError.
    """
    wanted = block * words.examples
    if words.text is not None and words.tokens is not None:
        raise ProblemError("--text and --tokens exclude one another.")
    if words.tokens is not None:
        ids = _stored(words.tokens)[:wanted].astype(np.int64)
    else:
        assert words.text is not None
        text = _read(words.text, CHARACTERS * wanted)
        ids = np.asarray(_tokenized(text, words.tokenizer or folder)[:wanted], np.int64)
    return cut(ids, block, vocabulary, words.source)


def cut(ids: NDArray[np.int64], block: int, vocabulary: int | None, source: str) -> Tensor:
    """Token ids (N) as (examples, block), the rest left out; one shorter block of what fills none.

    Raises ProblemError when they are too few, or beyond the vocabulary.
    """
    if len(ids) < 2:
        raise ProblemError(
            "There are too few tokens to predict one.", where=source, found=str(len(ids))
        )
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or (vocabulary is not None and high >= vocabulary):
        raise ProblemError(
            "The token ids are not those of this model.",
            where=source,
            found=f"ids from {low} to {high}, a vocabulary of {vocabulary}",
            remedy="the tokenizer of the run, or another width: --tokens FILE.bin:uint32",
        )
    block = min(block, len(ids))
    return torch.from_numpy(ids[: len(ids) // block * block].copy()).view(-1, block)


def _stored(spec: str) -> NDArray[Any]:
    """The ids of a .npy file, or of raw numbers."""
    name, _, width = spec.rpartition(":")
    if width not in WIDTHS:
        name, width = spec, ""
    path = Path(name).expanduser()
    ids: NDArray[Any]
    try:
        if path.suffix == ".npy":
            ids = np.load(path, mmap_mode="r", allow_pickle=False).reshape(-1)
        else:
            ids = np.memmap(path, dtype=width or "uint16", mode="r")
    except (OSError, ValueError) as error:
        raise ProblemError(
            "The token ids cannot be read.",
            where=name,
            found=str(error),
            remedy="--tokens FILE.npy, or FILE.bin:DTYPE with " + ", ".join(WIDTHS),
        ) from error
    if ids.dtype.kind not in "iu":
        raise ProblemError("Token ids are whole numbers.", where=name, found=str(ids.dtype))
    if path.suffix != ".npy" and not width and len(ids) > 3 and not ids[1:4096:2].any():
        raise ProblemError(
            "The token ids look wider than 16 bits: every second number is zero.",
            where=name,
            remedy=f"--tokens {name}:uint32 (or int64)",
        )
    return ids


def _read(path: Path, characters: int) -> str:
    try:
        with path.expanduser().open(encoding="utf-8") as file:
            return file.read(characters)
    except (OSError, UnicodeDecodeError) as error:
        raise ProblemError(
            "The text cannot be read.",
            where=str(path),
            found=str(error),
            remedy="--text with a file in UTF-8, or --tokens with its token ids",
        ) from error


def _tokenized(text: str, place: Path) -> list[int]:
    """The ids of a text, without special tokens."""
    file = place / "tokenizer.json" if place.is_dir() else place
    if not file.is_file():
        raise ProblemError(
            "There is no tokenizer.",
            where=str(file),
            remedy="--tokenizer with a tokenizer.json or its folder, or --tokens with token ids",
        )
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ProblemError(
            "A text is cut into tokens by `tokenizers`, which is not installed.",
            found=str(error),
            remedy="pip install 'dyntools[text]', or --tokens with token ids",
        ) from error
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises Exception itself
        raise ProblemError(
            "The tokenizer cannot be read.",
            where=str(file),
            found=" ".join(str(error).split())[:300],
            remedy="--tokenizer with another, or --tokens with token ids",
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return list(tokenizer.encode(text, add_special_tokens=False).ids)
