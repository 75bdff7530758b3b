"""Log: what a training run wrote about itself, as curves over steps, and the roles they play.

A curve keeps the name, the steps and the values it has in its file; NaN and infinity stay, for a
divergence is data. A role (training loss, learning rate, …) is given to a curve by one table,
`ALIASES`; whoever knows better overrides it. Nothing here knows a file format; see `logs`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from dyntools.errors import UsageError, nearest

PRINTED = 1e-2  # relative difference that rounding for print may make; chosen, no source
UNITS = ("step", "epoch", "row")  # what `Curve.steps` may count, the most useful first


class Role(StrEnum):
    """What a metric or a finding may ask a log for."""

    train_loss = "train_loss"
    validation_loss = "validation_loss"
    train_accuracy = "train_accuracy"
    validation_accuracy = "validation_accuracy"
    learning_rate = "learning_rate"
    gradient_norm = "gradient_norm"
    tokens = "tokens"
    epoch = "epoch"


@dataclass(frozen=True, eq=False)
class Curve:
    """One logged quantity.

    name: as in the file, such as "train/loss".
    steps: (n,) strictly increasing, n > 0.
    values: (n,) NaN and infinity kept.
    unit: what `steps` counts: "step", "epoch", or "row" where the file has neither.
    wall: (n,) seconds since 1970, NaN where one is missing; None where the file has none.
    source: the file.
    """

    name: str
    steps: NDArray[np.int64]
    values: NDArray[np.float64]
    unit: str
    wall: NDArray[np.float64] | None
    source: str

    def head(self, count: int) -> Curve:
        """The first `count` points."""
        wall = None if self.wall is None else self.wall[:count]
        return replace(self, steps=self.steps[:count], values=self.values[:count], wall=wall)


@dataclass(frozen=True, eq=False)
class Log:
    """The curves of a run, the roles they play, and sentences on what was skipped or chosen."""

    sources: tuple[str, ...]
    formats: tuple[str, ...]
    curves: Mapping[str, Curve]
    roles: Mapping[Role, str]
    notes: tuple[str, ...]

    def curve(self, role: Role) -> Curve | None:
        """The curve that plays this role, if one does."""
        name = self.roles.get(role)
        return None if name is None else self.curves[name]

    @property
    def unit(self) -> str:
        """What the run is counted in: the most useful unit that any of its curves has."""
        present = {curve.unit for curve in self.curves.values()}
        return next((unit for unit in UNITS if unit in present), UNITS[0])

    @property
    def last_step(self) -> int | None:
        """The last step any curve has reached, None in an empty log."""
        ends = [c.steps[-1] for c in self.curves.values() if c.unit == self.unit]
        return int(max(ends)) if ends else None

    def until(self, step: int) -> Log:
        """The history up to and including this step, in the log's own unit.

        A curve in another unit than the log's (validation by epoch beside training by step) cannot
        be placed at a step; it is left out whole, for showing the future is worse than a gap.
        """
        unit = self.unit
        others = [name for name, curve in self.curves.items() if curve.unit != unit]
        counts = {n: int(np.searchsorted(c.steps, step, "right")) for n, c in self.curves.items()}
        curves = {
            name: curve.head(counts[name])
            for name, curve in self.curves.items()
            if curve.unit == unit and counts[name]
        }
        roles = {role: name for role, name in self.roles.items() if name in curves}
        notes = self.notes
        if others:
            notes += (f"not part of a history by {unit}, being in another unit: {listed(others)}",)
        return replace(self, curves=curves, roles=roles, notes=notes)


# Names in `normalised` form, the preferred one first. Sources: Lightning's and Hugging Face's
# loggers, torchtitan, nanoGPT, Keras, fairseq and timm as they write them; the rest is usage.
_OPTIMIZERS = ("adamw", "adam", "sgd", "lion", "muon", "adafactor", "rmsprop", "lamb", "adagrad")
ALIASES: Mapping[Role, tuple[str, ...]] = {
    Role.train_loss: (
        *("train_loss", "train_loss_step", "training_loss", "loss_train", "loss_training"),
        *("loss_metrics_global_avg_loss", "loss", "train_loss_epoch", "epoch_train_loss"),
        *("train_epoch_loss", "epoch_loss", "train_cross_entropy", "train_ce_loss", "train_nll"),
        *("train_total_loss", "total_loss", "lm_loss", "ce_loss", "cross_entropy"),
    ),
    Role.validation_loss: (
        *("val_loss", "validation_loss", "valid_loss", "eval_loss", "dev_loss", "loss_val"),
        *("loss_validation", "loss_valid", "loss_eval", "val_loss_epoch", "epoch_val_loss"),
        *("valid_loss_epoch", "val_epoch_loss", "validation_epoch_loss", "validate_loss"),
        *("validation_metrics_loss", "validation_metrics_global_avg_loss", "validator_loss"),
        *("val_cross_entropy", "val_ce_loss", "val_nll", "heldout_loss", "test_loss", "loss_test"),
    ),
    Role.train_accuracy: (
        *("train_accuracy", "train_acc", "training_accuracy", "accuracy_train", "acc_train"),
        *("train_accuracy_step", "train_acc_step", "accuracy", "acc", "train_accuracy_epoch"),
        *("train_acc_epoch", "train_epoch_accuracy", "epoch_accuracy", "train_top1"),
    ),
    Role.validation_accuracy: (
        *("val_accuracy", "val_acc", "validation_accuracy", "validation_acc", "valid_accuracy"),
        *("valid_acc", "eval_accuracy", "eval_acc", "accuracy_val", "acc_val", "eval_top1"),
        *("val_accuracy_epoch", "val_acc_epoch", "validation_epoch_accuracy", "val_top1"),
        *("test_accuracy", "test_acc", "accuracy_test"),
    ),
    Role.learning_rate: (
        *("learning_rate", "lr", "train_learning_rate", "train_lr", "optim_lr", "lr_pg1"),
        *(f"lr_{name}{group}" for group in ("", "_pg1") for name in _OPTIMIZERS),
        *("lr_group_0", "lr_group0", "lr_pg0", "lr_0", "epoch_learning_rate", "learning_rate_0"),
    ),
    Role.gradient_norm: (
        *("grad_norm", "gradient_norm", "train_grad_norm", "train_gradient_norm", "gradnorm"),
        *("grad_norm_total", "total_grad_norm", "global_grad_norm", "optim_total_grad_norm"),
        *("grad_2_0_norm_total", "grad_norm_step", "grad_norm_epoch", "gnorm"),
    ),
    Role.tokens: (
        *("tokens", "tokens_seen", "n_tokens_seen", "ntokens_seen", "num_tokens_seen"),
        *("num_input_tokens_seen", "train_num_input_tokens_seen", "total_tokens", "num_tokens"),
        *("consumed_tokens", "train_tokens", "train_num_tokens", "throughput_total_tokens"),
    ),
    Role.epoch: ("epoch", "train_epoch", "epochs", "trainer_epoch", "training_epoch"),
}
LAST_RESORTS = frozenset({"test_loss", "loss_test", "test_accuracy", "test_acc", "accuracy_test"})


def normalised(name: str) -> str:
    """`name` as the aliases are written: "lr-AdamW/pg1" and "Gradient norm" lose their dialect."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def assign_roles(
    curves: Mapping[str, Curve], overrides: Mapping[str, str] | None = None
) -> tuple[dict[Role, str], tuple[str, ...]]:
    """Which curve plays each role, and a sentence for each choice that could have gone otherwise.

    The earlier alias wins. Two exceptions: a curve of a single point (Hugging Face's "train_loss",
    the mean over the run) yields to a longer one; two spellings of one alias yield to the longer.
    `overrides` maps a role to the name of a curve and is obeyed.
    """
    chosen = _checked(overrides or {}, curves)
    roles: dict[Role, str] = {}
    notes = []
    for role, aliases in ALIASES.items():
        ranked = _candidates(curves, aliases)
        if role in chosen:
            roles[role] = chosen[role]
        elif ranked:
            roles[role] = ranked[0]
            if len(ranked) > 1:
                notes.append(f"{role} is read from {ranked[0]}; also there: {listed(ranked[1:])}")
            if normalised(ranked[0]) in LAST_RESORTS:
                notes.append(f"{role} is read from {ranked[0]}, for want of a validation curve")
    return roles, tuple(notes)


