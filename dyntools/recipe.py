"""Recipe: what a person tells of a run that neither its log nor its checkpoints hold.

A file in TOML or JSON of plain numbers, such as

    tokens_per_step = 524288
    total_steps = 19073
    weight_decay = 0.1

Nothing here is guessed: a key that is not known is refused with those that resemble it, and numbers
that contradict one another are refused too. What is given here is obeyed before what was read.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from dyntools.errors import UsageError, nearest

AGREE = 0.01  # relative: two ways to the same number may round differently; chosen, no source
MOST_BYTES = 1_000_000  # of a file of numbers; chosen: a log given by mistake is larger


@dataclass(frozen=True)
class Recipe:
    """How a run was made; None where it was not told.

    batch_size: examples in one step of the optimizer, over all devices and accumulated.
    sequence_length: tokens in an example. tokens_per_step: in one step of the optimizer.
    total_steps, total_tokens: the planned length. dataset_size: training examples.
    parameters: without the embeddings and the output layer of the vocabulary.
    learning_rate: at its peak. warmup_steps: until that peak.
    """

    batch_size: float | None = None
    sequence_length: float | None = None
    tokens_per_step: float | None = None
    total_steps: float | None = None
    total_tokens: float | None = None
    dataset_size: float | None = None
    parameters: float | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    beta1: float | None = None
    beta2: float | None = None
    epsilon: float | None = None
    warmup_steps: float | None = None

    @property
    def told(self) -> dict[str, float]:
        """The keys that were given."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    @property
    def tokens_a_step(self) -> float | None:
        """tokens_per_step, else batch_size · sequence_length."""
        if self.tokens_per_step is not None:
            return self.tokens_per_step
        if self.batch_size is None or self.sequence_length is None:
            return None
        return self.batch_size * self.sequence_length

    @property
    def steps(self) -> float | None:
        """total_steps, else total_tokens over the tokens of a step."""
        if self.total_steps is not None:
            return self.total_steps
        if self.total_tokens is None or self.tokens_a_step is None:
            return None
        return self.total_tokens / self.tokens_a_step

    @property
    def tokens(self) -> float | None:
        """total_tokens, else total_steps times the tokens of a step."""
        if self.total_tokens is not None:
            return self.total_tokens
        if self.total_steps is None or self.tokens_a_step is None:
            return None
        return self.total_steps * self.tokens_a_step


KEYS = tuple(field.name for field in fields(Recipe))
MAY_BE_ZERO = ("weight_decay", "beta1", "beta2", "epsilon", "warmup_steps")
BELOW_ONE = ("beta1", "beta2")
NOTHING = Recipe()


def read_recipe(path: Path) -> Recipe:
    """The recipe in a file whose name ends in .toml or .json.

    Raises UsageError for a file that cannot be read, an unknown key or an impossible number.
    """
    where = str(path)
    if path.suffix.lower() not in (".toml", ".json"):
        raise UsageError(
            "A recipe is a file in TOML or JSON.", where=where, remedy="a name in .toml or .json"
        )
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UsageError(
                "This is too large for a recipe.",
                where=where,
                found=f"{path.stat().st_size} bytes",
                remedy="a file of a few numbers: " + ", ".join(KEYS[:4]),
            )
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except OSError as error:
        raise UsageError(
            "The recipe cannot be read.", where=where, found=error.strerror, remedy="--config FILE"
        ) from error
    except (ValueError, RecursionError) as error:  # of TOML, JSON and UTF-8 alike
        kind = path.suffix[1:].upper()
        raise UsageError(
            f"The recipe is not {kind}.", where=where, found=str(error)[:200] or "nested too deep"
        ) from error
    if not isinstance(table, dict):
        raise UsageError(
            "A recipe is a table of names and numbers.",
            where=where,
            found=type(table).__name__,
            remedy='{"batch_size": 256}',
        )
    return recipe_of(table, where)


def recipe_of(table: Mapping[str, object], where: str | None = None) -> Recipe:
    """A recipe of names and numbers.

    Raises UsageError for an unknown key, for what is no possible number, and for numbers that
    contradict one another.
    """
    numbers = {key: _number(key, value, where) for key, value in table.items()}
    recipe = Recipe(**numbers)
    _check(recipe, where)
    return recipe


def _number(key: str, value: object, where: str | None) -> float:
    if key not in KEYS:
        raise UsageError(
            f"A recipe has no key {key!r}.", where=where, remedy="keys: " + nearest(key, KEYS)
        )
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{key} must be a number.", where=where, found=f"{value!r:.80}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    least = "at least 0" if key in MAY_BE_ZERO else "above 0"
    possible = math.isfinite(number) and (number >= 0 if key in MAY_BE_ZERO else number > 0)
    if key in BELOW_ONE:
        least, possible = "at least 0 and below 1", possible and number < 1
    if not possible:
        raise UsageError(f"{key} must be {least}.", where=where, found=f"{value!r:.80}")
    return number


def _check(recipe: Recipe, where: str | None) -> None:
    """That two ways to the same number agree."""
    size, length, tokens = recipe.batch_size, recipe.sequence_length, recipe.tokens_per_step
    if size and length and tokens and not math.isclose(size * length, tokens, rel_tol=AGREE):
        raise UsageError(
            "The recipe contradicts itself: tokens_per_step is not batch_size · sequence_length.",
            where=where,
            found=f"{tokens:g} and {size:g} · {length:g} = {size * length:g}",
            remedy="leave one of the three out",
        )
    a_step, steps, total = recipe.tokens_a_step, recipe.total_steps, recipe.total_tokens
    if a_step and steps and total and not math.isclose(steps * a_step, total, rel_tol=AGREE):
        raise UsageError(
            "The recipe contradicts itself: total_tokens is not total_steps times the tokens of a"
            " step.",
            where=where,
            found=f"{total:g} and {steps:g} · {a_step:g} = {steps * a_step:g}",
            remedy="leave one of the three out",
        )
