"""gradient_conflict: groups that agree, that oppose each other, and that only seem to."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from dyntools.errors import ProblemError
from dyntools.measuring import measure
from dyntools.metrics.gradients.gradient_conflict import classes
from dyntools.problem import Problem
from tests.metrics.gradients.known_noise import springs
from tests.problems import EXACT, Array, snapshot_of


def labelled(points: Array, labels: Array, at: Array) -> Problem:
    one = springs(points, at)
    batch = (one.batches[0], torch.from_numpy(labels.astype(np.int64)))  # type: ignore[index]
    return Problem(one.model, [batch], one.loss, engine=EXACT)


def test_opposite_classes_are_in_conflict_and_random_groups_are_not() -> None:
    generator, labels = np.random.default_rng(0), np.arange(120) % 3
    centres = np.array([[2.0, 0.0], [-2.0, 0.1], [0.0, 0.5]])
    snapshot = snapshot_of(
        labelled(centres[labels] + 0.1 * generator.normal(size=(120, 2)), labels, np.zeros(2))
    )
    found = measure(snapshot, "gradient_conflict", by="class")
    assert found.coords["group"] == ("class 0", "class 1", "class 2")
    exact = []
    for i in range(3):
        rest = np.delete(centres, i, 0).mean(0)
        exact.append(centres[i] @ rest / np.linalg.norm(centres[i]) / np.linalg.norm(rest))
    np.testing.assert_allclose(found.values, exact, atol=0.05)
    assert found.beside["least"][0] == pytest.approx(-1.0, abs=0.01)
    np.testing.assert_allclose(found.beside["norm"], np.linalg.norm(centres, axis=1), rtol=0.05)
    assert found.values[0] < found.beside["null"][0] - 3 * found.beside["spread"][0]


def test_random_groups_lie_about_their_null() -> None:
    """Mean and spread of the cosine of a group with the rest, over data sets of one kind."""
    pulls = []
    for seed in range(8):
        points = np.random.default_rng(seed).normal(size=(160, 12)) + 0.6
        found = measure(snapshot_of(springs(points, np.zeros(12))), "gradient_conflict")
        assert found.values.shape == (16,)
        pulls += ((found.values - found.beside["null"]) / found.beside["spread"]).tolist()
    assert abs(np.mean(pulls)) < 0.5
    assert 0.6 < np.std(pulls) < 1.6


def test_classes_without_a_row_still_belong_to_all_others() -> None:
    """The cosine with the mean of every other example, by hand; the rows of more classes alike."""
    labels = np.repeat([0, 1, 2, 3], [40, 30, 20, 10])
    centres = np.array([[2.0, 0.0], [1.0, 0.3], [-3.0, 0.5], [-6.0, 2.0]])
    here = centres[labels] + 0.1 * np.random.default_rng(3).normal(size=(100, 2))
    snapshot = snapshot_of(labelled(here, labels, np.zeros(2)))
    found = measure(snapshot, "gradient_conflict", by="class", most=2)
    assert found.coords["group"] == ("class 0", "class 1")
    for i in range(2):
        own, rest = here[labels == i].mean(0), here[labels != i].mean(0)
        cosine = own @ rest / np.linalg.norm(own) / np.linalg.norm(rest)
        assert found.values[i] == pytest.approx(cosine, rel=1e-9)
    assert found.beside["least"][0] > 0.9  # with class 1, the only other row
    assert "30 examples of smaller classes" in found.method
    every = measure(snapshot, "gradient_conflict", by="class")
    np.testing.assert_allclose(found.values, every.values[:2], rtol=1e-12)
    assert "smaller" not in every.method


def test_the_largest_classes_are_taken_and_ignored_labels_are_none() -> None:
    labels = np.array([5, 5, 5, 2, 2, 9, -1])
    risk = snapshot_of(
        labelled(np.random.default_rng(1).normal(size=(7, 2)), labels, np.ones(2))
    ).risk()
    kept, others = classes(risk, 2)
    assert {k: v.tolist() for k, v in kept.items()} == {2: [3, 4], 5: [0, 1, 2]}
    assert others.tolist() == [5]


def test_labels_are_where_problems_look_for_them() -> None:
    """In a dictionary by their name, whatever tensor comes last; a triple does not tell."""
    x, labels = torch.ones(5, 2, dtype=torch.float64), torch.tensor([1, 0, 1, 0, 0])
    model = torch.nn.Linear(2, 2).double()
    named = {"labels": labels, "x": x, "length": torch.arange(5)}
    told = Problem(
        model,
        [named],
        lambda z, batch: cross_entropy(z, batch["labels"]),
        forward=lambda model, batch: model(batch["x"]),
        weight=lambda batch: len(batch["x"]),
        engine=EXACT,
    )
    found, others = classes(snapshot_of(told).risk(), 2)
    assert {k: v.tolist() for k, v in found.items()} == {0: [1, 3, 4], 1: [0, 2]}
    assert not len(others)
    triple = (x, labels, torch.arange(5))
    untold = Problem(model, [triple], lambda z, b: cross_entropy(z, b[1]), engine=EXACT)
    with pytest.raises(ProblemError, match="no classes") as caught:
        classes(snapshot_of(untold).risk(), 2)
    assert "by=batch" in str(caught.value.remedy)


def test_examples_without_classes_are_refused_in_words() -> None:
    snapshot = snapshot_of(springs(np.random.default_rng(2).normal(size=(6, 2)), np.ones(2)))
    with pytest.raises(ProblemError, match="no classes"):
        classes(snapshot.risk(), 4)
    found = measure(snapshot, "gradient_conflict", by="class")
    assert found.values.shape == (0,)
    assert "no classes" in found.skipped[""]