def with_roles(log: Log, overrides: Mapping[str, str] | None = None) -> Log:
    """`log` with its roles given anew, and the notes on them replaced."""
    stale = assign_roles(log.curves)[1]
    roles, notes = assign_roles(log.curves, overrides)
    kept = (note for note in log.notes if note not in stale)
    return replace(log, roles=roles, notes=tuple(dict.fromkeys((*kept, *notes))))


def merge(logs: Sequence[Log]) -> Log:
    """The files of one run as one log.

    Of curves with the same name the longer is kept, of equals the first. Roles are given anew, so
    overrides belong after this.
    """
    curves: dict[str, Curve] = {}
    dropped: dict[tuple[str, str], list[str]] = {}
    differing: dict[tuple[str, str], list[str]] = {}
    for log in logs:
        for name, curve in log.curves.items():
            first = curves.setdefault(name, curve)
            if first.source == curve.source:
                continue
            curves[name] = kept = max(first, curve, key=_worth)
            other = curve if kept is first else first
            pile = dropped if _agree(kept, other) else differing
            pile.setdefault((kept.source, other.source), []).append(name)
    notes: list[str] = []
    for log in logs:
        stale = assign_roles(log.curves)[1]
        notes += [note for note in log.notes if note not in stale]
    for (kept_in, left_in), names in dropped.items():
        notes.append(f"read from {kept_in} though also in {left_in}: {listed(names)}")
    for (kept_in, left_in), names in differing.items():
        notes.append(
            f"{kept_in} and {left_in} differ, as if of two runs, in {listed(names)}; "
            f"point at one of them to read it alone"
        )
    sources = tuple(dict.fromkeys(source for log in logs for source in log.sources))
    formats = tuple(dict.fromkeys(name for log in logs for name in log.formats))
    return with_roles(Log(sources, formats, curves, {}, tuple(notes)))


