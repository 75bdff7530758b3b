"""The loops of docs/how-to/measure-during-training.md run as they stand and seal what they say."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from dyntools.hdf5 import read
from tests.processes import ROOT, python, torchrun

PAGE = ROOT / "docs/how-to/measure-during-training.md"
BLOCK = re.compile(r"^```py\n# (\w+\.py)(.*?)^```$", re.MULTILINE | re.DOTALL)
FILES = dict(BLOCK.findall(PAGE.read_text()))
HOSTS = {
    "with_lightning.py": ("lightning",),
    "with_trainer.py": ("transformers", "accelerate"),
    "with_accelerate.py": ("accelerate",),
    "stopping_lightning.py": ("lightning",),
    "stopping_trainer.py": ("transformers", "accelerate"),
}


def laid_out(folder: Path) -> None:
    for name, body in FILES.items():
        (folder / name).write_text(f"#{body}")


def loop(name: str, *given: object) -> object:
    """A case of a test, marked where it needs a host."""
    return pytest.param(name, *given, marks=[pytest.mark.host] if name in HOSTS else [], id=name)


def run(name: str, folder: Path) -> CompletedProcess[str]:
    for host in HOSTS.get(name, ()):
        if not find_spec(host):
            pytest.skip(f"{host} is not installed")
    laid_out(folder)
    if "ddp" in name:
        return torchrun(2, name, cwd=folder)
    code = f"import sys, runpy; sys.path.insert(0, '.'); runpy.run_path('{name}')"
    return python(code, cwd=folder)


def test_every_block_of_the_page_is_a_file() -> None:
    assert len(FILES) == PAGE.read_text().count("```py\n") == 10
    assert HOSTS.keys() < FILES.keys()


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        loop("plain.py", {"layer_rotation": [0, 10, 20, 30], "hessian_top": [0, 10, 20, 30]}),
        loop("accumulation.py", {"weight_norm": [2, 4, 6, 8]}),
        loop("with_lightning.py", {"weight_norm": [0, 10, 20, 30], "update_snr": [0, 10, 20, 30]}),
        loop("with_trainer.py", {"layer_rotation": [0, 10, 20], "hessian_top": [0, 10, 20]}),
        loop("with_accelerate.py", {"weight_norm": [4, 8, 12, 16], "update_snr": [4, 8, 12, 16]}),
        loop("with_ddp.py", {"weight_norm": [4, 8, 12, 16], "update_snr": [4, 8, 12, 16]}),
    ],
)
def test_loop(name: str, steps: dict[str, list[int]], tmp_path: Path) -> None:
    done = run(name, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "records no more" not in done.stderr
    folder = tmp_path / "out" if name == "with_trainer.py" else tmp_path
    report = read(folder / "live.h5")
    assert set(report.series) == set(steps)
    for metric, wanted in steps.items():
        assert report.series[metric].steps.tolist() == wanted, metric
    assert report.log is not None
    assert len(report.log.curves)


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        loop("stopping.py", 200, 250),
        loop("stopping_lightning.py", 200, 250),
        loop(
            "stopping_trainer.py", 80, 150
        ),  # where the rate is too high; 400 steps were asked for
    ],
)
def test_a_loop_stops_at_what_is_found(name: str, first: int, last: int, tmp_path: Path) -> None:
    done = run(name, tmp_path)
    assert done.returncode == 0, done.stderr
    (step,) = re.findall(r"stopped at step (\d+): Training loss", done.stdout)
    assert first <= int(step) <= last
