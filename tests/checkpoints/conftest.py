"""The committed fixtures, and the digests of tensors they are compared by."""

import hashlib
import json
from pathlib import Path

import pytest
import torch

FIXTURES = Path(__file__).parents[2] / "fixtures"


@pytest.fixture(scope="session")
def fixtures():
    return FIXTURES


@pytest.fixture(scope="session")
def expected():
    def load(run):
        return json.loads((FIXTURES / "expected" / f"{run}.json").read_text())

    return load


@pytest.fixture(scope="session")
def digest():
    """Shape, dtype and hash of the bytes, as fixtures/make_truth.py defines them."""

    def of(tensor):
        raw = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        dtype = str(tensor.dtype).removeprefix("torch.")
        sha256 = hashlib.sha256(raw).hexdigest()
        return {"shape": list(tensor.shape), "dtype": dtype, "sha256": sha256}

    return of


@pytest.fixture(params=[True, False], ids=["mmap", "read"])
def mmap(request):
    return request.param
