"""A training that is recorded at every step until it is ended from outside, or ends by itself."""

import os
import random
import signal
import sys
import time

import torch

from dyntools.callbacks import Recorder, every
from tests.trainings import batch, loss_of, mlp, seeded

AT_ONCE = 4  # trainings that run side by side; more than cores, so that some are killed waiting


def killed_often(folder: str, attempts: int = 20) -> None:
    """Fork trainings, kill each at some moment, and print the last step that each reported."""
    train(f"{folder}/before.jsonl", "no step")  # imports late what each of them would import again
    times = random.Random(0)
    for first in range(0, attempts, AT_ONCE):
        running = [forked(f"{folder}/{first + place}.jsonl") for place in range(AT_ONCE)]
        for child, lines in running:
            said = lines.readline()  # past its first report
            time.sleep(times.uniform(0, 0.15))
            os.kill(child, signal.SIGKILL)
            said += lines.read()
            lines.close()
            assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
            print(said.split("\n")[-2], flush=True)


def forked(path: str):
    """A training of its own: its process, and what it says."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(into, 1)
        os.close(out)
        os.close(into)
        train(path, "forever")
    os.close(into)
    return child, os.fdopen(out)


def train(path: str, how: str) -> None:
    seeded(0)
    torch.set_num_threads(1)
    model = mlp()
    optimizer = torch.optim.AdamW(model.parameters())

    def said(step: int, scalars: object, rows: object) -> None:
        print(step, flush=True)

    settings = {"metrics": "quick", "schedule": every(1), "budget": 1.0, "sinks": [said]}
    recorder = Recorder(model, optimizer, path=path, **settings)
    for step in range(1, 0 if how == "no step" else 100_000):
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
    recorder.close()


if sys.argv[2] == "often":
    killed_often(sys.argv[1])
else:
    train(*sys.argv[1:])
