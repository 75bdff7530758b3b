"""Collapse of features that are drawn by hand, against NumPy and the known population."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dyntools.activations import class_features
from dyntools.activations.collapse import collapse_of, groups_of
from dyntools.live import snapshot_of
from dyntools.measurement import Measurement
from dyntools.measuring import measure
from dyntools.metrics import find
from dyntools.problem import Problem
from tests.metrics.activations.probes import FLOAT64, classified, through

COLLAPSE = find("neural_collapse")
Loss = Callable[[Tensor, Tensor], Tensor]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def head(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], len(weight)).double()
    layer.weight.data = weight.clone()
    layer.bias.data = torch.zeros(len(weight)).double() if bias is None else bias
    return layer


def plain(z: Tensor, labels: Tensor) -> Tensor:
    return cross_entropy(z.flatten(0, -2), labels.flatten())


def measured(
    model: nn.Module, h: Tensor, labels: Tensor, loss: Loss = plain, cut: int = 16
) -> Measurement:
    """Of a model whose inputs are the features."""
    batches = list(zip(h.split(cut), labels.split(cut), strict=True))
    problem = Problem(model, batches, lambda z, batch: loss(z, batch[1]), engine=FLOAT64)
    return measure(snapshot_of(model, 0, problem=problem), COLLAPSE)


def beside(found: Measurement) -> dict[str, float]:
    return {name: float(array) for name, array in found.beside.items()}


def simplex(classes: int, width: int) -> Tensor:
    """Its vertices (C, d), turned at random."""
    corners = torch.eye(classes).double() - 1 / classes
    turn = torch.linalg.qr(normal(width, width)).Q
    return torch.nn.functional.pad(corners, (0, width - classes)) @ turn


def test_a_simplex_with_its_own_classifier_has_collapsed() -> None:
    means, labels = simplex(5, 8), torch.arange(40) % 5
    h = 3.0 * means[labels] + normal(8, seed=1)
    found = measured(head(7.0 * means, -7.0 * means @ normal(8, seed=1)), h, labels)
    told = beside(found)
    assert float(found.values) == pytest.approx(0.0, abs=1e-25)
    for name in ("nc2_norms", "nc2_angles", "classifier_norms", "classifier_angles", "nc3", "nc4"):
        assert told[name] == pytest.approx(0.0, abs=1e-12), name
    assert (told["rank"], told["classes"], told["smallest_class"]) == (4, 5, 8)
    assert (told["features"], told["accuracy"]) == (8, 1.0)
    assert "40 of 40 places" in found.method


def reference(h: NDArray, y: NDArray, w: NDArray, said: NDArray) -> dict[str, float]:
    """The definitions word by word, with equal weight of classes."""
    classes = len(w)
    means = np.stack([h[y == c].mean(0) for c in range(classes)])
    m = means - means.mean(0)
    within = np.mean([np.cov(h[y == c].T, bias=True) for c in range(classes)], axis=0)
    between = np.mean([np.outer(row, row) for row in m], axis=0)
    nearest = np.argmin(((h[:, None] - means) ** 2).sum(-1), 1)
    told = {
        "nc1": np.trace(within @ np.linalg.pinv(between, rcond=1e-10)) / classes,
        "nc3": np.linalg.norm(w / np.linalg.norm(w) - m / np.linalg.norm(m)) ** 2,
        "nc4": np.mean(nearest != said),
    }
    for name, rows in (("nc2", m), ("classifier", w)):
        norms = np.linalg.norm(rows, axis=1)
        pairs = [(i, j) for i in range(classes) for j in range(classes) if i != j]
        cosines = [rows[i] @ rows[j] / norms[i] / norms[j] for i, j in pairs]
        told[f"{name}_norms"] = norms.std() / norms.mean()
        told[f"{name}_angles"] = np.mean(np.abs(np.array(cosines) + 1 / (classes - 1)))
    return told


@pytest.mark.parametrize(("classes", "width"), [(4, 7), (6, 3)])
def test_against_numpy_with_classes_of_different_size(classes: int, width: int) -> None:
    labels = torch.tensor([c for c in range(classes) for _ in range(5 + 6 * c)])
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(2))]
    h = normal(len(labels), width) + 2 * normal(classes, width, seed=1)[labels] + 1.0
    layer = head(normal(classes, width, seed=3), normal(classes, seed=4))
    found = measured(layer, h, labels)
    said = layer(h).argmax(1).numpy()
    expected = reference(h.numpy(), labels.numpy(), layer.weight.detach().numpy(), said)
    told = {"nc1": float(found.values), **beside(found)}
    for name, value in expected.items():
        assert told[name] == pytest.approx(value, rel=1e-9), name
    assert told["accuracy"] == np.mean(said == labels.numpy())
    assert told["rank"] == min(classes - 1, width)
    assert ("too few features" in found.method) == (classes > width)


def test_turning_and_scaling_the_features_changes_nothing() -> None:
    labels = torch.arange(60) % 4
    h = normal(60, 6) + 2 * normal(4, 6, seed=1)[labels]
    weight, turn = normal(4, 6, seed=2), torch.linalg.qr(normal(6, 6, seed=3)).Q
    one = measured(head(weight), h, labels)
    other = measured(head(5.0 * weight @ turn), 0.01 * h @ turn, labels)
    assert one.error is not None
    assert other.error is not None
    assert float(other.values) == pytest.approx(float(one.values), rel=1e-9)
    assert float(other.error) == pytest.approx(float(one.error), rel=1e-7)
    for name, value in beside(one).items():
        assert beside(other)[name] == pytest.approx(value, rel=1e-8), name


def test_nearest_mean_and_classifier_differ_where_a_bias_says_so() -> None:
    """Means at -1 and 1; the logits part at 1.45, so three of eight places lie in between."""
    x = torch.tensor([-1.5, -0.5, -1.5, -0.5, 0.5, 0.5, 1.4, 1.6]).double()[:, None]
    layer = head(torch.tensor([[-1.0], [1.0]]).double(), torch.tensor([1.45, -1.45]).double())
    found = measured(layer, x, torch.arange(8) // 4)
    assert beside(found)["nc4"] == 3 / 8
    assert beside(found)["accuracy"] == 5 / 8


@pytest.mark.parametrize(("width", "size", "scale"), [(64, 30, 1.0), (64, 6, 1.0), (200, 30, 3.0)])
def test_corrected_is_that_of_the_population_and_the_error_its_spread(
    width: int, size: int, scale: float
) -> None:
    """NC1 itself is too small by far more than its error."""
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), size)
    groups = groups_of(labels, np.arange(len(labels)), len(labels))
    means = generator.standard_normal((10, width))
    spread = scale * np.linspace(0.3, 1.5, width)
    centred = means - means.mean(0)
    within = np.diag(spread**2)
    population = np.trace(within @ np.linalg.pinv(centred.T @ centred / 10, rcond=1e-10)) / 10
    drawn = []
    for _ in range(25):
        h = means[labels] + spread * generator.standard_normal((len(labels), width))
        found = collapse_of(h, labels, labels, means, groups, 1e-15)
        assert found is not None
        drawn.append((found.nc1, found.corrected, found.error))
    nc1, corrected, error = np.array(drawn).T
    assert nc1.mean() < population - 2 * nc1.std()
    assert corrected.mean() == pytest.approx(population, rel=0.1)
    assert abs(corrected.mean() - population) < 0.25 * abs(nc1.mean() - population)
    assert 0.7 < error.mean() / nc1.std() < 1.6


def test_two_errors_of_few_examples_cover_less_than_they_should() -> None:
    """The numbers of the page: 4 classes of 16 examples; Student's t of 8 groups says 91 %."""
    generator, draws = np.random.default_rng(0), 200
    means, labels = generator.standard_normal((4, 8)), np.arange(64) % 4
    groups = groups_of(labels, np.arange(64), 64)
    centred = means - means.mean(0)
    population = np.trace(np.linalg.pinv(centred.T @ centred / 4, rcond=1e-10)) / 4
    covered = np.zeros(2)
    for _ in range(draws):
        h = means[labels] + generator.standard_normal((64, 8))
        found = collapse_of(h, labels, labels, means, groups, 1e-15)
        assert found is not None
        covered += np.abs(np.array([found.nc1, found.corrected]) - population) < 2 * found.error
    value, corrected = covered / draws

    assert 0.72 < value < 0.88
    assert 0.78 < corrected < 0.91


