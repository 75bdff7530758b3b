"""Run by test_hostile in its own process: opens and reads everything in a folder, under watch.

An audit hook sees what Python itself does: processes started, code compiled or executed, modules
imported. After the readers and torch are imported, none of it may happen for a reason of a file.
"""

import builtins
import json
import os
import subprocess
import sys
from pathlib import Path

import torch

from dyntools.checkpoints import find, open_checkpoint
from dyntools.errors import CheckpointError

FORBIDDEN = ("os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "subprocess.Popen")
FORBIDDEN += ("exec", "compile", "pickle.find_class", "ctypes.dlopen", "socket.connect")


def read_all(checkpoint):
    for entry in checkpoint.tensors.values():
        entry.read()
    state = checkpoint.optimizer()
    for entries in state.state.values() if state else ():
        for entry in entries.values():
            entry.read()


def refuse(*args, **kwargs):
    raise AssertionError(f"called with {args!r}")


def main(root, *warm):
    for folder in warm:  # whatever torch, zipfile and the readers import, they import here
        for checkpoint in find(folder)[0]:
            read_all(checkpoint)
    "warm".encode("cp437").decode("cp437")  # zipfile's encoding of names without a flag
    seen, outcomes = [], {}
    expected = set(sys.modules)

    def hook(event, args):
        if event.startswith(FORBIDDEN):
            seen.append(f"{event} {args!r}"[:300])
        if event == "import" and args[0] not in expected:
            seen.append(f"import {args[0]}")

    os.system = os.popen = subprocess.Popen = subprocess.call = refuse
    execute, evaluate = builtins.exec, builtins.eval
    sys.addaudithook(hook)
    builtins.exec = builtins.eval = refuse
    for mmap in (True, False):
        good, damaged = find(root, mmap=mmap)
        outcomes |= {str(d.path.relative_to(root)): "damaged" for d in damaged}
        for checkpoint in good:
            outcomes[str(checkpoint.path.relative_to(root))] = attempt(read_all, checkpoint)
        for path in sorted(p for p in root.rglob("*") if p.suffix != ".py"):
            attempt(lambda path=path, mmap=mmap: read_all(open_checkpoint(path, mmap=mmap)))
    builtins.exec, builtins.eval = execute, evaluate
    print(json.dumps({"seen": seen, "outcomes": outcomes, "torch": torch.__version__}))


def attempt(action, *args):
    try:
        action(*args)
    except CheckpointError:
        return "refused"
    return "read"


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
