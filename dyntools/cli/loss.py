"""The loss of a run as the options of `analyze` give it: a problem, or none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dyntools.cli import terminal
from dyntools.cli.options import size_of
from dyntools.errors import UsageError

if TYPE_CHECKING:
    from dyntools.checkpoint import Checkpoint
    from dyntools.problem import Problem

CHOICES = {
    "dtype": ("float32", "float64", "bfloat16"),
    "hvp": ("autograd", "differences"),
    "mode": ("eval", "train"),
}
PROBLEM = "--problem FILE.py:NAME"
BFLOAT16 = (
    "bfloat16 has 8 bits of mantissa: eigenvalues are off by about 1e-2, beyond the errors stated."
)


@dataclass(frozen=True)
class Loss:
    """What the command line says of the loss; None where it says nothing.

    memory, basis_memory: as written, such as 4GiB.
    """

    problem: str | None = None
    text: Path | None = None
    tokens: str | None = None
    tokenizer: Path | None = None
    block: int | None = None
    examples: int | None = None
    memory: str | None = None
    basis_memory: str | None = None
    dtype: str | None = None
    hvp: str | None = None
    mode: str | None = None
    probe_error: bool = False
    validation: str | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("problem", "text", "tokens") if getattr(self, name) is not None]
        if len(given) > 1:
            raise UsageError(f"--{given[0]} and --{given[1]} exclude one another.")
        of_text = ("tokenizer", "block", "examples", "validation")
        of_any = ("memory", "basis_memory", "dtype", "hvp", "mode", "probe_error")
        lonely = () if given else of_any
        lonely = lonely if given in (["text"], ["tokens"]) else (*of_text, *lonely)
        for name in lonely:
            if getattr(self, name) not in (None, False):
                kind, remedy = ("text", "--text FILE") if name in of_text else ("loss", PROBLEM)
                option = f"--{name.replace('_', '-')}"
                raise UsageError(f"{option} goes with a {kind}, and none is given.", remedy=remedy)
        for name, words in CHOICES.items():
            if getattr(self, name) not in (None, *words):
                raise UsageError(
                    f"--{name} cannot be {getattr(self, name)!r}.", remedy=" or ".join(words)
                )
        self._engine()  # a size that cannot be read is told before a run is opened

    def _engine(self) -> dict[str, Any]:
        sizes = {"memory": self.memory, "basis_memory": self.basis_memory}
        found: dict[str, Any] = {
            name: size_of(text, f"--{name.replace('_', '-')}")
            for name, text in sizes.items()
            if text is not None
        }
        return found | ({} if self.hvp is None else {"hvp": self.hvp})

    def load(self, checkpoint: Checkpoint | None) -> Problem | None:
        """The problem, with the settings of the command line over its own. Raises ProblemError."""
        problem = self._loaded(checkpoint)
        if problem is None:
            return None
        import torch

        engine = self._engine() | ({"dtype": getattr(torch, self.dtype)} if self.dtype else {})
        problem = replace(problem, engine=replace(problem.engine, **engine))
        if self.mode is not None:
            problem = replace(problem, mode=self.mode)  # type: ignore[arg-type]  # of CHOICES
        if problem.engine.dtype == torch.bfloat16:
            terminal.say(BFLOAT16)
        return problem

    def _loaded(self, checkpoint: Checkpoint | None) -> Problem | None:
        if self.problem is not None:
            from dyntools.problem.loading import load_problem

            terminal.say(f"running the code of {self.problem}")
            return load_problem(self.problem, checkpoint)
        if self.text is None and self.tokens is None:
            return None
        from dyntools.problem.text import text_problem
        from dyntools.problem.tokens import EXAMPLES, Words

        if checkpoint is None:
            raise UsageError("There is no checkpoint of a language model here.")
        examples = EXAMPLES if self.examples is None else self.examples
        words = Words(self.text, self.tokens, self.tokenizer, self.block, examples, self.validation)
        return text_problem(checkpoint.path, words)
