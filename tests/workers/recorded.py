"""Run under torchrun: DDP with or without a recorder; each rank saves how each training ended."""

import random
import sys
from pathlib import Path

import torch
import torch.distributed as distributed
from torch.nn.parallel import DistributedDataParallel

from dyntools.callbacks import Recorder, every
from tests.trainings import Loop, mlp, problem_of, train


def main(folder: Path, modes: list[str]) -> None:
    barrier = distributed.barrier
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    rank = distributed.get_rank()
    calls = []
    for name in ("all_reduce", "broadcast", "barrier", "all_gather", "all_gather_object"):
        setattr(distributed, name, lambda *_, **__: calls.append(1))

    def recorded(model, optimizer):
        settings = {"metrics": "full", "schedule": every(100), "budget": 1.0}
        path = folder / f"rank{rank}" / "live.jsonl"
        recorder = Recorder(model, optimizer, problem=problem_of(mlp), path=path, **settings)
        assert (recorder._diary is None) == (rank > 0)
        if mode == "saboteur" and rank == 0:
            recorder.step = lambda *_, **__: random.random()
        return recorder

    for mode in modes:
        make = None if mode == "bare" else recorded
        found = train(Loop(mlp, seed=1 + rank), make, DistributedDataParallel)
        assert not calls, "a collective of ours"
        torch.save(found, folder / f"{mode}{rank}.pt")
    barrier()  # none ends, and so has torchrun end all, before the others have saved
    distributed.destroy_process_group()


main(Path(sys.argv[1]), sys.argv[2:])
