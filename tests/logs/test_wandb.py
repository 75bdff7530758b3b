import pytest

from dyntools.logs import wandb

ROWS = [
    {"_step": i, "_timestamp": 1.7e9 + i, "_runtime": 3.0, "loss": 1 / (i + 1), "note": "x"}
    for i in range(4)
]


def test_rows_of_the_history(write, points, offline):
    path = write("run-a.wandb", offline(ROWS))
    assert wandb.recognises(path)
    log = wandb.open(path)
    assert points(log) == {"loss": [(i, 1 / (i + 1)) for i in range(4)]}
    assert log.curves["loss"].wall.tolist() == [1.7e9 + i for i in range(4)]
    assert log.notes == (wandb.NOTE,)


def test_not_a_number_is_a_word(write, offline):
    rows = [{"_step": 0, "loss": "NaN"}, {"_step": 1, "loss": "Infinity"}]
    values = wandb.open(write("run-a.wandb", offline(rows))).curves["loss"].values
    assert str(values.tolist()) == "[nan, inf]"


def test_records_that_cross_blocks(write, points, offline):
    rows = [{"_step": i, "pad": "x" * 30_000 * (i % 4), "loss": 0.5 * i} for i in range(20)]
    log = wandb.open(write("run-a.wandb", offline(rows)))
    assert points(log) == {"loss": [(i, 0.5 * i) for i in range(20)]}


def test_cut_anywhere(write, offline, cut_law):
    cut_law(offline(ROWS), write("run-a.wandb", b""), wandb.open)


def test_any_byte_may_be_wrong(write, offline, flip_law):
    flip_law(offline(ROWS), write("run-a.wandb", b""), wandb.open)


def test_cut_within_a_record_of_several_chunks(write, points, offline):
    data = offline([ROWS[0], {"_step": 1, "loss": 0.5, "pad": "x" * 90_000}])
    for end in (32_760, 32_768, 32_775, 65_536, 65_543, len(data) - 1):
        log = wandb.open(write("run-a.wandb", data[:end]))
        assert points(log) == {"loss": [(0, 1.0)]}
        assert log.notes == (wandb.NOTE, wandb.CUT)


@pytest.mark.parametrize("at", [7, 11, 13, 20])
def test_a_changed_byte_is_noticed(write, offline, at):
    data = bytearray(offline(ROWS))
    data[at] ^= 1
    log = wandb.open(write("run-a.wandb", bytes(data)))
    assert not log.curves
    assert len(log.notes) == 2


def test_what_is_no_run(write):
    assert not wandb.recognises(write("x.wandb", b"W&B:"))
