"""KL divergences of logits that are written down, and which terms are kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from dyntools.activations import predictions
from dyntools.activations.outputs import Terms
from dyntools.activations.patterns import GROUPS
from dyntools.activations.predictions import Drift, Predictions, drift


def kept(z: Tensor, counted: Tensor | None = None, pieces: int = 2) -> Predictions:
    """z: (N, …, C)."""
    counted = torch.ones(z.shape[:-1], dtype=torch.bool) if counted is None else counted
    found, groups = Predictions(), GROUPS * torch.arange(len(z)) // len(z)
    cuts = (part.tensor_split(pieces) for part in (z, counted, groups))
    for logits, counts, group in zip(*cuts, strict=True):
        found.add(Terms(logits, torch.zeros(counts.shape, dtype=torch.int64), counts), group)
    return found


def logits(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def divergence(z: np.ndarray, w: np.ndarray) -> np.ndarray:
    p, q = (np.exp(x) / np.exp(x).sum(-1, keepdims=True) for x in (z, w))
    return (p * np.log(p / q)).sum(-1)


def compared(before: Predictions, now: Predictions, temperature: float = 1.0) -> Drift:
    found = drift(before, now, temperature)
    assert isinstance(found, Drift)
    return found


@pytest.mark.parametrize("temperature", [1.0, 5.0])
def test_against_numpy_by_groups(temperature: float) -> None:
    z, w = 3 * logits(0, 24, 5, 7), 3 * logits(1, 24, 5, 7)
    counted = logits(2, 24, 5) > -0.5
    found = compared(kept(z, counted), kept(w, counted, 3), temperature)
    a, b = (x.numpy() / temperature for x in (z, w))
    forward, reverse = (temperature**2 * divergence(*two) for two in ((a, b), (b, a)))
    changed = (z.argmax(-1) != w.argmax(-1)).numpy()
    for sums, numbers in (
        (found.terms, np.ones_like(forward)),
        (found.forward, forward),
        (found.reverse, reverse),
        (found.changed, changed),
    ):
        by_group = (counted.numpy() * numbers).reshape(GROUPS, -1).sum(1)
        np.testing.assert_allclose(sums.numpy(), by_group, rtol=1e-10)


def test_equal_logits_give_exactly_zero() -> None:
    z = 20 * logits(0, 16, 9)
    found = compared(kept(z), kept(z.clone()))
    assert float(found.forward.sum()) == 0.0
    assert float(found.changed.sum()) == 0.0


def test_a_common_shift_of_the_logits_is_no_drift() -> None:
    z = logits(0, 16, 9)
    found = compared(kept(z), kept(z + 5.0))
    assert abs(float(found.forward.sum())) < 1e-14


def test_tiny_changes_keep_their_digits_and_stay_positive() -> None:
    """KL of 1e-14 where each term of the sum is 1e-7: the first order cancels by hand."""
    z, step = logits(0, 200, 9), 1e-7 * logits(1, 200, 9)
    found = compared(kept(z), kept(z + step))
    p = z.softmax(-1)
    mean = (p * step).sum(-1, keepdim=True)
    wanted = 0.5 * float((p * (step - mean).square()).sum())
    assert float(found.forward.sum()) == pytest.approx(wanted, rel=0.05)
    assert (found.forward > 0).all()


def test_probabilities_that_round_to_zero_are_no_nan() -> None:
    z = torch.tensor([[2000.0, 0.0, -2000.0]] * 8)
    found = compared(kept(z), kept(z.flip(-1)))
    assert float(found.forward.sum()) == pytest.approx(8 * 4000.0)


def test_a_large_temperature_compares_the_logits() -> None:
    """T² KL goes to half the variance over the classes of the change of the logits."""
    z, w = logits(0, 40, 6), logits(1, 40, 6)
    found = compared(kept(z), kept(w), 1e4)
    wanted = 0.5 * float((w - z).var(-1, correction=0).sum())
    assert float(found.forward.sum()) == pytest.approx(wanted, rel=1e-3)


def test_of_many_terms_an_even_selection_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "TERMS", 500)
    z, w = logits(0, 400, 16, 3), logits(1, 400, 16, 3)
    before, now = kept(z, pieces=7), kept(w, pieces=3)
    assert 200 <= before.count <= 500
    places = torch.cat(before.places)
    assert torch.equal(places, torch.cat(now.places))
    counts = torch.bincount(places % 16, minlength=16)  # every position of an example
    assert counts.min() >= 0.6 * counts.float().mean()
    by_group = compared(before, now).terms
    assert by_group.min() >= 0.8 * by_group.mean()
    rows = z.reshape(-1, 3)[places]
    assert torch.equal(torch.cat(before.logits), rows)


def test_logits_of_many_classes_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "BYTES", 1 << 14)
    found = kept(logits(0, 64, 64), pieces=8)
    assert sum(part.numel() * part.element_size() for part in found.logits) <= 1 << 14
    assert found.count >= 8


def test_terms_that_only_one_step_holds_are_left_out() -> None:
    z, w = logits(0, 16, 4), logits(1, 16, 4)
    odd, first = torch.arange(16) % 2 == 1, torch.arange(16) < 8
    found = compared(kept(z, odd), kept(w, first))
    both = (odd & first).numpy()
    assert float(found.terms.sum()) == 4
    assert float(found.forward.sum()) == pytest.approx(divergence(z.numpy(), w.numpy())[both].sum())


def test_no_terms_and_other_classes_are_said() -> None:
    none = kept(logits(0, 8, 4), torch.zeros(8, dtype=torch.bool))
    assert drift(none, none) == "no term of the loss counts"
    assert drift(Predictions(), none) == "no term of the loss counts"
    said = drift(kept(logits(0, 8, 4)), kept(logits(0, 8, 5)))
    assert isinstance(said, str)
    assert "4 classes then and 5 now" in said
