"""A problem of which one process fails in the middle of a measurement, as FAILS says how."""

import os
import signal

import torch
from torch import nn

from dyntools import Problem

LATER = 36  # evaluations of the loss on this rank: one of the later batches of a later checkpoint
evaluations = 0


def loss(outputs, batch):
    global evaluations
    evaluations += 1
    if os.environ["RANK"] == "1" and evaluations == LATER:
        if os.environ["FAILS"] == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise ValueError("this batch is too much")
    return nn.functional.cross_entropy(outputs, batch[1])


def problem():
    network = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU())
    x = torch.linspace(0, 7, 60 * 64).sin().view(60, 64)
    batches = list(zip(x.split(6), torch.arange(60).remainder(10).split(6), strict=True))
    return Problem(network.append(nn.Linear(32, 10)), batches, loss)
