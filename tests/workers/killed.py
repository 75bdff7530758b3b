"""A training that is recorded at every step until it is ended from outside, or ends by itself."""

import os
import random
import signal
import sys
import time

import torch

from dyntools.callbacks import Recorder, every
from tests.trainings import batch, loss_of, mlp, seeded


def killed_often(folder: str, attempts: int = 20) -> None:
    """Fork trainings, kill each at some moment, and print the last step that each reported."""
    times = random.Random(0)
    for attempt in range(attempts):
        out, into = os.pipe()
        child = os.fork()
        if child == 0:
            os.dup2(into, 1)
            os.close(out)
            os.close(into)
            train(f"{folder}/{attempt}.jsonl", "forever")
        os.close(into)
        with os.fdopen(out) as lines:
            first = lines.readline()
            time.sleep(times.uniform(0, 0.3))
            os.kill(child, signal.SIGKILL)
            said = first + lines.read()
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
        print(said.split("\n")[-2], flush=True)


def train(path: str, how: str) -> None:
    seeded(0)
    torch.set_num_threads(1)
    model = mlp()
    optimizer = torch.optim.AdamW(model.parameters())

    def said(step: int, scalars: object, rows: object) -> None:
        print(step, flush=True)

    settings = {"metrics": "quick", "schedule": every(1), "budget": 1.0, "sinks": [said]}
    recorder = Recorder(model, optimizer, path=path, **settings)
    for step in range(1, 100_000):
        given = batch(mlp)
        optimizer.zero_grad()
        loss = loss_of(model(given[0]), given)
        loss.backward()
        optimizer.step()
        recorder.step(step, loss=loss.item())
        if how == "exit" and step == 3:
            sys.exit(3)
        if how == "raise" and step == 3:
            raise ValueError("in the loop")


if sys.argv[2] == "often":
    killed_often(sys.argv[1])
else:
    train(*sys.argv[1:])
