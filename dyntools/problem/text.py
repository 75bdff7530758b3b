"""Text: the problem of a causal language model saved by Hugging Face, on a text or on token ids.

    L(θ) = mean of -log p(token_t | tokens before t) over all tokens but the first of each block

The architecture is built from config.json by the installed Transformers and nothing else: no code
from the checkpoint's folder, no weights (those come from the snapshot). Attention is the eager one,
which has a second derivative. Blocks lie one after another from the front of the text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dyntools.errors import ProblemError
from dyntools.problem.batches import Batch
from dyntools.problem.language_model import in_batches, next_token
from dyntools.problem.precision import without_downcasts
from dyntools.problem.problem import Problem
from dyntools.problem.tokens import Words, blocks

LONGEST = 1024  # tokens of a block unless asked for; chosen: attention grows with its square
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")


def text_problem(checkpoint: Path, words: Words) -> Problem:
    """The problem of the model in a checkpoint's folder. Raises ProblemError."""
    folder = checkpoint if checkpoint.is_dir() else checkpoint.parent
    _refuse_what_is_no_plain_model(folder)
    model = _model(folder)
    positions = getattr(model.config, "max_position_embeddings", None) or LONGEST
    block = words.block or min(positions, LONGEST)
    if block > positions or block < 2:
        raise ProblemError(
            "The blocks do not fit the model.",
            found=f"{block} tokens, {positions} positions",
            remedy=f"--block {min(positions, LONGEST)}",
        )

    def cut_up(words: Words) -> list[Batch]:
        return in_batches(blocks(words, folder, block, int(model.config.vocab_size)))

    held_out = None if words.of_validation is None else cut_up(words.of_validation)
    return Problem(
        model, cut_up(words), _loss, forward=_forward, source=words.source, validation=held_out
    )


def problem_of_folder(
    path: str | Path,
    text: str | Path | None,
    *,
    tokens: str | Path | None,
    tokenizer: str | Path | None,
    context: int | None,
    examples: int,
    validation: str | Path | None = None,
) -> Problem:
    """See `Problem.from_huggingface`."""
    if text is None and tokens is None:
        raise ProblemError(
            "A language model needs a text, or token ids.",
            where=str(path),
            remedy="text='FILE.txt', or tokens='FILE.npy'",
        )
    words = Words(
        text=None if text is None else Path(text),
        tokens=None if tokens is None else str(tokens),
        tokenizer=None if tokenizer is None else Path(tokenizer).expanduser(),
        block=context,
        examples=examples,
        validation=None if validation is None else str(validation),
    )
    return text_problem(Path(path).expanduser(), words)


def _forward(model: nn.Module, batch: Mapping[str, Tensor]) -> Any:
    with without_downcasts(next(model.parameters()).dtype):
        return model(input_ids=batch["input_ids"], use_cache=False)


def _loss(outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
    return next_token(outputs.logits, batch)


def _refuse_what_is_no_plain_model(folder: Path) -> None:
    """Code in the folder, adapters, quantised weights, experts, encoders: each has its reason."""
    if (folder / "adapter_config.json").is_file():
        raise _refusal(
            folder, "This is an adapter (PEFT), not a whole model.", "adapter_config.json"
        )
    if not (folder / "config.json").is_file():
        raise _refusal(folder, "There is no Hugging Face config.json beside the weights.", None)
    try:
        config = json.loads((folder / "config.json").read_text())
        assert isinstance(config, dict)
    except (OSError, ValueError, AssertionError) as error:
        raise _refusal(folder, "config.json cannot be read.", str(error)) from error
    names = [name for name in config.get("architectures") or () if isinstance(name, str)]
    causal = [name for name in names if name.endswith(("ForCausalLM", "LMHeadModel"))]
    experts = [key for key in EXPERTS if isinstance(config.get(key), int) and config[key] > 1]
    for wrong, what, found in (
        ("auto_map" in config, "The model brings code of its own, which is not run.", "auto_map"),
        ("quantization_config" in config, "The weights are quantised.", "quantization_config"),
        (config.get("is_encoder_decoder"), "The model is an encoder and a decoder.", None),
        (experts, "The model is a mixture of experts: its routing is not smooth.", str(experts)),
        (names and not causal, "The model is no causal language model.", ", ".join(names)),
    ):
        if wrong:
            raise _refusal(folder, what, found)


def _refusal(folder: Path, what: str, found: str | None) -> ProblemError:
    remedy = "write the problem yourself: --problem FILE.py"
    return ProblemError(what, where=str(folder), found=found, remedy=remedy)


def _model(folder: Path) -> Any:
    """The architecture with weights that are never looked at."""
    transformers = _transformers()
    try:
        with _silence(transformers), torch.random.fork_rng(devices=[]):
            config = transformers.AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
            model = transformers.AutoModelForCausalLM.from_config(
                config, attn_implementation="eager", trust_remote_code=False
            )
    except Exception as error:  # of whatever kind a config can provoke
        found = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
        raise _refusal(
            folder, "Transformers cannot build the model of this config.json.", found
        ) from error
    return model.float()


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise ProblemError(
            "A language model is built by Transformers, which is not installed.",
            found=str(error),
            remedy="pip install 'dyntools[text]', or --problem FILE.py",
        ) from error
    return transformers


@contextmanager
def _silence(transformers: Any) -> Iterator[None]:
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(before)
