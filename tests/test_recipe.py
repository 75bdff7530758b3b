"""What a person may tell of a run, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dyntools.errors import UsageError
from dyntools.recipe import KEYS, NOTHING, Recipe, read_recipe, recipe_of


def test_toml_and_json_tell_the_same(tmp_path: Path) -> None:
    table = {"batch_size": 256, "sequence_length": 1024, "weight_decay": 0.1, "beta1": 0}
    toml, text = tmp_path / "a.toml", tmp_path / "a.JSON"
    toml.write_text("\n".join(f"{key} = {value}" for key, value in table.items()))
    text.write_text(json.dumps(table))
    assert read_recipe(toml) == read_recipe(text) == Recipe(256, 1024, weight_decay=0.1, beta1=0)
    assert read_recipe(toml).told == table


def test_what_follows_from_what() -> None:
    by_batch = recipe_of({"batch_size": 8, "sequence_length": 64, "total_steps": 100})
    assert by_batch.tokens_a_step == 512
    assert by_batch.tokens == 51200
    by_tokens = recipe_of({"tokens_per_step": 512, "total_tokens": 51200})
    assert by_tokens.steps == 100
    assert (NOTHING.tokens_a_step, NOTHING.steps, NOTHING.tokens, NOTHING.told) == (None,) * 3 + (
        {},
    )
    assert recipe_of({"total_steps": 3}).tokens is None
    assert recipe_of({"total_tokens": 3}).steps is None


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", ["256", True, None, [1], -1, float("nan"), 10**400])
def test_a_value_that_is_no_possible_number_is_refused(key: str, value: object) -> None:
    with pytest.raises(UsageError, match=key):
        recipe_of({key: value})


def test_zero_and_one_where_they_mean_something() -> None:
    for key in ("weight_decay", "beta1", "beta2", "epsilon", "warmup_steps"):
        assert recipe_of({key: 0}).told == {key: 0}
    for key in ("batch_size", "learning_rate", "total_tokens"):
        with pytest.raises(UsageError, match="above 0"):
            recipe_of({key: 0})
    with pytest.raises(UsageError, match="below 1"):
        recipe_of({"beta2": 1})


def test_an_unknown_key_names_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        recipe_of({"batchsize": 4}, "a.toml")
    assert "'batchsize'" in str(caught.value)
    assert "a.toml" in str(caught.value)
    assert (caught.value.remedy or "").startswith("keys: batch_size")


@pytest.mark.parametrize(
    ("table", "found"),
    [
        ({"batch_size": 8, "sequence_length": 64, "tokens_per_step": 500}, "500 and 8"),
        ({"tokens_per_step": 100, "total_steps": 10, "total_tokens": 1e4}, "10000 and 10"),
    ],
)
def test_contradictions_are_refused(table: dict[str, object], found: str) -> None:
    with pytest.raises(UsageError, match="contradicts itself") as caught:
        recipe_of(table)
    assert found in (caught.value.found or "")


def test_rounded_numbers_do_not_contradict() -> None:
    told = {"tokens_per_step": 524288, "total_steps": 19073, "total_tokens": 1e10}
    assert recipe_of(told).told == told


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", "batch_size: 4", "TOML or JSON"),
        ("a.toml", "batch_size: 4", "not TOML"),
        ("a.json", "{", "not JSON"),
        ("a.json", "[" * 100_000, "not JSON"),
        ("a.json", "[1]", "a table of names"),
        ("a.toml", "\n[optimizer]\nlr = 1\n", "no key 'optimizer'"),
        ("a.json", " " * 1_000_001, "too large"),
    ],
)
def test_a_file_that_is_no_recipe(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        read_recipe(tmp_path / name)
    assert name in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_recipe(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not TOML"):
        read_recipe(tmp_path / "bytes.toml")
