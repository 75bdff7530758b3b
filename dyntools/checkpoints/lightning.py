"""PyTorch Lightning's `.ckpt`: `state_dict`, `optimizer_states`, `global_step`, `loops`, …

`global_step` counts optimizer steps, and with two optimizers each of them. Lightning's loggers
count batches, from 0, so row 7 of `metrics.csv` belongs to `step=8`: it is `extra["log_step"]`.
Names keep the attribute of the LightningModule that holds the network, such as `net.`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dyntools.checkpoint import Checkpoint
from dyntools.checkpoints.inert import plain_mapping
from dyntools.checkpoints.torch_file import load
from dyntools.checkpoints.training_file import keys_of, root_of, training_file

NAME = "lightning"

_STEPPED = ("loops", "fit_loop", "epoch_loop.state_dict", "_batches_that_stepped")


def recognises(path: Path) -> bool:
    """Whether a file says which version of Lightning wrote it."""
    return path.is_file() and {"pytorch-lightning_version", "state_dict"} <= keys_of(path)


def open(path: Path, *, mmap: bool = True) -> Checkpoint:
    """The checkpoint; the hyper-parameters of the module are its configuration."""
    root = root_of(load(path))
    config = plain_mapping(root.get("hyper_parameters"))
    stepped: object = root
    for key in _STEPPED:
        stepped = stepped.get(key) if isinstance(stepped, Mapping) else None
    extra = {"log_step": stepped - 1} if isinstance(stepped, int) and stepped > 0 else {}
    return training_file(path, NAME, mmap=mmap, config=config, extra=extra)
