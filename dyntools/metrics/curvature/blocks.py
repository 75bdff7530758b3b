"""Blocks: the parts of the parameters whose own curvature is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dyntools.problem.layout import Layout
    from dyntools.snapshot import Snapshot

WHOLE = "all"
BLOCKS = ("none", "layer", "kind")


def blocks_of(snapshot: Snapshot, block: str, *, whole: bool = True) -> dict[str, Layout | None]:
    """Blocks by name, in model order; None stands for all parameters, under the name `all`."""
    layout = snapshot.risk().layout
    found: dict[str, Layout | None] = {WHOLE: None} if whole else {}
    if block == "layer":
        return found | {name: layout.select([name]) for name in layout.names}
    if block == "kind":
        kinds: dict[str, list[str]] = {}
        for name, shape in zip(layout.names, layout.shapes, strict=True):
            kinds.setdefault(snapshot.kinds.block(name, shape), []).append(name)
        return found | {kind: layout.select(names) for kind, names in kinds.items()}
    return found
