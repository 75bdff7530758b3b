"""A run's folder: each checkpoint once, parts never, links without loops."""

import os

import pytest
import torch

from dyntools.checkpoints import find, fingerprint, open_checkpoint
from dyntools.errors import CheckpointError


def save(path, value=1.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"model": {"a": torch.full((3,), value)}}, path)


def paths(root):
    return [c.path.relative_to(root).as_posix() for c in find(root)[0]]


def test_sorted_and_recursive(tmp_path):
    for name in ("b/step-2.pt", "a.pth", "b/step-1.pt", "c/d/x.ckpt"):
        save(tmp_path / name)
    assert paths(tmp_path) == ["a.pth", "b/step-1.pt", "b/step-2.pt", "c/d/x.ckpt"]


def test_hard_and_symbolic_links_are_one_checkpoint(tmp_path):
    save(tmp_path / "checkpoint-1.pth.tar")
    os.link(tmp_path / "checkpoint-1.pth.tar", tmp_path / "last.pth.tar")
    (tmp_path / "model_best.pth.tar").symlink_to("checkpoint-1.pth.tar")
    [checkpoint] = find(tmp_path)[0]
    assert checkpoint.path.name == "checkpoint-1.pth.tar"
    assert sum("is the same file" in note for note in checkpoint.notes) == 2


def test_loops_of_links_end(tmp_path):
    save(tmp_path / "a/step-1.pt")
    (tmp_path / "a/again").symlink_to(tmp_path)
    (tmp_path / "broken.pt").symlink_to("nowhere")
    good, damaged = find(tmp_path)
    assert [c.path.name for c in good] == ["step-1.pt"]
    assert [d.path.name for d in damaged] == ["broken.pt"]


def test_parts_are_no_checkpoints(tmp_path):
    parts = "optimizer.pt scheduler.pt rng_state.pth rng_state_0.pth training_args.bin scaler.pt"
    parts += " random_states_0.pkl optimizer.bin optimizer_1.bin sampler_1.bin notes.txt"
    for part in parts.split():
        (tmp_path / part).write_bytes(b"part")
    assert find(tmp_path) == ([], [])


def test_the_last_model_beside_the_folders_of_steps(fixtures, tmp_path):
    """A trainer saves its final model into the folder that holds `checkpoint-N/`."""
    for file in (fixtures / "runs/tiny-gpt/checkpoint-300").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "checkpoint-10").mkdir()
    for file in (fixtures / "runs/tiny-gpt/checkpoint-10").iterdir():
        (tmp_path / "checkpoint-10" / file.name).write_bytes(file.read_bytes())
    assert [c.step for c in find(tmp_path)[0]] == [300, 10]


def test_formats_that_are_not_read_say_so(tmp_path):
    (tmp_path / "adapter_model.safetensors").write_bytes(b"x")
    (tmp_path / "iter_0000001").mkdir()
    (tmp_path / "iter_0000001/model_optim_rng.pt").write_bytes(b"x")
    (tmp_path / "orbax").mkdir()
    (tmp_path / "orbax/_CHECKPOINT_METADATA").write_bytes(b"x")
    reasons = " ".join(d.reason for d in find(tmp_path)[1])
    assert all(word in reasons for word in ("PEFT", "Megatron", "Orbax"))


def test_a_folder_of_several_is_not_one(tmp_path):
    save(tmp_path / "step-1.pt")
    assert open_checkpoint(tmp_path).step == 1
    save(tmp_path / "step-2.pt")
    with pytest.raises(CheckpointError) as error:
        open_checkpoint(tmp_path)
    assert "2 checkpoints" in str(error.value)


def test_a_fingerprint_follows_content_and_not_place(tmp_path):
    for folder, value in (("a", 1.0), ("b", 1.0), ("c", 2.0)):
        save(tmp_path / folder / "step-1.pt", value)
    a, b, c = (fingerprint(open_checkpoint(tmp_path / f / "step-1.pt")) for f in "abc")
    assert a == b != c
    assert len(a) == 64
    checkpoint = open_checkpoint(tmp_path / "a/step-1.pt")
    (tmp_path / "a/step-1.pt").unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        fingerprint(checkpoint)
