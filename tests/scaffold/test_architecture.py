"""What init learns from checkpoints: families, shapes, the task; and what strangers may not say."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from dyntools import open_run
from dyntools.scaffold import Architecture, architecture_of, problem_file
from tests.processes import FIXTURES


def looked_at(path: Path) -> Architecture:
    found = architecture_of(open_run(path))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("run", "family", "task", "first", "last"),
    [
        ("digits-mlp", "torch", "classification", (64, 64), (10, 32)),
        ("digits-cnn", "lightning", "classification", (8, 1, 3, 3), (10, 64)),
        ("nanogpt", "torch", "language-model", (27, 16), (16, 64)),
        ("tiny-gpt", "causal transformers", "language-model", None, None),
        ("sharded", "causal transformers", "language-model", None, None),
    ],
)
def test_of_the_fixtures(run: str, family: str, task: str, first: Any, last: Any) -> None:
    found = looked_at(FIXTURES / "runs" / run)
    assert (found.family, found.task) == (family, task)
    if first is not None:
        assert found.first is not None
        assert found.last is not None
        assert (found.first[1], found.last[1]) == (first, last)


def test_of_the_digits_by_hand() -> None:
    found = looked_at(FIXTURES / "runs/digits-mlp")
    assert (found.tensors, found.parameters) == (6, 64 * 65 + 32 * 65 + 10 * 33)
    assert (found.path.name, found.step, found.format) == ("step-03000.pt", 3000, "torch")


def test_the_context_is_that_of_the_settings() -> None:
    assert looked_at(FIXTURES / "runs/nanogpt").context == 16
    assert looked_at(FIXTURES / "runs/tiny-gpt").context == 32


def test_one_output_is_a_regression(tmp_path: Path) -> None:
    torch.save({"fc.weight": torch.zeros(1, 5)}, tmp_path / "model.pt")
    assert looked_at(tmp_path).task == "regression"


def test_a_log_alone_tells_of_no_network(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text((FIXTURES / "runs/digits-mlp/log.jsonl").read_text())
    assert architecture_of(open_run(tmp_path)) is None


def lightning(path: Path, settings: dict[str, Any]) -> None:
    torch.save(
        {
            "pytorch-lightning_version": "2.4.0",
            "state_dict": {"net.weight": torch.zeros(3, 2)},
            "global_step": 1,
            "hyper_parameters": settings,
        },
        path,
    )


def test_a_module_named_in_the_settings_is_a_hint_and_no_code(tmp_path: Path) -> None:
    lightning(tmp_path / "a.ckpt", {"_class_path": "project.models.Net", "width": 3})
    found = looked_at(tmp_path)
    text = problem_file(found, found.task, "problem.py")
    assert found.hint == "project.models.Net"
    assert "# from my_training import MyModule  # project.models.Net\n" in text
    assert "#     width=3\n" in text
    assert "project" not in ast.unparse(ast.parse(text))  # in comments alone


EVIL = 'x"""\nimport os; os.abort()\n"""\\'


def test_stored_text_never_becomes_code(tmp_path: Path) -> None:
    """Names of tensors, settings, classes and files may be anything."""
    lightning(tmp_path / "a.ckpt", {"_class_path": EVIL, EVIL: EVIL})
    root = torch.load(tmp_path / "a.ckpt", weights_only=True)
    root["state_dict"] = {EVIL: torch.zeros(3, 2)}
    folder = tmp_path / 'run"""\nabort()'
    folder.mkdir()
    torch.save(root, folder / 'b"""\nabort().ckpt')
    found = looked_at(folder)
    for task in ("classification", "regression", "language-model"):
        tree = ast.parse(problem_file(found, task, EVIL + ".py"))
        code = "".join(ast.unparse(node) for node in tree.body[1:])
        assert "abort" not in code
        assert "abort" in (ast.get_docstring(tree) or "")


@pytest.mark.parametrize("name", ["os; import sys", "os", "Trainer", "x as y\nabort()", 5, None])
def test_a_class_of_a_config_is_imported_only_if_it_is_a_model(name: Any, tmp_path: Path) -> None:
    save_file({"classifier.weight": torch.zeros(3, 2)}, str(tmp_path / "model.safetensors"))
    config = {"model_type": "bert", "architectures": [name]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = looked_at(tmp_path)
    assert (found.family, found.class_name) == ("torch", "")
    assert "import AutoConfig" not in problem_file(found, found.task, "problem.py")


def test_a_classifier_of_hugging_face_is_built_from_its_config(tmp_path: Path) -> None:
    save_file({"classifier.weight": torch.zeros(3, 2)}, str(tmp_path / "model.safetensors"))
    config = {"model_type": "bert", "architectures": ["BertForSequenceClassification"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = looked_at(tmp_path)
    text = problem_file(found, found.task, "problem.py")
    assert (found.family, found.task) == ("transformers", "classification")
    assert "from transformers import AutoConfig, BertForSequenceClassification\n" in text
    assert "One place is to be filled in" in text
    ast.parse(text)
