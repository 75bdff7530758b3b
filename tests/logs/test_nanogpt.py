import math

from dyntools.log import Role
from dyntools.logs import nanogpt

TEXT = """\
Overriding: max_iters = 10
number of parameters: 0.80M
step 0: train loss 4.2874, val loss 4.2823
iter 0: loss 4.2664, time 1234.56ms, mfu -100.00%
iter 10: loss nan, time 12.00ms, mfu 1.50%
saving checkpoint to out
step 20: train loss 1.5e-05, val loss inf
"""


def test_both_kinds_of_lines(write, points):
    path = write("train.log", TEXT)
    assert nanogpt.recognises(path)
    log = nanogpt.open(path)
    found = points(log)
    assert found["train/loss"] == [(0, 4.2874), (20, 1.5e-05)]
    assert found["val/loss"] == [(0, 4.2823), (20, math.inf)]
    assert found["time"] == [(0, 1234.56), (10, 12.0)]
    assert found["mfu"] == [(0, -100.0), (10, 1.5)]
    assert log.curves["loss"].steps.tolist() == [0, 10]
    assert log.roles[Role.train_loss] == "train/loss"


def test_cut_anywhere(write, cut_law):
    cut_law(TEXT.encode(), write("train.log", ""), nanogpt.open)


def test_prose_is_no_log(write):
    assert not nanogpt.recognises(write("README.md", "the step 3: train longer\n"))


def test_an_endless_line_does_not_hang(write, points):
    log = nanogpt.open(write("train.log", "iter 1: loss " + "a" * 200_000 + "\n"))
    assert points(log) == {}
