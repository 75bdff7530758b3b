"""Which checkpoints make up a run: every rule, and that whoever is set aside has a reason."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dyntools.checkpoint import Checkpoint, Entry
from dyntools.errors import UsageError
from dyntools.sequence import in_order

ROOT = Path("/runs/a")


def checkpoint(
    name: str,
    step: int | None,
    unit: str = "step",
    *,
    optimizer: bool = False,
    shapes: tuple[int, ...] = (3, 4, 5),
) -> Checkpoint:
    tensors = {
        f"layer.{i}": Entry((size, size), "float32", lambda: torch.empty(0))
        for i, size in enumerate(shapes)
    }
    return Checkpoint(
        path=ROOT / name,
        format="torch",
        step=step,
        step_unit=unit,
        step_source="file name" if step is not None else "no step in the file or its name",
        tensors=tensors,
        optimizer=lambda: None,
        has_optimizer=optimizer,
        config={},
        notes=(),
        files=(ROOT / name,),
    )


def order(*found: Checkpoint) -> tuple[list[str], dict[str, str], str]:
    chosen, aside, unit = in_order(found, ROOT)
    return [c.path.name for c in chosen], {c.path.name: why for c, why in aside}, unit


def test_steps_ascend_whatever_the_order_of_the_files() -> None:
    names, aside, unit = order(checkpoint("b", 20), checkpoint("c", 3), checkpoint("a", 100))
    assert names == ["c", "b", "a"]
    assert not aside
    assert unit == "step"


def test_of_one_step_the_one_with_optimizer_state_is_taken() -> None:
    names, aside, _ = order(checkpoint("a", 5), checkpoint("b", 5, optimizer=True))
    assert names == ["b"]
    assert "also step 5; b is taken" in aside["a"]


def test_then_the_one_with_more_tensors_then_path_order() -> None:
    small = checkpoint("a", 5, shapes=(3, 4))
    names, aside, _ = order(small, checkpoint("c", 5), checkpoint("b", 5))
    assert names == ["b"]
    assert set(aside) == {"a", "c"}


def test_without_a_number_init_is_step_zero_and_others_are_set_aside() -> None:
    names, aside, _ = order(
        checkpoint("init.pt", None), checkpoint("final.pt", None), checkpoint("x", 9)
    )
    assert names == ["init.pt", "x"]
    assert "no step in the file" in aside["final.pt"]


def test_a_single_checkpoint_without_a_number_is_step_zero() -> None:
    names, aside, _ = order(checkpoint("model.pt", None))
    assert names == ["model.pt"]
    assert not aside


def test_another_unit_is_set_aside() -> None:
    names, aside, unit = order(
        checkpoint("a", 0, "epoch"),
        checkpoint("b", 100),
        checkpoint("c", 200),
        checkpoint("d", 3, "epoch"),
    )
    assert names == ["a", "b", "c"]
    assert unit == "step"
    assert "counts in epochs" in aside["d"]


def test_a_number_of_unknown_unit_is_taken_for_a_step() -> None:
    names, aside, unit = order(checkpoint("a-5", 5, "unknown"), checkpoint("b", 10))
    assert names == ["a-5", "b"]
    assert not aside
    assert unit == "step"


def test_another_model_is_set_aside_and_a_changed_head_is_not() -> None:
    names, aside, _ = order(
        checkpoint("a", 1),
        checkpoint("b", 2),
        checkpoint("head", 3, shapes=(3, 4, 9)),
        checkpoint("critic", 4, shapes=(7, 8)),
    )
    assert names == ["a", "b", "head"]
    assert "another model" in aside["critic"]


def test_several_models_without_a_majority_are_refused_with_the_folders() -> None:
    with pytest.raises(UsageError) as error:
        order(checkpoint("one/a", 1), checkpoint("two/b", 1, shapes=(7, 8)))
    assert "several models" in str(error.value)
    assert "one" in str(error.value)


def test_nothing_found_is_no_error_here() -> None:
    assert order() == ([], {}, "step")
