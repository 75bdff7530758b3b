"""Tensor shapes: of the tensor that an entry is about, as far as the reports know it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Shapes = Mapping[str, Sequence[int]]
Labels = tuple[tuple[str, str], ...]


def shape_of(all_shapes: Sequence[Shapes], labels: Labels) -> tuple[int, ...]:
    """Of the first report that knows it, () where none does.

    A part of a fused tensor, `c_attn.weight[query]`, has the shape of the tensor it is cut from:
    equal tensors have equal parts.
    """
    layer = dict(labels).get("layer", "")
    for shapes in all_shapes:
        for name in (layer, layer.rpartition("[")[0] if layer.endswith("]") else ""):
            if name in shapes:
                return tuple(int(n) for n in shapes[name])
    return ()


def reshaped(all_shapes: Sequence[Shapes], labels: Labels) -> str:
    """A sentence where the reports of one side have tensors of several shapes, else ""."""
    if all(shapes == all_shapes[0] for shapes in all_shapes[1:]):
        return ""
    shapes = {shape_of([one], labels) for one in all_shapes} - {()}
    words = " and ".join("×".join(map(str, shape)) for shape in sorted(shapes))
    return f"The tensor has several shapes: {words}." if len(shapes) > 1 else ""
