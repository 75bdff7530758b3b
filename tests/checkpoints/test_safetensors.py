"""The header as the format's text demands it, and agreement with the library itself."""

import json
import os

import pytest
import torch
from safetensors.torch import save_file

from dyntools.checkpoints import open_checkpoint
from dyntools.errors import CheckpointError


def write(path, header, data=b"", text=None):
    content = json.dumps(header).encode() if text is None else text
    path.write_bytes(len(content).to_bytes(8, "little") + content + data)
    return path


def tensor(begin, end, shape=(1,), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def test_what_the_library_writes(tmp_path, mmap):
    torch.manual_seed(0)
    dtypes = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool float8_e4m3fn"
    tensors = {d: (torch.randn(3, 4) * 9).abs().to(getattr(torch, d)) for d in dtypes.split()}
    tensors |= {"scalar": torch.tensor(1.5), "empty": torch.empty(0, 2)}
    save_file(tensors, tmp_path / "step-3.safetensors", {"format": "pt"})
    found = open_checkpoint(tmp_path / "step-3.safetensors", mmap=mmap).tensors
    assert set(found) == set(tensors)
    for name, want in tensors.items():
        value = found[name].read()
        assert (value.dtype, value.shape) == (want.dtype, want.shape)
        assert torch.equal(
            value.reshape(-1).view(torch.uint8), want.reshape(-1).view(torch.uint8)
        ), name


def test_elements_that_are_not_aligned(tmp_path, mmap):
    header = {"a": tensor(0, 1, dtype="I8"), "b": tensor(1, 9, (2,))}
    data = b"\x07" + torch.tensor([1.0, 2.0]).numpy().tobytes()
    path = write(tmp_path / "a.safetensors", header, data)
    assert open_checkpoint(path, mmap=mmap).tensors["b"].read().tolist() == [1, 2]


BAD = {
    "hole": ({"a": tensor(0, 4), "b": tensor(8, 12)}, 12),
    "overlap": ({"a": tensor(0, 8, (2,)), "b": tensor(4, 12, (2,))}, 12),
    "hole at the start": ({"a": tensor(4, 8)}, 8),
    "bytes left over": ({"a": tensor(0, 4)}, 9),
    "cut off": ({"a": tensor(0, 8, (2,))}, 4),
    "wrong size": ({"a": tensor(0, 8)}, 8),
    "reversed": ({"a": tensor(4, 0, (0,))}, 4),
    "negative": ({"a": tensor(-4, 0)}, 0),
    "unknown type": ({"a": tensor(0, 4, dtype="F7")}, 4),
    "no shape": ({"a": {"dtype": "F32", "data_offsets": [0, 4]}}, 4),
    "true as a size": ({"a": tensor(0, 4, (True,))}, 4),
    "no object": ({"a": 3}, 0),
    "huge": ({"a": tensor(0, 4, (1 << 40, 1 << 40))}, 4),
}


@pytest.mark.parametrize("name", BAD)
def test_headers_that_lie(name, tmp_path):
    header, size = BAD[name]
    path = write(tmp_path / "a.safetensors", header, bytes(size))
    with pytest.raises(CheckpointError, match="damaged"):
        open_checkpoint(path)


def test_a_name_twice_and_json_that_recurses(tmp_path):
    one = json.dumps(tensor(0, 4))
    twice = f'{{"a": {one}, "a": {one}}}'.encode()
    with pytest.raises(CheckpointError, match="damaged") as error:
        open_checkpoint(write(tmp_path / "a.safetensors", {}, bytes(4), twice))
    assert "twice" in str(error.value)
    deep = b'{"a":' * 100_000
    with pytest.raises(CheckpointError, match="damaged"):
        open_checkpoint(write(tmp_path / "b.safetensors", {}, b"", deep))


def test_a_file_rewritten_after_opening_is_an_error_when_read(tmp_path, mmap):
    path = write(tmp_path / "a.safetensors", {"a": tensor(0, 4)}, bytes(4))
    found = open_checkpoint(path, mmap=mmap).tensors["a"]
    assert found.read().tolist() == [0]
    other = write(tmp_path / "other", {"b": tensor(0, 4)}, b"\1\1\1\1")
    os.replace(other, path)
    with pytest.raises(CheckpointError, match="the file changed after it was opened"):
        found.read()


def test_names_no_report_can_hold_are_escaped(tmp_path):
    header = {"a\0": tensor(0, 4), "b\ud800": tensor(4, 8)}
    checkpoint = open_checkpoint(write(tmp_path / "a.safetensors", header, bytes(8)))
    assert list(checkpoint.tensors) == [r"a\x00", r"b\ud800"]
    assert checkpoint.tensors[r"a\x00"].read().tolist() == [0]
