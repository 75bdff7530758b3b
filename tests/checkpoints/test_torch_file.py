"""Tensors of every kind as torch.save stores them, zip and legacy, mapped and read."""

import pickle
import struct
import zipfile

import pytest
import torch

from dyntools.checkpoints import open_checkpoint
from dyntools.checkpoints.torch_file import load
from dyntools.errors import CheckpointError

DTYPES = "float64 float32 float16 bfloat16 complex64 complex128 int64 int32 int16 int8 uint8 bool"
ZIP_ONLY = "float8_e4m3fn float8_e5m2 uint16 uint32 uint64"


def bits(tensor):
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def values(legacy):
    torch.manual_seed(0)
    names = DTYPES.split() + ([] if legacy else ZIP_ONLY.split())
    found = {n: (torch.randn(3, 5) * 10).abs().to(getattr(torch, n)) for n in names}
    flat = torch.randn(24)
    return found | {
        "scalar": torch.tensor(3.5),
        "empty": torch.empty(0, 3),
        "transposed": torch.randn(3, 4).t(),
        "view": flat[5:11],
        "same view": flat[5:11],
        "strided": flat.view(4, 6)[:, 1:5:2],
        "expanded": torch.randn(3, 1).expand(3, 7),
        "channels last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "parameter": torch.nn.Parameter(torch.randn(2)),
        "buffer": torch.nn.Buffer(torch.randn(2)),
    }


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_bit_for_bit_with_strides(legacy, tmp_path, mmap):
    wanted = values(legacy)
    torch.save(wanted, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
    checkpoint = open_checkpoint(tmp_path / "a.pt", mmap=mmap)
    assert list(checkpoint.tensors) == list(wanted)
    for name, want in wanted.items():
        entry = checkpoint.tensors[name]
        found = entry.read()
        assert (found.dtype, found.stride()) == (want.dtype, want.stride()), name
        assert entry.dtype == str(want.dtype).removeprefix("torch.")
        assert torch.equal(bits(found), bits(want.detach())), name
        assert not found.requires_grad


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_tied_tensors_share_their_storage_and_views_do_not(legacy, tmp_path):
    shared = torch.randn(4, 3)
    stored = {"a": shared, "b": shared, "c": shared[:2], "d": shared.t(), "e": shared.clone()}
    torch.save(stored, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
    tensors = open_checkpoint(tmp_path / "a.pt").tensors
    assert tensors["a"].storage == tensors["b"].storage
    assert len({tensors[name].storage for name in "acde"}) == 4


def test_a_tensor_is_fresh_at_each_reading_and_the_file_is_never_written(tmp_path, mmap):
    torch.save({"a": torch.ones(5000), "b": torch.ones(2)}, tmp_path / "a.pt")
    content = (tmp_path / "a.pt").read_bytes()
    entry = open_checkpoint(tmp_path / "a.pt", mmap=mmap).tensors["a"]
    entry.read().zero_()
    assert entry.read().sum() == 5000
    assert (tmp_path / "a.pt").read_bytes() == content


def test_a_flipped_bit_in_a_weight_is_seen(tmp_path, mmap):
    """A zip keeps checksums, which torch.load does not compare."""
    torch.save({"a": torch.ones(1000)}, tmp_path / "a.pt")
    content = bytearray((tmp_path / "a.pt").read_bytes())
    place = content.index(struct.pack("<f", 1.0) * 10) + 400
    content[place] ^= 1
    (tmp_path / "a.pt").write_bytes(content)
    entry = open_checkpoint(tmp_path / "a.pt", mmap=mmap).tensors["a"]
    with pytest.raises(CheckpointError, match="checksum"):
        entry.read()


def test_files_without_checksums_are_read(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"a": torch.ones(3)}, tmp_path / "a.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert open_checkpoint(tmp_path / "a.pt").tensors["a"].read().tolist() == [1, 1, 1]


def test_big_endian(tmp_path, mmap):
    torch.save({"a": torch.arange(4.0), "b": torch.arange(3)}, tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as old, zipfile.ZipFile(tmp_path / "b.pt", "w") as new:
        for name in old.namelist():
            data = old.read(name)
            data = b"big" if name.endswith("byteorder") else data
            data = _swapped(data, 4) if name.endswith("data/0") else data
            data = _swapped(data, 8) if name.endswith("data/1") else data
            new.writestr(name, data)
    tensors = open_checkpoint(tmp_path / "b.pt", mmap=mmap).tensors
    assert tensors["a"].read().tolist() == [0, 1, 2, 3]
    assert tensors["b"].read().tolist() == [0, 1, 2]


def _swapped(data, size):
    return b"".join(data[i : i + size][::-1] for i in range(0, len(data), size))


def test_a_file_that_shrinks_after_opening_is_an_error_when_read(tmp_path):
    torch.save({"a": torch.ones(5000)}, tmp_path / "a.pt")
    entry = open_checkpoint(tmp_path / "a.pt", mmap=False).tensors["a"]
    (tmp_path / "a.pt").write_bytes(b"short")
    with pytest.raises(CheckpointError, match="the file changed after it was opened"):
        entry.read()
    (tmp_path / "a.pt").unlink()
    with pytest.raises(CheckpointError, match="changed or vanished"):
        entry.read()


def test_a_compressed_archive_is_refused(tmp_path):
    torch.save({"a": torch.ones(50)}, tmp_path / "a.pt")
    packed = zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(tmp_path / "a.pt") as old, packed as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(CheckpointError, match="damaged"):
        open_checkpoint(tmp_path / "b.pt")


def test_torchscript_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps({}, 2))
        archive.writestr("a/constants.pkl", b"")
    with pytest.raises(CheckpointError, match="TorchScript"):
        open_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize("shape", [(1 << 40,), (1 << 40, 0), (1 << 20, 1 << 20)])
def test_a_giant_tensor_in_a_small_file_is_refused_or_empty(shape, tmp_path):
    """Strides of zero need four bytes for any shape."""
    torch.save({"a": torch.ones(1).expand(3)}, tmp_path / "a.pt")
    file = load(tmp_path / "a.pt")
    ref = file.root["a"]
    huge = type(ref)(ref.storage, ref.dtype, 0, shape, (0,) * len(shape))
    if 0 in shape:
        assert file.entry(huge, mmap=True).read().numel() == 0
        return
    with pytest.raises(CheckpointError, match="larger than the file"):
        file.entry(huge, mmap=True)


def test_sparse_and_conjugate_tensors_are_left_out_with_a_note(tmp_path):
    stored = {
        "a": torch.ones(2),
        "b": torch.ones(3),
        "sparse": torch.eye(3).to_sparse(),
        "conjugate": torch.tensor([1j]).conj(),
    }
    torch.save(stored, tmp_path / "a.pt")
    checkpoint = open_checkpoint(tmp_path / "a.pt")
    assert list(checkpoint.tensors) == ["a", "b"]
    assert any("sparse" in note and "conjugate" in note for note in checkpoint.notes)
