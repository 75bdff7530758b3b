"""Checkpoint: what a training run left on disk at one step, its headers read, its tensors not yet.

The types that every reader in `checkpoints/` fills and everything else reads. A tensor is an
`Entry`: shape and dtype are known, the values are read when `read` is called, alone, and nothing
keeps them. No tensor library is imported here, so that listing a run stays cheap.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

StepUnit = Literal["step", "epoch", "save", "unknown"]


@dataclass(frozen=True)
class Entry:
    """A stored tensor. `storage` names its bytes: entries with equal storage are tied."""

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], Tensor] = field(repr=False, compare=False)
    storage: tuple[object, ...] | None = None

    def kept(self) -> Entry:
        """The same tensor, read at most once and kept as long as the result lives."""
        return replace(self, read=cache(self.read))


@dataclass(frozen=True)
class OptimizerState:
    """State of the optimizer by parameter name.

    family: adam, adam8bit, adam-mini, adafactor, sgd, lion, unknown, or projected where moments are
        not those of single weights (GaLore, APOLLO, SOAP); told by the names of the state.
    groups: plain hyper-parameters of each group, and under "params" the names in it.
    naming: one sentence on how indices became names, or why they stayed `param[3] (16, 8)`.
    estimated: how, where the moments are no optimizer's but come from gradients.
    """

    family: str
    groups: tuple[Mapping[str, object], ...]
    state: Mapping[str, Mapping[str, Entry]]
    naming: str
    estimated: str = ""

    def only(self, name: str) -> OptimizerState:
        """The state of one parameter, each of its tensors read at most once."""
        entries = {key: entry.kept() for key, entry in self.state.get(name, {}).items()}
        return replace(self, state={name: entries} if entries else {})


@dataclass(frozen=True)
class Checkpoint:
    """One step of a run on disk.

    tensors: the model's tensors by name, wrapper prefixes stripped, in the order of the file.
    step_source: where the number was found, for example "`iter_num` in the file".
    optimizer: opened when called; None when there is none.
    config: plain values known about the architecture.
    notes: sentences a person should see: what was stripped, ignored or not understood.
    files: every file it is made of.
    extra: further facts by name, such as Lightning's "log_step", or "epoch".
    """

    path: Path
    format: str
    step: int | None
    step_unit: StepUnit
    step_source: str
    tensors: Mapping[str, Entry]
    optimizer: Callable[[], OptimizerState | None] = field(repr=False, compare=False)
    has_optimizer: bool
    config: Mapping[str, object]
    notes: tuple[str, ...]
    files: tuple[Path, ...]
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Damaged:
    """Something that looks like a checkpoint and cannot be read, with the reason."""

    path: Path
    format: str
    reason: str


# Persistent floating-point buffers by the ends of their names. Integer and boolean tensors need no
# entry: an optimizer never owns them. Masks of nanoGPT, GPT-2, minGPT and Swin; rotary tables of
# Llama and GPT-NeoX; power-iteration vectors of torch's spectral_norm, old and parametrized.
_BUFFER = re.compile(
    r"(^|\.)("
    r"running_mean|running_var|num_batches_tracked"
    r"|attn\.bias|masked_bias|attn_mask|causal_mask|tril"
    r"|inv_freq|original_inv_freq|freqs_cis|cos_cached|sin_cached"
    r"|weight_u|weight_v|parametrizations\.\w+\.\d+\._[uv]"
    r"|_float_tensor|_extra_state"
    r")$"
)
_TRAINABLE = re.compile(r"^(float|bfloat|complex)")


def is_buffer(name: str, dtype: str) -> bool:
    """Whether a stored tensor is a buffer, as far as its name and dtype tell."""
    return not _TRAINABLE.match(dtype) or _BUFFER.search(name) is not None
