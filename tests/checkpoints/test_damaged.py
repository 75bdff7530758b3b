"""Cut off, torn, empty or something else: a sentence at opening, never a traceback."""

import pytest

from dyntools.checkpoints import find, open_checkpoint
from dyntools.errors import CheckpointError

GOOD = {
    "dcp/step-1",
    "deepspeed/global_step5",
    "plain/step-00000.pt",
    "plain/step-00080.pt",
    "plain/step-00090.pt",
    "safetensors/model-step-0.safetensors",
    "safetensors/model-step-10.safetensors",
    "sharded/checkpoint-0",
}
REASONS = {
    "dcp/step-2": "never finished",
    "dcp/step-3": "no __0_0.distcp",
    "dcp/step-4": "cut off",
    "dcp/step-5": "ends early",
    "deepspeed/global_step10": "1 of 2 optimizer files",
    "plain/step-00010.pt": "truncated or damaged",
    "plain/step-00020.pt": "it is empty",
    "plain/step-00030.pt": "checksum",
    "plain/step-00040.pt": "No format is recognised",
    "plain/step-00050.pt": "no data.pkl",
    "plain/step-00060.pt": "larger than its storage",
    "plain/step-00070.pt": "ends early",
    "safetensors/model-step-1.safetensors": "a header of 1000000 bytes",
    "safetensors/model-step-2.safetensors": "a header of 9223372036854775808 bytes",
    "safetensors/model-step-3.safetensors": "damaged",
    "safetensors/model-step-4.safetensors": "overlap",
    "safetensors/model-step-5.safetensors": "hole",
    "safetensors/model-step-6.safetensors": "192 bytes for the shape",
    "safetensors/model-step-7.safetensors": "type F7",
    "safetensors/model-step-8.safetensors": "1004 bytes where",
    "safetensors/model-step-9.safetensors": "No format is recognised",
    "sharded/checkpoint-10": "no model-00002-of-00002.safetensors",
    "sharded/checkpoint-20": "JSON",
    "sharded/checkpoint-30": "no 4.weight",
}


def test_each_damaged_checkpoint_has_its_reason(fixtures):
    root = fixtures / "damaged"
    good, damaged = find(root)
    assert {c.path.relative_to(root).as_posix() for c in good} == GOOD
    reasons = {d.path.relative_to(root).as_posix(): d.reason for d in damaged}
    assert set(reasons) == set(REASONS)
    for path, words in REASONS.items():
        assert words in reasons[path], path


@pytest.mark.parametrize("path", REASONS)
def test_opening_one_by_name_says_where(path, fixtures):
    with pytest.raises(CheckpointError) as error:
        open_checkpoint(fixtures / "damaged" / path)
    assert path.split("/")[-1] in str(error.value)


def test_nothing_there(tmp_path):
    with pytest.raises(CheckpointError, match="nothing at this path"):
        open_checkpoint(tmp_path / "missing")
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        open_checkpoint(tmp_path)
