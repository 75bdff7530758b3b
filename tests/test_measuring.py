"""One function for every door: the same weights give the same bits, alive or from disk."""

from __future__ import annotations

import pytest
import torch

from dyntools import make_plan, measure, open_run, snapshots
from dyntools.errors import UsageError
from dyntools.measuring import device_of
from dyntools.snapshot import Snapshot
from tests.processes import FIXTURES

RUN = FIXTURES / "runs/digits-mlp"


@pytest.mark.parametrize("name", ["cuda:99", "tpu", "nonsense"])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no device"):
        device_of(name)


def test_live_and_from_disk_the_bits_agree() -> None:
    """The third door: a snapshot of tensors in memory says what the checkpoint says."""
    from dyntools.snapshot import Tensors

    run = open_run(RUN)
    stored = list(snapshots(run))[-1]

    def alive(one: Snapshot | None) -> Snapshot | None:
        if one is None:
            return None
        params = Tensors.of(dict(one.params))
        return Snapshot(one.step, params, open_optimizer=one.open_optimizer)

    live = Snapshot(
        stored.step,
        Tensors.of(dict(stored.params)),
        initial=alive(stored.initial),
        previous=alive(stored.previous),
        log=stored.log,
        open_optimizer=stored.open_optimizer,
    )
    for task in make_plan(run).tasks:
        a, b = measure(stored, task.metric), measure(live, task.metric)
        assert a.values.tobytes() == b.values.tobytes(), task.name
        assert a.skipped == b.skipped


def test_the_bits_do_not_depend_on_the_number_of_threads() -> None:
    """torch sums large blocks in another order on two threads; and they are given back after."""
    from dyntools.metrics.weights import WEIGHTS
    from dyntools.snapshot import Tensors

    generator = torch.Generator().manual_seed(0)
    start = Snapshot(0, Tensors.of({"w": torch.randn(900, 700, generator=generator)}))
    now = Snapshot(
        9,
        Tensors.of({"w": torch.randn(900, 700, generator=generator)}),
        initial=start,
        previous=start,
    )
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        fresh = Snapshot(9, now.params, initial=start, previous=start)
        found.append([measure(fresh, metric).values.tobytes() for metric in WEIGHTS])
        assert torch.get_num_threads() == threads
    assert found[0] == found[1]
