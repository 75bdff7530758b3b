"""Laws of curves, roles, histories and merging."""

import numpy as np
import pytest

from dyntools.errors import UsageError
from dyntools.log import (
    ALIASES,
    Curve,
    Log,
    Role,
    assign_roles,
    curve_of_points,
    merge,
    normalised,
    with_roles,
)


def curve(name, steps=(1, 2, 3), values=None, unit="step", source="a"):
    steps = np.array(steps, dtype=np.int64)
    numbers = steps / 10 if values is None else np.array(values, dtype=np.float64)
    return Curve(name, steps, numbers, unit, None, source)


def log(*curves, notes=()):
    named = {c.name: c for c in curves}
    sources = tuple(dict.fromkeys(c.source for c in curves))
    return Log(sources, ("test",), named, assign_roles(named)[0], tuple(notes))


def same(one, other):
    def plain(log):
        curves = {
            n: (c.steps.tolist(), c.values.tolist(), c.unit, c.source)
            for n, c in log.curves.items()
        }
        return curves, log.roles, log.notes, log.sources, log.formats

    return plain(one) == plain(other)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("train/loss", "train_loss"),
        ("loss", "train_loss"),
        ("Loss/train", "train_loss"),
        ("loss_metrics/global_avg_loss", "train_loss"),
        ("train_loss_step", "train_loss"),
        ("val/loss", "validation_loss"),
        ("eval_loss", "validation_loss"),
        ("validation/epoch_loss", "validation_loss"),
        ("validation_metrics/loss", "validation_loss"),
        ("train.accuracy", "train_accuracy"),
        ("val_acc", "validation_accuracy"),
        ("lr-AdamW", "learning_rate"),
        ("lr-AdamW/pg1", "learning_rate"),
        ("train/learning_rate", "learning_rate"),
        ("Gradient norm", "gradient_norm"),
        ("grad_norm/total", "gradient_norm"),
        ("grad_2.0_norm_total", "gradient_norm"),
        ("num_input_tokens_seen", "tokens"),
        ("ntokens_seen", "tokens"),
        ("epoch", "epoch"),
    ],
)
def test_names_as_the_libraries_write_them(name, role):
    roles, notes = assign_roles({name: curve(name)})
    assert (roles, notes) == ({Role(role): name}, ())


def test_every_alias_is_normalised_and_has_one_role():
    names = [alias for aliases in ALIASES.values() for alias in aliases]
    assert len(names) == len(set(names))
    assert all(normalised(name) == name for name in names)
    assert set(ALIASES) == set(Role)


def test_the_earlier_alias_wins_and_the_others_are_named():
    roles, notes = assign_roles({name: curve(name) for name in ("loss", "train_loss", "val_loss")})
    assert roles[Role.train_loss] == "train_loss"
    assert notes == ("train_loss is read from train_loss; also there: loss",)


def test_a_single_point_yields_to_a_curve():
    roles, _ = assign_roles({"train_loss": curve("train_loss", [9]), "loss": curve("loss")})
    assert roles[Role.train_loss] == "loss"


def test_of_two_spellings_the_longer_curve_wins():
    roles, _ = assign_roles(
        {"train_loss": curve("train_loss", [1, 2]), "train/loss": curve("train/loss")}
    )
    assert roles[Role.train_loss] == "train/loss"


def test_a_test_loss_is_a_last_resort_with_a_note():
    roles, notes = assign_roles({"test_loss": curve("test_loss")})
    assert roles == {Role.validation_loss: "test_loss"}
    assert "for want of a validation curve" in notes[0]


def test_overrides_are_obeyed_and_replace_the_note():
    merged = merge([log(curve("loss"), curve("train_loss"), curve("mine"))])
    assert "also there" in merged.notes[0]
    chosen = with_roles(merged, {"train_loss": "mine"})
    assert chosen.roles[Role.train_loss] == "mine"
    assert chosen.notes == ()


@pytest.mark.parametrize(
    ("overrides", "nearest"),
    [({"trian_loss": "loss"}, "train_loss"), ({"train_loss": "lost"}, "loss")],
)
def test_unknown_names_list_the_nearest(overrides, nearest):
    with pytest.raises(UsageError) as error:
        assign_roles({"loss": curve("loss"), "accuracy": curve("accuracy")}, overrides)
    assert error.value.remedy.startswith(nearest)


@pytest.mark.parametrize("step", [-1, 0, 1, 2, 5, 6, 100])
def test_a_history_never_sees_later_points(step):
    whole = log(curve("loss", range(0, 10, 2)), curve("val_loss", [5]), curve("lr", [1, 6]))
    seen = whole.until(step)
    assert all(c.steps[-1] <= step for c in seen.curves.values())
    for name, full in whole.curves.items():
        expected = full.steps[full.steps <= step].tolist()
        found = seen.curves[name].steps.tolist() if name in seen.curves else []
        assert found == expected
    assert set(seen.roles.values()) <= set(seen.curves)
    assert same(seen.until(step), seen)
    assert same(whole.until(100), whole)


def test_what_counts_epochs_is_no_part_of_a_history_by_step():
    whole = log(curve("loss", [10, 20]), curve("val_loss", [1, 2], unit="epoch"))
    seen = whole.until(15)
    assert list(seen.curves) == ["loss"]
    assert seen.curve(Role.validation_loss) is None
    assert "val_loss" in seen.notes[0]
    assert whole.last_step == 20


def test_a_log_by_epoch_is_cut_by_epoch():
    assert log(curve("val_loss", [1, 2], unit="epoch")).until(1).last_step == 1


def test_an_empty_log_has_no_last_step():
    assert log().last_step is None
    assert merge([]).last_step is None


def test_the_last_written_wins_and_changes_are_counted():
    nan = float("nan")
    points = ([3, 1, 3, 2, 1, 2], [1.0, 5.0, 2.0, nan, 5.0, nan], [0.0] * 6)
    found, replaced = curve_of_points("x", points, "step", "f")
    assert found.steps.tolist() == [1, 2, 3]
    assert str(found.values.tolist()) == "[5.0, nan, 2.0]"
    assert replaced == 1


def test_merging_keeps_the_longer_and_says_so():
    short, long = curve("loss", [1, 2], source="a"), curve("loss", [1, 2, 3], source="b")
    merged = merge([log(short), log(long, curve("lr", source="b"))])
    assert merged.curves["loss"].source == "b"
    assert merged.sources == ("a", "b")
    assert merged.notes == ("read from b though also in a: loss",)


def test_steps_are_worth_more_than_epochs():
    steps, epochs = curve("loss", [1], source="a"), curve("loss", unit="epoch", source="b")
    assert merge([log(epochs), log(steps)]).curves["loss"].unit == "step"


def test_files_that_differ_are_suspected_of_being_two_runs():
    one, other = curve("loss", source="a"), curve("loss", values=[9, 9, 9], source="b")
    assert "as if of two runs" in merge([log(one), log(other)]).notes[0]


@pytest.mark.parametrize("twice", [False, True])
def test_merging_is_idempotent(twice):
    parts = [
        log(curve("loss"), curve("train_loss"), notes=["torn"]),
        log(curve("loss", [1], source="b"), curve("lr", source="b")),
    ]
    merged = merge(parts)
    assert same(merge([merged, merged] if twice else [merged]), merged)
    assert same(merge([parts[0], parts[0]]), merge([parts[0]]))
