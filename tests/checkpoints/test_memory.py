"""Reading one tensor after another costs one tensor, in every format and both ways of reading."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

COUNT, ELEMENTS = 40, 2 << 20  # 40 tensors of 8 MiB


def zip_file(path, tensors):
    torch.save(tensors, path)


def legacy_file(path, tensors):
    torch.save(tensors, path, _use_new_zipfile_serialization=False)


def safetensors_file(path, tensors):
    size = 4 * ELEMENTS
    header = {
        name: {"dtype": "F32", "shape": [ELEMENTS], "data_offsets": [i * size, (i + 1) * size]}
        for i, name in enumerate(tensors)
    }
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            file.write(tensor.numpy().tobytes())


@pytest.mark.slow
@pytest.mark.parametrize("write", [zip_file, legacy_file, safetensors_file])
def test_one_tensor_at_a_time(write, tmp_path):
    path = tmp_path / ("a.safetensors" if write is safetensors_file else "a.pt")
    write(path, {f"{i}.weight": torch.full((ELEMENTS,), float(i)) for i in range(COUNT)})
    script = Path(__file__).with_name("memory.py")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    for way in ("mmap", "read"):
        command = [sys.executable, "-W", "error", script, path, way]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert int(done.stdout) < 3 * 4 * ELEMENTS / 1024, way
