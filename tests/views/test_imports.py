"""Tables start fast: neither torch nor matplotlib; figures without pyplot."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("dyntools.views.tables", ("torch", "matplotlib")),
        ("dyntools.views.tabular", ("torch", "matplotlib")),
        ("dyntools.views.plots", ("torch", "matplotlib.pyplot")),
    ],
)
def test_what_is_not_imported(module: str, forbidden: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print(*(set(sys.modules) & set({forbidden!r})))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
