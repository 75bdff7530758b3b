"""Flipped and missing bytes, at seeded places: an error of ours or a result, quickly and small."""

import json
import random
import resource
import shutil
from contextlib import suppress

import pytest
import torch

from dyntools.checkpoints import find, open_checkpoint
from dyntools.errors import CheckpointError

TRIALS = 300


def training_dictionary():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(5, 4)).square().mean().backward()
    optimizer.step()
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": 3}


def zip_file(folder):
    torch.save(training_dictionary(), folder / "step-3.pt")
    return folder / "step-3.pt"


def legacy_file(folder):
    path = folder / "step-3.pt"
    torch.save(training_dictionary(), path, _use_new_zipfile_serialization=False)
    return path


def safetensors_file(folder):
    header = {
        "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "b": {"dtype": "BF16", "shape": [4], "data_offsets": [24, 32]},
    }
    text = json.dumps(header).encode()
    path = folder / "model-step-3.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(range(32)))
    return path


@pytest.fixture
def distributed_file(fixtures):
    def copy(name):
        def make(folder):
            shutil.copytree(fixtures / "runs/dcp/step-1", folder / "step-1")
            return folder / "step-1" / name

        return make

    return copy


def damage(data, generator):
    """One byte changed, or the end missing."""
    if generator.random() < 0.3:
        return data[: generator.randrange(len(data))]
    position = generator.randrange(len(data))
    changed = bytes([data[position] ^ (1 << generator.randrange(8))])
    return data[:position] + changed + data[position + 1 :]


def exercise(folder, path):
    good, damaged = find(folder)
    assert len(good) + len(damaged) <= 1
    for checkpoint in good:
        with suppress(CheckpointError):
            for entry in checkpoint.tensors.values():
                assert tuple(entry.read().shape) == entry.shape
            state = checkpoint.optimizer()
            for entries in state.state.values() if state else ():
                for entry in entries.values():
                    entry.read()
    with suppress(CheckpointError):
        open_checkpoint(path)


def fuzz(make, folder, opened=None, trials=TRIALS):
    path = make(folder)
    whole = path.read_bytes()
    generator = random.Random(0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(trials):
        path.write_bytes(damage(whole, generator))
        exercise(folder, opened or path)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 100 * 1024, f"{grown} KiB"


@pytest.mark.slow
@pytest.mark.parametrize("make", [zip_file, legacy_file, safetensors_file])
def test_files(make, tmp_path):
    fuzz(make, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [".metadata", "__0_0.distcp"])
def test_distributed_checkpoints(name, distributed_file, tmp_path):
    trials = TRIALS if name == ".metadata" else 100  # many small archives, each read
    fuzz(distributed_file(name), tmp_path, tmp_path / "step-1", trials)
