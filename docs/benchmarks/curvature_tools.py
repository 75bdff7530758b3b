"""The tools of the curvature benchmarks, called as a user would, each in its own process.

    python docs/benchmarks/curvature_tools.py TOOL MODEL FOLDER

Requests come as JSON lines, {"k": 10, "rtol": 1e-3}, and each is answered with one: eigenvalues,
products, seconds, extra memory. The time runs from the model in memory to the eigenvalues, with all
that a tool does before its first product; nothing is kept from one request to the next. Before the
first, the tool runs on a network of two layers, so that what it and torch import late is not timed.

    dyntools      Lanczos on a kept gradient graph, by its public functions
    kept_graph    no tool: the same products in bare torch, with ARPACK
    curvlinops    HessianLinearOperator with ARPACK (scipy.sparse.linalg.eigsh)
    eigenthings   hessian_eigenthings.lanczos; rtol null is its default budget of 2 k steps
    pyhessian     power iteration, one eigenvalue after the other
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import torch
from curvature_models import Task, load
from curvature_reference import arpack, double_backward
from torch import Tensor, nn

if TYPE_CHECKING:
    from dyntools import Engine, Snapshot

Product = Callable[..., Any]


class Watch:
    """Counts and times the products of one run.

    seconds: CPU time of each product. set_up: CPU time before the first.
    """

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.set_up = 0.0
        self._begun = time.process_time()

    def around(self, product: Product) -> Product:
        def watched(*given: Any, **named: Any) -> Any:
            started = time.process_time()
            if not self.seconds:
                self.set_up = started - self._begun
            result = product(*given, **named)
            self.seconds.append(time.process_time() - started)
            return result

        return watched


# The tools: (task, watch, k, rtol) → the k largest eigenvalues -----------------------------------


def dyntools(task: Task, watch: Watch, k: int, rtol: float) -> list[float]:
    from dyntools import measure

    snapshot = snapshot_at(task)
    risk = snapshot.risk()
    risk.product = watch.around(risk.product)  # type: ignore[method-assign]
    return measure(snapshot, "hessian_top", k=k, rtol=rtol).values.ravel().tolist()


def kept_graph(task: Task, watch: Watch, k: int, rtol: float) -> list[float]:
    return arpack(watch.around(double_backward(task)), task, k, rtol)


def curvlinops(task: Task, watch: Watch, k: int, rtol: float) -> list[float]:
    from curvlinops import HessianLinearOperator

    data = [(task.inputs, task.targets)]
    loss = nn.CrossEntropyLoss()
    matrix = HessianLinearOperator(task.model, loss, task.parameters(), data).to_scipy()
    return arpack(watch.around(matrix.matvec), task, k, rtol)


def eigenthings(task: Task, watch: Watch, k: int, rtol: float | None) -> list[float]:
    """With a tolerance, its budget is doubled until its own flags say converged.

    It cannot go on from where it stopped, so every budget starts anew.
    """
    from hessian_eigenthings import HessianOperator, lanczos, supervised_loss

    loss = supervised_loss(nn.CrossEntropyLoss())
    operator = HessianOperator(task.model, [(task.inputs, task.targets)], loss)
    operator.matvec = watch.around(operator.matvec)
    if rtol is None:
        return lanczos(operator, k=k, which="LA", seed=0).eigenvalues.tolist()
    settings = {"k": k, "tol": rtol, "which": "LA", "seed": 0, "reorthogonalize": True}
    for doublings in range(5):
        found = lanczos(operator, max_iter=2 * k * 2**doublings, **settings)
        if found.converged.all():
            break
    return found.eigenvalues.tolist()


def pyhessian(task: Task, watch: Watch, k: int, rtol: float) -> list[float]:
    import pyhessian

    module = sys.modules[pyhessian.hessian.__module__]
    data, loss = (task.inputs, task.targets), nn.CrossEntropyLoss()
    name = "hessian_vector_product"
    with patch.object(module, name, watch.around(getattr(module, name))):
        tool = pyhessian.hessian(task.model, loss, data=data, cuda=False)
        values = tool.eigenvalues(maxIter=2000, tol=rtol, top_n=k)[0]
    return [float(value) for value in values]


TOOLS: dict[str, Callable[..., list[float]]] = {
    tool.__name__: tool for tool in (dyntools, kept_graph, curvlinops, eigenthings, pyhessian)
}


def snapshot_at(task: Task, engine: Engine | None = None) -> Snapshot:
    """A fresh Problem for dyntools, at the weights of the task."""
    from dyntools import Engine, Problem, snapshot_of

    def loss(outputs: Tensor, batch: Any) -> Tensor:
        return nn.functional.cross_entropy(outputs, batch[1].flatten())

    batch = (task.inputs, task.targets.view(len(task.inputs), -1))
    problem = Problem(task.model, [batch], loss, engine=engine or Engine())
    return snapshot_of(task.model, 0, problem=problem)


# One request after the other ---------------------------------------------------------------------


def answer(tool: str, task: Task, k: int, rtol: float | None) -> dict[str, Any]:
    """Eigenvalues and cost; `extra`: MiB at the peak beyond the loaded model."""
    gradient = median(seconds_of_gradient(task) for _ in range(5))
    resting = rest()
    torch.manual_seed(0)  # PyHessian draws from the global generator
    watch, cpu, wall = Watch(), time.process_time(), time.perf_counter()
    values = TOOLS[tool](task, watch, k, rtol)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {
        "values": sorted(values, reverse=True),
        "products": len(watch.seconds),
        "cpu": cpu,
        "wall": wall,
        "set_up": watch.set_up,
        "inside": sum(watch.seconds),
        "product": median(watch.seconds) / gradient,
        "extra": resident("VmHWM") - resting,
    }


def seconds_of_gradient(task: Task) -> float:
    started = time.process_time()
    torch.autograd.grad(task.loss(), task.parameters())
    return time.process_time() - started


def rest() -> float:
    """Resident MiB after giving back what is free; the peak is counted from here."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    forget_peak()
    return resident("VmRSS")


def forget_peak() -> None:
    """VmHWM counts from here, see proc(5)."""
    Path("/proc/self/clear_refs").write_text("5")


def resident(key: str) -> float:
    """MiB, from the kernel."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(key + ":")[1].split()[0]) / 1024


def two_layers() -> Task:
    """What every tool is warmed up with."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 3))
        return Task(model.eval(), torch.randn(32, 8), torch.arange(32) % 3)


def main(tool: str, model: str, folder: str) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    answers, sys.stdout = sys.stdout, sys.stderr  # for tools that print
    try:
        TOOLS[tool](two_layers(), Watch(), 1, 1e-2)
    except ImportError as why:
        print(json.dumps({"missing": str(why)}), file=answers)
        return
    for line in sys.stdin:
        request = json.loads(line)
        found = answer(tool, load(model, Path(folder)), request["k"], request["rtol"])
        print(json.dumps(request | found), file=answers, flush=True)
        told = f"{found['products']} products, {found['wall']:.1f} s"
        print(f"{tool} {model} {line.strip()}: {told}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
