"""What may be asked of a recorder, and what a training that goes on cannot tell."""

from __future__ import annotations

import pytest

from dyntools.callbacks.requests import Requests
from dyntools.callbacks.schedule import every
from dyntools.errors import UsageError
from tests.metrics.test_contract import problem


def test_a_training_that_goes_on_has_no_end_to_compare_with() -> None:
    with pytest.raises(UsageError, match="save checkpoints and `dyntools analyze` them"):
        Requests.of(["cka_to_final"], every(1), problem(), None)
    found = Requests.of("activations", every(1), problem(), None)
    assert "the training still goes on" in found.left_out["cka_to_final"]
    assert "output_drift" in found.tasks
    assert found.need("previous")
