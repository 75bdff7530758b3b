"""Exact quantiles of all values of a tensor.

Linear between neighbours in the order of size (type 7 of Hyndman & Fan 1996, Sample quantiles in
statistical packages, doi:10.1080/00031305.1996.10473566), as NumPy and torch take them. By
selection within one float64 copy: no sort, and no limit of 2²⁴ values as in `torch.quantile`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

# Name: level. The middle half and the middle nine tenths; chosen, no source.
LEVELS = {"q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95}


def quantiles(values: Tensor) -> dict[str, float]:
    """The quantiles of `LEVELS` by name; of finite values, at least one."""
    copied = np.array(values.detach().cpu().double().numpy(), dtype=np.float64).reshape(-1)
    found = np.quantile(copied, list(LEVELS.values()), overwrite_input=True)
    return dict(zip(LEVELS, map(float, found), strict=True))
