"""Run by test_memory in its own process: reads all tensors one by one, prints the growth in KiB."""

import resource
import sys
from pathlib import Path

import torch

from dyntools.checkpoints import open_checkpoint


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    warm = torch.ones(10).sum()
    checkpoint = open_checkpoint(Path(sys.argv[1]), mmap=sys.argv[2] == "mmap")
    first = next(iter(checkpoint.tensors.values())).shape
    before = peak()
    for entry in checkpoint.tensors.values():
        warm += entry.read().sum()
    print(peak() - before)
