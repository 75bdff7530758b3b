"""The 8-bit optimizer states of bitsandbytes, as the float32 numbers they stand for.

Block-wise dynamic quantisation (Dettmers et al. 2022, "8-bit Optimizers via Block-wise
Quantization", arXiv:2110.02861): a state of n elements is n bytes that index a table of 256 values
(`qmap1`), times the largest magnitude of their block (`absmax1`). Blocks have 256 elements, 2048 in
older releases. Small tensors are kept in float32 under the same names, without a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import ceil, prod
from typing import TYPE_CHECKING

from dyntools.checkpoint import Entry
from dyntools.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

NESTING = "__bnb_optimizer_quant_state__"
_TABLE_SIZE = 256
_BLOCKS = (256, 2048)
# The names torch.optim.Adam has for the same two states.
_ADAM_NAMES = {"state1": "exp_avg", "state2": "exp_avg_sq"}


def is_quantised(state: Mapping[str, Entry]) -> bool:
    """Whether this is the state of one parameter in a bitsandbytes optimizer."""
    return "state1" in state


def dequantised(state: Mapping[str, Entry]) -> dict[str, Entry]:
    """The state with its quantised parts as float32 entries, the tables left out."""
    adam = "state2" in state and state["state1"].shape == state["state2"].shape
    result: dict[str, Entry] = {}
    for name, value in state.items():
        number = name.removeprefix("state")
        plain_name = _ADAM_NAMES.get(name, name) if adam else name
        if name.startswith(("qmap", "absmax", "max", "new_max")):
            continue
        if name.startswith("state") and f"qmap{number}" in state:
            result[plain_name] = _entry(value, state, number)
        else:
            result[plain_name] = value
    return result


def _entry(codes: Entry, state: Mapping[str, Entry], number: str) -> Entry:
    table, scales = state[f"qmap{number}"], state.get(f"absmax{number}")
    if scales is None or codes.dtype != "uint8" or table.shape != (_TABLE_SIZE,):
        raise CheckpointError("8-bit optimizer state that is not block-wise is not read")
    numel = prod(codes.shape)
    fitting = [size for size in _BLOCKS if ceil(numel / size) == prod(scales.shape)]
    if len(fitting) != 1:
        found = f"{numel} elements, {prod(scales.shape)} blocks"
        raise CheckpointError("8-bit optimizer state of an unknown block size", found=found)
    read = partial(_read, codes, table, scales, fitting[0])
    return Entry(codes.shape, "float32", read, codes.storage)


def _read(codes: Entry, table: Entry, scales: Entry, block: int) -> Tensor:
    values = table.read().float()[codes.read().flatten().int()]
    blocks = scales.read().float().flatten().repeat_interleave(block)[: values.numel()]
    return (values * blocks).reshape(codes.shape)
