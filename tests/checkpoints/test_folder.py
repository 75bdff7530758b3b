"""A run's folder: each checkpoint once, parts never, links without loops."""

import json
import os
import shutil
import socket

import pytest
import torch
from safetensors.torch import save_file

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


@pytest.mark.parametrize("shard", ["missing.safetensors", "../../etc/passwd"])
def test_a_damaged_index_hides_nothing(shard, tmp_path):
    for step in (1, 2):
        save(tmp_path / f"step-{step}.pt")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": shard}}))
    good, damaged = find(tmp_path)
    assert [c.step for c in good] == [1, 2]
    assert [d.path for d in damaged] == [tmp_path]


def test_damaged_metadata_hide_nothing(tmp_path):
    save(tmp_path / "step-1.pt")
    (tmp_path / ".metadata").write_bytes(b"something else")
    (tmp_path / "__0_0.distcp").write_bytes(b"x")
    good, damaged = find(tmp_path)
    assert [c.step for c in good] == [1]
    assert [d.format for d in damaged] == ["dcp"]


@pytest.mark.parametrize("run", ["sharded/checkpoint-10", "dcp/step-10", "tiny-gpt/checkpoint-10"])
def test_files_beside_a_checkpoint_of_a_folder_are_seen_and_its_own_are_not(
    run, fixtures, tmp_path
):
    shutil.copytree(fixtures / "runs" / run, tmp_path, dirs_exist_ok=True)
    [alone] = find(tmp_path)[0]
    save(tmp_path / "step-77.pt")
    (tmp_path / "broken.pt").write_bytes(b"")
    os.link(alone.files[-1], tmp_path / "again.safetensors")
    good, damaged = find(tmp_path)
    assert [c.path for c in good] == [alone.path, tmp_path / "step-77.pt"]
    assert [d.path.name for d in damaged] == ["broken.pt"]


def test_one_damaged_file_of_a_folder_is_told_of_once(fixtures, tmp_path):
    shutil.copytree(fixtures / "runs/tiny-gpt/checkpoint-10", tmp_path, dirs_exist_ok=True)
    content = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(content[:-1])
    good, damaged = find(tmp_path)
    assert good == []
    assert [(d.path, d.format) for d in damaged] == [(tmp_path, "hf-trainer")]


def test_further_models_of_accelerate_are_no_checkpoints(fixtures, tmp_path):
    source = fixtures / "runs/accelerate/checkpoints/checkpoint_0"
    shutil.copytree(source, tmp_path, dirs_exist_ok=True)
    save_file({"a": torch.ones(2)}, tmp_path / "model_1.safetensors")
    [checkpoint] = find(tmp_path)[0]
    assert any("model_1.safetensors" in note for note in checkpoint.notes)


def test_chunks_rewritten_after_opening_are_not_read(fixtures, tmp_path):
    shutil.copytree(fixtures / "runs/dcp/step-10", tmp_path, dirs_exist_ok=True)
    tensors = open_checkpoint(tmp_path).tensors
    for file in tmp_path.glob("*.distcp"):
        file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(CheckpointError, match="the file changed after it was opened"):
        next(iter(tensors.values())).read()


def test_pipes_and_sockets_are_not_opened(tmp_path):
    save(tmp_path / "step-1.pt")
    os.mkfifo(tmp_path / "pipe.pt")
    os.mkfifo(tmp_path / "notes.txt")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(tmp_path / "socket.pt"))
    (tmp_path / "zero").mkdir()
    os.mkfifo(tmp_path / "zero/mp_rank_00_model_states.pt")
    good, damaged = find(tmp_path)
    assert [c.step for c in good] == [1]
    assert [d.path.name for d in damaged] == ["pipe.pt", "socket.pt", "zero"]
    assert all("ot a regular file" in d.reason for d in damaged)
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        open_checkpoint(tmp_path / "pipe.pt")


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