def curve_of_points(
    name: str,
    points: tuple[Sequence[int], Sequence[float], Sequence[float]],
    unit: str,
    source: str,
) -> tuple[Curve, int]:
    """Steps, values and wall times in the order they were written → a curve, and how many points
    were replaced by another value at the same step: the last written wins."""
    steps = np.asarray(points[0], dtype=np.int64)
    values = np.asarray(points[1], dtype=np.float64)
    wall = np.asarray(points[2], dtype=np.float64)
    replaced = 0
    if np.any(np.diff(steps) <= 0):
        order = np.argsort(steps, kind="stable")
        steps, values, wall = steps[order], values[order], wall[order]
        last = np.append(np.diff(steps) > 0, True)
        winners = values[last][np.cumsum(last) - last]
        replaced = int(np.sum((values != winners) & ~(np.isnan(values) & np.isnan(winners))))
        steps, values, wall = steps[last], values[last], wall[last]
    timed = not np.all(np.isnan(wall))
    return Curve(name, steps, values, unit, wall if timed else None, source), replaced


def listed(names: Iterable[str], most: int = 4) -> str:
    """Names as one phrase, cut short."""
    names = list(names)
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _checked(overrides: Mapping[str, str], curves: Mapping[str, Curve]) -> dict[Role, str]:
    for role, name in overrides.items():
        if role not in set(Role):
            raise UsageError(f"no such role: {role!r}", remedy=nearest(role, Role))
        if name not in curves:
            remedy = nearest(name, curves) or "a log that has curves"
            raise UsageError(f"no such curve for the role {role}: {name!r}", remedy=remedy)
    return {Role(role): name for role, name in overrides.items()}


def _candidates(curves: Mapping[str, Curve], aliases: tuple[str, ...]) -> list[str]:
    rank = {alias: place for place, alias in enumerate(aliases)}

    def preference(name: str) -> tuple[bool, int, int]:
        length = len(curves[name].steps)
        return length < 2, rank[normalised(name)], -length

    return sorted((name for name in curves if normalised(name) in rank), key=preference)


def _agree(one: Curve, other: Curve) -> bool:
    """Whether two curves share steps, and at these have the same values, up to printing."""
    _, here, there = np.intersect1d(one.steps, other.steps, True, return_indices=True)
    close = np.isclose(one.values[here], other.values[there], PRINTED, 0.0, equal_nan=True)
    return bool(len(here) and np.all(close))


def _worth(curve: Curve) -> tuple[int, int]:
    return -UNITS.index(curve.unit), len(curve.steps)
