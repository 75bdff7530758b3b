"""Numbers a file stores as plain values, as entries: an optimizer's step may be either."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dyntools.checkpoint import Entry

if TYPE_CHECKING:
    from torch import Tensor


def constant(value: float) -> Entry:
    """The entry of a number."""

    def read() -> Tensor:
        import torch

        return torch.tensor(value)

    return Entry((), "float32" if isinstance(value, float) else "int64", read)
