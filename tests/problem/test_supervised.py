"""Classification and regression against NumPy in float64; what is refused rather than guessed."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import huber_loss

from dyntools.errors import ProblemError
from dyntools.problem import Problem
from tests.problem.networks import risk_at

Array = NDArray[np.float64]
EXAMPLES, WIDTH, CLASSES, CUT = 13, 4, 3, 5
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(EXAMPLES, WIDTH, generator=GENERATOR)
LABELS = torch.randint(CLASSES, (EXAMPLES,), generator=GENERATOR)


def linear(outputs: int) -> nn.Linear:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Linear(WIDTH, outputs)


def cut(*tensors: Tensor) -> list[Any]:
    return list(zip(*(t.split(CUT) for t in tensors), strict=True))


def loss(problem: Problem) -> float:
    """The risk over all batches, with the guards, which cut and pool the batches anew."""
    return risk_at(replace(problem, model=deepcopy(problem.model))).loss()


def outputs(model: nn.Linear) -> Array:
    with torch.no_grad():
        return (X.double() @ model.weight.double().T + model.bias.double()).numpy()


def cross_entropies(z: Array, q: Array) -> Array:
    """-Σ q log softmax(z) of every row."""
    shifted = z - z.max(1, keepdims=True)
    return -(q * (shifted - np.log(np.exp(shifted).sum(1, keepdims=True)))).sum(1)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("ignored", [-100, 255])
def test_classification_is_the_mean_over_counted_labels(smoothing: float, ignored: int) -> None:
    labels, model = LABELS.clone(), linear(CLASSES)
    labels[[0, 1, 2, 7]] = ignored  # three of one batch, one of another: means must be weighted
    problem = Problem.classification(
        model, cut(X, labels), label_smoothing=smoothing, ignore_index=ignored
    )
    counted = (labels != ignored).numpy()
    q = np.eye(CLASSES)[LABELS.numpy()] * (1 - smoothing) + smoothing / CLASSES
    expected = cross_entropies(outputs(model), q)[counted].mean()
    assert loss(problem) == pytest.approx(expected, rel=1e-6)
    assert sum(problem.terms(batch) for batch in problem.batches) == counted.sum()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
def test_labels_of_any_whole_number(dtype: torch.dtype) -> None:
    model = linear(CLASSES)
    narrow = Problem.classification(model, cut(X, LABELS.to(dtype)))
    assert loss(narrow) == loss(Problem.classification(model, cut(X, LABELS)))


def test_labels_may_be_probabilities() -> None:
    model, q = linear(CLASSES), torch.rand(EXAMPLES, CLASSES, generator=GENERATOR)
    q = q / q.sum(1, keepdim=True)
    expected = cross_entropies(outputs(model), q.double().numpy()).mean()
    assert loss(Problem.classification(model, cut(X, q))) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("shape", [(EXAMPLES,), (EXAMPLES, 1)])
@pytest.mark.parametrize("dtype", [torch.int64, torch.float32, torch.bool])
def test_one_output_is_the_logit_of_label_1(
    smoothing: float, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    """Softmax over one output would be 0 whatever the weights; beside a 0 it is the sigmoid."""
    model, y = linear(1), (LABELS > 0).to(dtype).view(shape)
    problem = Problem.classification(model, cut(X, y), label_smoothing=smoothing)
    z = np.concatenate([np.zeros((EXAMPLES, 1)), outputs(model)], 1)
    q = np.eye(2)[(LABELS > 0).long().numpy()] * (1 - smoothing) + smoothing / 2
    assert loss(problem) == pytest.approx(cross_entropies(z, q).mean(), rel=1e-6)


def test_one_output_with_labels_that_do_not_count() -> None:
    model, y = linear(1), (LABELS > 0).long()
    y[:4] = -100
    z = np.concatenate([np.zeros((EXAMPLES, 1)), outputs(model)], 1)
    q = np.eye(2)[(LABELS > 0).long().numpy()]
    found = loss(Problem.classification(model, cut(X, y)))
    assert found == pytest.approx(cross_entropies(z, q)[4:].mean(), rel=1e-6)


def test_pixels_are_classified_one_by_one() -> None:
    images = torch.randn(4, 1, 3, 3, generator=GENERATOR)
    labels = torch.randint(2, (4, 3, 3), generator=GENERATOR)
    labels[0, 0] = -100
    model = nn.Conv2d(1, 2, 1)
    problem = Problem.classification(model, [(images, labels)])
    assert problem.terms((images, labels)) == 33
    with torch.no_grad():
        z = model(images).double().permute(0, 2, 3, 1).reshape(-1, 2).numpy()
    flat = labels.flatten().numpy()
    q = np.eye(2)[np.maximum(flat, 0)]
    expected = cross_entropies(z, q)[flat >= 0].mean()
    assert loss(problem) == pytest.approx(expected, rel=1e-6)


@dataclass
class ModelOutput:
    """As Transformers return it."""

    logits: Tensor


class Wrapped(nn.Module):
    def __init__(self, form: str) -> None:
        super().__init__()
        self.form, self.inner = form, linear(CLASSES)

    def forward(self, x: Tensor) -> Any:
        z = self.inner(x)
        made = {
            "tuple": (z, x),
            "logits": {"hidden": x, "logits": z},
            "out": {"out": z, "aux": x},
            "object": ModelOutput(z),
        }
        return made.get(self.form, {"hidden": x})


@pytest.mark.parametrize("form", ["tuple", "logits", "out", "object"])
@pytest.mark.parametrize("named", [False, True])
def test_outputs_in_the_usual_wrappings(form: str, named: bool) -> None:
    batches: list[Any] = cut(X, LABELS)
    if named:
        batches = [{"labels": y, "x": x, "idx": y} for x, y in batches]  # idx: no argument
    expected = loss(Problem.classification(linear(CLASSES), cut(X, LABELS)))
    assert loss(Problem.classification(Wrapped(form), batches)) == expected


def test_what_is_told_by_hand() -> None:
    problem = Problem.classification(
        Wrapped("nothing"),
        cut(X, LABELS, torch.arange(EXAMPLES)),
        targets=lambda batch: batch[1],
        forward=lambda model, batch: model.inner(batch[0]),
    )
    expected = loss(Problem.classification(linear(CLASSES), cut(X, LABELS)))
    assert loss(problem) == expected


@pytest.mark.parametrize(
    ("labels", "sentence", "found"),
    [
        (LABELS - 1, "counted from 0", "a label -1"),
        (torch.full_like(LABELS, -100), "Every label", "-100"),
        (LABELS.float(), "class probabilities", "to 2"),
        (torch.ones(EXAMPLES, CLASSES), "class probabilities", "sums over classes from 3 to 3"),
        (LABELS + 1, "no logits of these labels", "largest label 3"),
        (LABELS[:, None], "no logits of these labels", ", 1) int64, largest label 2"),
        (torch.eye(CLASSES).long()[LABELS], "no logits of these", ", 3) int64, largest label 1"),
        (LABELS[0], "one row for each example", "targets () int64"),
    ],
)
def test_what_are_no_labels_is_told(labels: Tensor, sentence: str, found: str) -> None:
    batches = [(X, labels)] if labels.ndim == 0 else [(X[:8], labels[:8]), (X[8:], labels[8:])]
    with pytest.raises(ProblemError, match=sentence) as caught:
        loss(Problem.classification(linear(CLASSES), batches))
    assert found in str(caught.value)


def test_outputs_that_cannot_be_told_and_labels_smoothed_too_much() -> None:
    with pytest.raises(ProblemError, match="cannot be told") as caught:
        loss(Problem.classification(Wrapped("nothing"), cut(X, LABELS)))
    assert "hidden: (" in str(caught.value)
    with pytest.raises(ProblemError, match="0 to 1"):
        Problem.classification(linear(CLASSES), cut(X, LABELS), label_smoothing=1.5)


@pytest.mark.parametrize("shape", [(EXAMPLES,), (EXAMPLES, 1)])
def test_regression_is_the_mean_square_and_never_broadcast(shape: tuple[int, ...]) -> None:
    model, y = linear(1), torch.randn(shape, generator=GENERATOR)
    expected = np.square(outputs(model)[:, 0] - y.double().numpy().ravel()).mean()
    assert loss(Problem.regression(model, cut(X, y))) == pytest.approx(expected, rel=1e-6)


def test_regression_on_whole_numbers_counts_examples() -> None:
    """-100 is a number there, and no mark."""
    model, y = linear(2), torch.randint(-100, -98, (EXAMPLES, 2), generator=GENERATOR)
    problem = Problem.regression(model, cut(X, y))
    expected = np.square(outputs(model) - y.double().numpy()).mean()
    assert loss(problem) == pytest.approx(expected, rel=1e-6)
    assert [problem.terms(batch) for batch in problem.batches] == [5, 5, 3]


def test_regression_by_another_loss() -> None:
    model, y = linear(2), 3 * torch.randn(EXAMPLES, 2, generator=GENERATOR)
    away = np.abs(outputs(model) - y.double().numpy())
    expected = np.where(away < 1, 0.5 * away**2, away - 0.5).mean()
    found = loss(Problem.regression(model, cut(X, y), loss=huber_loss))
    assert found == pytest.approx(expected, rel=1e-6)


def test_what_regression_refuses() -> None:
    y = torch.randn(EXAMPLES, 3)
    with pytest.raises(ProblemError, match="different shapes") as caught:
        loss(Problem.regression(linear(2), cut(X, y)))
    assert "targets (" in str(caught.value)
    y[1, 0] = torch.nan
    with pytest.raises(ProblemError, match="not finite") as caught:
        Problem.regression(linear(3), cut(X, y))
    assert "1 of 15" in str(caught.value)
