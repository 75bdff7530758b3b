from __future__ import annotations

from dyntools.metrics.curvature.blocks import blocks_of
from tests.problems import classifier, snapshot_of


def test_blocks_in_model_order() -> None:
    snapshot = snapshot_of(classifier())
    assert blocks_of(snapshot, "none") == {"all": None}
    names = ["0.weight", "0.bias", "2.weight", "2.bias"]
    layers = blocks_of(snapshot, "layer")
    assert list(layers) == ["all", *names]
    assert list(blocks_of(snapshot, "layer", whole=False)) == names
    sizes = [part.size for part in layers.values() if part is not None]
    assert sum(sizes) == snapshot.risk().size


def test_kinds_gather_tensors() -> None:
    kinds = blocks_of(snapshot_of(classifier()), "kind")
    assert list(kinds) == ["all", "other", "bias"]
    assert kinds["other"] is not None
    assert kinds["other"].names == ("0.weight", "2.weight")
