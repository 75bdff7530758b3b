"""Precision: keep a model in float64 where its code says float32.

Models written for training in half precision compute norms and softmax in float32 by name
(`x.to(torch.float32)`, `softmax(…, dtype=torch.float32)`), which would round float64 down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


@contextmanager
def without_downcasts(dtype: torch.dtype) -> Iterator[None]:
    """Inside, conversions of float64 tensors to float32 leave them as they are."""
    if dtype != torch.float64:
        yield
        return
    with _KeepFloat64():
        yield


class _KeepFloat64(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if args and isinstance(args[0], Tensor) and args[0].dtype == torch.float64:
            if func is Tensor.float:
                return args[0]
            args = tuple(_kept(a) for a in args)
            kwargs = {key: _kept(value) for key, value in kwargs.items()}
        return func(*args, **kwargs)


def _kept(argument: Any) -> Any:
    return torch.float64 if argument is torch.float32 else argument
