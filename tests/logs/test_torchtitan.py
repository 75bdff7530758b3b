from dyntools.log import Role
from dyntools.logs import torchtitan

HEAD = "[rank0]:[titan] 2026-01-01 12:00:00,000 - root - INFO - "
TEXT = (
    HEAD + "Training starts at step 1\n"
    + HEAD + "\x1b[31mstep:  1  \x1b[32mloss:  8.1234  \x1b[38;2;180;60;0mgrad_norm:  1.5  "
    "\x1b[38;2;54;234;195mmemory:  0.51GiB(1.08%)  \x1b[34mtps: 12,345  \x1b[36mtflops: 1,036.24  "
    "\x1b[35mmfu: 33.20%\x1b[39m\n"
    + HEAD + "step: 1,000  loss:  nan  grad_norm:  inf  memory:  0.51GiB(1.08%)  tps: 9  mfu: N/A\n"
    + HEAD + "validate step: 1,000  loss:  7.5  memory:  0.51GiB(1.08%)  tps: 12,000\n"
)  # fmt: skip


def test_colours_thousands_and_validation(write, points):
    path = write("train.log", TEXT)
    assert torchtitan.recognises(path)
    log = torchtitan.open(path)
    found = points(log)
    assert found["tps"] == [(1, 12345.0), (1000, 9.0)]
    assert found["tflops"] == [(1, 1036.24)]
    assert found["mfu"] == [(1, 33.2)]
    assert found["memory"] == [(1, 0.51), (1000, 0.51)]
    assert found["validate/loss"] == [(1000, 7.5)]
    assert str(found["loss"]) == "[(1, 8.1234), (1000, nan)]"
    assert log.roles == {
        Role.train_loss: "loss",
        Role.validation_loss: "validate/loss",
        Role.gradient_norm: "grad_norm",
    }


def test_cut_anywhere(write, cut_law):
    cut_law(TEXT.encode(), write("train.log", ""), torchtitan.open)


def test_prose_is_no_log(write):
    assert not torchtitan.recognises(write("x.txt", "step: 1 the loss: falls\n"))


def test_an_endless_line_does_not_hang(write, points):
    log = torchtitan.open(write("train.log", "x step: 1  loss: " + "a" * 200_000 + "\n"))
    assert points(log) == {}