@pytest.mark.parametrize(("classes", "width", "size"), [(10, 1000, 30), (4, 1500, 50)])
def test_labels_that_mean_nothing_give_the_null(classes: int, width: int, size: int) -> None:
    """Means of n of d ≫ C features have the Gram matrix d/n: NC1 is (C-1)(n-1)/d."""
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), size)
    groups = groups_of(labels, np.arange(len(labels)), len(labels))
    h = generator.standard_normal((len(labels), width))
    weight = np.eye(classes, width)
    found = collapse_of(h, labels, labels, weight, groups, 1e-15)
    apart = collapse_of(h + 30 * weight[labels], labels, labels, weight, groups, 1e-15)
    assert found is not None
    assert apart is not None
    expected = (classes - 1) * (size - 1) / width
    assert found.nc1 == pytest.approx(expected, rel=0.08)
    assert found.null == pytest.approx(expected, rel=0.08)
    assert apart.nc1 < 0.2 * apart.null


class Heads(nn.Module):
    """A classifier, and another head that runs after it."""

    def __init__(self, soft: bool = False) -> None:
        super().__init__()
        self.body, self.one = nn.Linear(5, 5).double(), nn.Linear(5, 3).double()
        self.value, self.soft = nn.Linear(5, 1).double(), soft

    def forward(self, x: Tensor) -> Tensor:
        z = self.one(torch.tanh(self.body(x)))
        self.value(x)
        return torch.tanh(z) if self.soft else z


