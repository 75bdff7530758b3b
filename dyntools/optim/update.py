"""One step of AdamW whose second moment is kept in a form (`dyntools.forms`).

    p ← (1 - lr·wd) p
    m ← β1 m + (1-β1) g
    ν ← β2 ν + (1-β2) mean_K(g²)
    p ← p - lr m̂ / (√ν̂ + eps),    m̂ = m / (1-β1^t),  ν̂ = ν / (1-β2^t)

Loshchilov & Hutter 2019, AdamW, arXiv:1711.05101; the mean over the axes K, Kalra et al. 2025,
SlimAdam, arXiv:2503.01843. Blocks: Zhang et al. 2024, Adam-mini, arXiv:2406.16793. Factored:
Shazeer & Stern 2018, Adafactor, arXiv:1804.04235, ν ≈ rows × columns / mean of the rows, without
its clipping and its schedules. In full the operations and their order are those of torch's foreach
AdamW, to the last bit.

Memory traffic is the cost of the step on a CPU, so that large tensors are taken in pieces that stay
in the cache and small ones together. The temporary memory of a step is one piece.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from dyntools.forms import Form
from dyntools.optim.mean_squares import mean_square, row_and_column_means
from dyntools.optim.pieces import Move, Part, batches, pieces, pieces_of_move


@dataclass(frozen=True, slots=True)
class Settings:
    """Of a group of parameters. together: whether small tensors share calls."""

    lr: float
    beta1: float
    beta2: float
    eps: float
    weight_decay: float
    maximize: bool
    together: bool


def update(parts: Iterable[tuple[Form, Part]], settings: Settings) -> None:
    """Changes the parameters, first moments and second moments of `parts` in place.

    Second moments know no sign, so that only the first are told of `maximize`.
    """
    full: list[Part] = []
    reduced: list[tuple[Form, Part]] = []
    for form, part in parts:
        if form.kind == "full":
            full.extend(pieces(part))
        else:
            reduced.append((form, part))
    for batch in batches(full, settings.together):
        _move(_in_full(full[batch], settings), settings)
    moves = [piece for move in _reduced(reduced, settings) for piece in pieces_of_move(move)]
    for batch in batches([move.part for move in moves], settings.together):
        _move(moves[batch], settings)


def _in_full(parts: list[Part], settings: Settings) -> list[Move]:
    seconds = [part.kept[0] for part in parts]
    grads = [part.grad for part in parts]
    torch._foreach_mul_(seconds, settings.beta2)
    torch._foreach_addcmul_(seconds, grads, grads, 1 - settings.beta2)
    roots = torch._foreach_sqrt(seconds)
    torch._foreach_div_(roots, [_root_correction(part, settings) for part in parts])
    torch._foreach_add_(roots, settings.eps)
    return [Move(part, root) for part, root in zip(parts, roots, strict=True)]


def _reduced(parts: list[tuple[Form, Part]], settings: Settings) -> list[Move]:
    """Of every form but full. What is kept is small: all of it shares calls."""
    if not parts:
        return []
    kept = [tensor for _, part in parts for tensor in part.kept]
    new = [mean for form, part in parts for mean in _means(form, part)]
    torch._foreach_mul_(kept, settings.beta2)
    torch._foreach_add_(kept, new, alpha=1 - settings.beta2)
    averaged = [(form, part) for form, part in parts if form.kind != "factored"]
    factored = [part for form, part in parts if form.kind == "factored"]
    return _averaged(averaged, settings) + _factored(factored, settings)


def _means(form: Form, part: Part) -> tuple[Tensor, ...]:
    """Of the squared gradients, in the shapes and the dtype of what is kept."""
    means: tuple[Tensor, ...]
    if form.kind == "factored":
        means = row_and_column_means(part.grad)
    elif form.kind == "blocks":
        means = (mean_square(part.grad.reshape(form.blocks, -1), (1,)).squeeze(1),)
    else:
        means = (mean_square(part.grad, form.axes),)
    return tuple(mean.to(part.param.dtype) for mean in means)


def _averaged(parts: list[tuple[Form, Part]], settings: Settings) -> list[Move]:
    """Axes and blocks: a denominator of the kept shape."""
    if not parts:
        return []
    roots = torch._foreach_sqrt([part.kept[0] for _, part in parts])
    torch._foreach_div_(roots, [_root_correction(part, settings) for _, part in parts])
    torch._foreach_add_(roots, settings.eps)
    return [
        Move(part, root) if form.kind == "axes" else _move_in_blocks(form, part, root)
        for (form, part), root in zip(parts, roots, strict=True)
    ]


def _factored(parts: list[Part], settings: Settings) -> list[Move]:
    if not parts:
        return []
    rows = [part.kept[0] for part in parts]
    # A tensor that no gradient has reached yet is zero, not NaN.
    tiny = {each.dtype: torch.finfo(each.dtype).tiny for each in rows}
    means = [each.mean(-2, keepdim=True).clamp_min_(tiny[each.dtype]) for each in rows]
    roots = torch._foreach_div(rows, means)
    torch._foreach_sqrt_(roots)
    torch._foreach_div_(roots, [_root_correction(part, settings) for part in parts])
    columns = torch._foreach_sqrt([part.kept[1] for part in parts])
    return list(map(Move, parts, roots, columns))


def _move_in_blocks(form: Form, part: Part, root: Tensor) -> Move:
    """Where the memory of the parameter is in its order, a matrix of one block a row."""
    if part.param.is_contiguous() and part.first.is_contiguous():
        return Move(_as_blocks(form, part), root[:, None])
    shape = part.param.shape
    return Move(
        part, root[:, None].expand(form.blocks, shape.numel() // form.blocks).reshape(shape)
    )


def _as_blocks(form: Form, part: Part) -> Part:
    """The same memory as a matrix of one block a row."""
    shape = (form.blocks, -1)
    param, first = part.param.view(shape), part.first.view(shape)
    return Part(param, part.grad.reshape(shape), first, part.kept, part.step)


def _move(moves: list[Move], settings: Settings) -> None:
    """The first moments, and the parameters along them."""
    params = [move.part.param for move in moves]
    firsts = [move.part.first for move in moves]
    if settings.weight_decay != 0:
        torch._foreach_mul_(params, 1 - settings.lr * settings.weight_decay)
    grads = [move.part.grad for move in moves]
    if settings.maximize:
        grads = list(torch._foreach_neg(grads))
    torch._foreach_lerp_(firsts, grads, 1 - settings.beta1)
    denominators = [
        move.denominator
        if move.columns is None
        else torch.mul(move.denominator, move.columns).add_(settings.eps)
        for move in moves
    ]
    lengths = [(settings.lr / (1 - settings.beta1**move.part.step)) * -1 for move in moves]
    torch._foreach_addcdiv_(params, firsts, denominators, lengths)


def _root_correction(part: Part, settings: Settings) -> float:
    return float((1 - settings.beta2**part.step) ** 0.5)
