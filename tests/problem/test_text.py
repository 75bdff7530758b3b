"""A language model of Hugging Face is built from its config, on a text, and never runs its code."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dyntools import open_run, snapshots
from dyntools.errors import ProblemError
from dyntools.problem import Engine
from dyntools.problem.loading import load_problem
from dyntools.problem.text import text_problem
from dyntools.problem.tokens import Words
from tests.processes import FIXTURES

RUN = FIXTURES / "runs/tiny-gpt"
TEXT = Words(text=RUN / "text.txt", examples=256)
CONFIG = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"auto_map": {"AutoModelForCausalLM": "evil.Model"}}, "code of its own"),
        ({"quantization_config": {"bits": 4}}, "quantised"),
        ({"is_encoder_decoder": True}, "encoder and a decoder"),
        ({"num_local_experts": 8}, "mixture of experts"),
        ({"n_routed_experts": 64}, "mixture of experts"),
        ({"architectures": ["BertForMaskedLM"]}, "no causal language model"),
    ],
)
def test_what_is_no_plain_model_is_refused_before_anything_is_built(
    changed: dict[str, object], sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | changed))
    with pytest.raises(ProblemError, match=sentence) as caught:
        text_problem(tmp_path, TEXT)
    assert "--problem" in str(caught.value)


def test_adapters_and_folders_without_a_config_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match=r"no Hugging Face config"):
        text_problem(tmp_path, TEXT)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ProblemError, match="adapter"):
        text_problem(tmp_path / "adapter_model.safetensors", TEXT)
    (tmp_path / "adapter_config.json").unlink()
    for text in ("{", "[]"):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ProblemError, match="cannot be read"):
            text_problem(tmp_path, TEXT)


def test_without_transformers_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ProblemError, match="not installed") as caught:
        text_problem(RUN / "checkpoint-10", TEXT)
    assert "dyntools[text]" in str(caught.value)


def test_a_config_that_transformers_does_not_know(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="the extra `text` is not installed")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "no-such-model"}))
    with pytest.raises(ProblemError, match="cannot build"):
        text_problem(tmp_path, TEXT)


def test_blocks_beyond_the_positions_are_refused() -> None:
    pytest.importorskip("transformers", reason="the extra `text` is not installed")
    with pytest.raises(ProblemError, match="do not fit") as caught:
        text_problem(RUN / "checkpoint-10", replace(TEXT, block=33))
    assert "--block 32" in str(caught.value)


def test_it_is_the_problem_that_a_person_would_write() -> None:
    """Transformers' GPT-2 and the one in problem.py: same loss, same products, in float64."""
    pytest.importorskip("transformers", reason="the extra `text` is not installed")
    run = open_run(RUN)
    state = torch.random.get_rng_state()
    problems = (
        text_problem(RUN / "checkpoint-300", TEXT),
        load_problem(str(RUN / "problem.py"), run.checkpoints[-1]),
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    found = []
    for problem in problems:
        exact = replace(problem, engine=Engine(dtype=torch.float64))
        (snapshot,) = snapshots(run, steps=[300], problem=exact)
        risk = snapshot.risk()
        generator = torch.Generator().manual_seed(0)
        vector = torch.randn(risk.size, generator=generator, dtype=torch.float64)
        found.append((risk.layout.names, risk.loss(), risk.product(vector)))
    (names, loss, product), (others, other_loss, other_product) = found
    assert names == others
    assert loss == pytest.approx(other_loss, rel=1e-12)
    assert (product - other_product).norm() < 1e-9 * product.norm()


def test_models_that_compute_in_float32_pass_the_guards() -> None:
    """Llama takes its norms and softmax in float32, which the test in float64 saw as an error."""
    transformers = pytest.importorskip("transformers", reason="the extra `text` is not installed")
    from dyntools.problem import Problem, text
    from dyntools.problem.binding import risk_of

    config = transformers.LlamaConfig(
        vocab_size=40,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=16,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    ids = torch.randint(3, 40, (6, 16), generator=torch.Generator().manual_seed(0))
    problem = Problem(model, [{"input_ids": ids, "labels": ids}], text._loss, text._forward)
    state = dict(model.state_dict())
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    risk = risk_of(problem, state.__getitem__, shapes, {}, torch.device("cpu"))
    assert 0 < risk.loss() < 10