@pytest.mark.parametrize("soft", [False, True])
def test_the_layer_that_puts_out_the_logits_is_found(soft: bool) -> None:
    torch.manual_seed(0)
    model, x, labels = Heads(soft), normal(30, 5), torch.arange(30) % 3
    found = measured(model, x, labels)
    assert "enters one," in found.method
    assert ("a function of" in found.method) == soft
    with torch.no_grad():
        h = torch.tanh(model.body(x))
    said = model(x).argmax(1).numpy()
    expected = reference(h.numpy(), labels.numpy(), model.one.weight.detach().numpy(), said)
    assert float(found.values) == pytest.approx(expected["nc1"], rel=1e-9)


def test_a_bias_may_be_added_behind_the_product() -> None:
    class Added(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.bias = nn.Parameter(normal(5, 3)), nn.Parameter(normal(3, seed=1))

        def forward(self, x: Tensor) -> Tensor:
            return x @ self.weight + 9 * self.bias

    h, labels = normal(30, 5), torch.arange(30) % 3
    model = Added()
    found = measured(model, h, labels)
    whole = measured(head(model.weight.detach().T.clone(), 9 * model.bias.detach()), h, labels)
    assert "a function of" in found.method
    for name, value in beside(whole).items():
        assert beside(found)[name] == pytest.approx(value, rel=1e-9), name


class Decoy(nn.Module):
    """A hidden layer as wide as the logits, which a convolution puts out."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.last = nn.Linear(5, 3).double(), nn.Conv1d(3, 3, 1).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.body(x)[..., None])[..., 0]


class PositionsFirst(nn.Module):
    """The rows of its classifier are not in the order of the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(5, 3).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(x[:, None].repeat(1, 15, 1).transpose(0, 1).contiguous()).transpose(0, 1)


def test_a_layer_of_the_same_width_is_not_taken_for_the_classifier() -> None:
    torch.manual_seed(0)
    labels = torch.arange(30) % 3
    found = measured(Decoy(), normal(30, 5), labels)
    assert found.skipped[""] == "no linear layer puts out the logits"
    found = measured(
        PositionsFirst(), normal(30, 5), labels[:, None].expand(30, 15).clone(), cut=15
    )
    assert found.skipped[""] == "no linear layer puts out the logits"


def test_places_that_count_and_a_tied_classifier() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(4, 6).double()

        def forward(self, x: Tensor) -> Tensor:
            return x @ self.table.weight.T

    torch.manual_seed(1)
    model, h = Tied(), normal(24, 5, 6)
    labels = torch.arange(120).reshape(24, 5) % 4
    labels[:, 1] = -100
    found = measured(model, h, labels, cut=10)
    rows, y = h[labels >= 0].numpy(), labels[labels >= 0].numpy()
    weight = model.table.weight.detach().numpy()
    expected = reference(rows, y, weight, np.argmax(rows @ weight.T, 1))
    assert "96 of 96 places" in found.method
    assert float(found.values) == pytest.approx(expected["nc1"], rel=1e-9)
    assert beside(found)["nc3"] == pytest.approx(expected["nc3"], rel=1e-9)


def test_of_many_places_an_even_selection_that_no_order_of_labels_is_in_step_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels = torch.arange(4000) % 4
    h = normal(4000, 3) + 2 * normal(4, 3, seed=1)[labels]
    layer = head(normal(4, 3, seed=2))
    whole = measured(layer, h, labels, cut=700)
    monkeypatch.setattr(class_features, "BYTES", 1000 * 3 * 8)
    part = measured(layer, h, labels, cut=700)
    kept = int(part.method.split(", ")[1].split()[0])
    assert kept == pytest.approx(1000, abs=5)
    assert 240 <= beside(part)["smallest_class"] <= 250
    assert float(part.values) == pytest.approx(float(whole.values), rel=0.15)


def test_rows_of_one_example_are_left_out_together() -> None:
    numbers, labels = np.repeat(np.arange(16), 3), np.arange(48) % 5
    together = groups_of(labels, numbers, 16).reshape(16, 3)
    assert (together == together[:, :1]).all()
    assert (np.bincount(together[:, 0]) == 2).all()
    alone = groups_of(labels, np.arange(48), 48)
    counts = [np.bincount(alone[labels == c], minlength=8) for c in range(5)]
    assert all(each.max() - each.min() <= 1 for each in counts)


def test_a_class_with_one_example_is_counted() -> None:
    labels = torch.cat([torch.arange(16) % 4, torch.tensor([4])])
    found = measured(head(normal(6, 3)), normal(17, 3), labels)
    assert found.skipped[""] == "of 6 classes 2 have fewer than two examples"


def test_of_two_examples_a_class_there_is_a_value_without_error() -> None:
    found = measured(head(normal(3, 4)), normal(6, 4), torch.arange(6) % 3)
    assert found.error is not None
    assert np.isfinite(found.values)
    assert np.isnan(found.error)
    assert np.isnan(beside(found)["corrected"])


def test_what_has_no_collapse_says_why() -> None:
    labels = torch.arange(20) % 4
    equal = measured(head(normal(4, 3)), torch.ones(20, 3).double(), labels)
    assert equal.skipped[""] == "the class means are all equal"
    none = measure(classified(normal(20, 4), labels, 7), COLLAPSE)
    assert none.skipped[""] == "no linear layer puts out the logits"
    other = measure(through(nn.Linear(3, 3).double(), [normal(6, 3)]), COLLAPSE)
    assert "cross-entropy" in other.skipped[""]

    def smooth(z: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(z, y, label_smoothing=0.1)

    smoothed = measured(head(normal(4, 3)), normal(20, 3), labels, smooth)
    assert "label smoothing" in smoothed.skipped[""]
