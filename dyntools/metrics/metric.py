"""Metric: a named, versioned, pure function from a snapshot to a measurement, with its provenance.

Settings are the keyword arguments of `measure`; their defaults in the signature are the defaults of
the command line (`--metric name:k=10,seed=1`) and of every other door.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dyntools.errors import UsageError, nearest
from dyntools.measurement import Measurement

Setting = bool | int | float | str
NEEDS = (
    *("params", "initial", "previous", "final", "optimizer", "moments", "gradients", "log"),
    *("problem", "validation"),
)


@dataclass(frozen=True)
class Metric:
    """One diagnostic.

    version: raised whenever the same input would give another number; reports of different
        versions are never compared.
    needs: the fields of `Snapshot` that must be there; `moments` may be the optimizer's or an
        estimate, `gradients` those of training or of the problem, `validation` is the problem's.
    uses: fields that it looks at where they are known, for a companion or under some settings; a
        recorder keeps them.
    dims: names of the axes of the values; `()` is one number a step.
    layerwise: each tensor is measured for itself, so a snapshot may be handed over one tensor at
        a time; this bounds memory by the largest tensor.
    products: whether it takes products with the Hessian or its kin, for which the model's second
        derivative is tested before anything is written.
    choices, least, most: of a setting, the words it may be, or the smallest or largest number.
    """

    name: str
    group: str
    version: int
    measure: Callable[..., Measurement]
    needs: tuple[str, ...]
    dims: tuple[str, ...]
    unit: str
    what: str
    paper: str
    cost: str
    uses: tuple[str, ...] = ()
    layerwise: bool = False
    products: bool = False
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    least: Mapping[str, float] = field(default_factory=dict)
    most: Mapping[str, float] = field(default_factory=dict)

    @property
    def defaults(self) -> dict[str, Setting]:
        """The settings and their defaults, read from the signature of `measure`."""
        parameters = inspect.signature(self.measure).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    def settings(self, given: Mapping[str, str | Setting]) -> dict[str, Setting]:
        """The defaults with `given` laid over them, each converted to the type of its default.

        Raises UsageError for an unknown setting, a value of the wrong type, or one out of range.
        """
        settings = self.defaults
        for key, value in given.items():
            if key not in settings:
                known = nearest(key, settings) or "none: this metric has no settings"
                raise UsageError(
                    f"The metric {self.name} has no setting {key!r}.", remedy=f"settings: {known}"
                )
            settings[key] = _convert(self.name, key, value, settings[key])
            if key in self.choices and settings[key] not in self.choices[key]:
                raise UsageError(
                    f"The setting {key} of {self.name} cannot be {settings[key]!r}.",
                    remedy=f"{key}: " + ", ".join(self.choices[key]),
                )
            self._check_range(key, settings[key])
        return settings

    def _check_range(self, key: str, value: Setting) -> None:
        if isinstance(value, str):
            return
        remedy = f"--metric {self.name}:{key}={self.defaults[key]}"
        if not math.isfinite(value):
            raise UsageError(
                f"The setting {key} of {self.name} must be finite.",
                found=repr(value),
                remedy=remedy,
            )
        if key in self.least and value < self.least[key]:
            raise UsageError(
                f"The setting {key} of {self.name} must be at least {self.least[key]:g}.",
                found=repr(value),
                remedy=remedy,
            )
        if key in self.most and value > self.most[key]:
            raise UsageError(
                f"The setting {key} of {self.name} must be at most {self.most[key]:g}.",
                found=repr(value),
                remedy=remedy,
            )


def _convert(metric: str, key: str, value: str | Setting, default: Setting) -> Setting:
    kind = type(default)
    if kind is bool and isinstance(value, str):
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if value.lower() in words:
            return words[value.lower()]
    elif kind is not bool:
        try:
            return kind(value)
        except (ValueError, OverflowError):
            pass
    elif isinstance(value, bool):
        return value
    raise UsageError(
        f"The setting {key} of {metric} must be {_article(kind)}.",
        found=repr(value),
        remedy=f"--metric {metric}:{key}={default}",
    )


def _article(kind: type) -> str:
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
    return words[kind]
