"""Arithmetic of operators: sums, multiples, shifts, and scaling from both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from dyntools.linalg.operator import Operator


def total(operators: Sequence[Operator]) -> Operator:
    """A + B + …"""
    first, *rest = operators

    def apply(vector: Tensor) -> Tensor:
        result = first(vector)
        for operator in rest:
            result += operator(vector)
        return result

    return replace(first, apply=apply)


def multiple(operator: Operator, factor: float) -> Operator:
    """c A."""
    return replace(operator, apply=lambda vector: operator(vector).mul_(factor))


def shifted(operator: Operator, shift: float) -> Operator:
    """A + s I."""
    return replace(operator, apply=lambda v: operator(v).add_(v, alpha=shift))


def scaled(operator: Operator, diagonal: Tensor) -> Operator:
    """D A D for a diagonal matrix D, given as (n,)."""
    return replace(operator, apply=lambda v: operator(v * diagonal).mul_(diagonal))
