"""Several processes: the same matrix however its examples are spread, and one voice."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.processes import ROOT, torchrun

WORKERS = ROOT / "tests" / "workers"


def found(count: int) -> dict[str, object]:
    result = torchrun(count, str(WORKERS / "eigenvalues.py"))
    assert result.returncode == 0, result.stderr[-3000:]
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("{")]
    return json.loads(line)


@pytest.mark.slow
def test_the_number_of_processes_changes_nothing_but_rounding() -> None:
    alone = found(1)
    for count in (2, 3):
        together = found(count)
        for key, value in alone.items():
            np.testing.assert_allclose(together[key], value, rtol=1e-10, err_msg=f"{key}, {count}")
