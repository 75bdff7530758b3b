"""Optimizers that execute what dyntools decided.

from dyntools.optim import SlimAdamW
optimizer = SlimAdamW(model.named_parameters(), "plan.toml", lr=3e-4)
"""

from __future__ import annotations

from dyntools.optim.slim_adamw import SlimAdamW

__all__ = ["SlimAdamW"]
