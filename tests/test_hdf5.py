"""The sealed report: nothing is lost in it, any tool reads it, and damage is said."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest

from dyntools import hdf5
from dyntools.errors import ReportError
from dyntools.report import Report
from tests.processes import FIXTURES
from tests.reports import assert_same, random_report


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "report.h5"
    hdf5.write(random_report(), path)
    return path


def test_round_trip_keeps_every_bit(path: Path) -> None:
    assert_same(hdf5.read(path), random_report())


@pytest.mark.parametrize("steps", [(), (5,), tuple(range(3000))])
def test_round_trip_of_no_step_one_step_and_many(steps: tuple[int, ...], tmp_path: Path) -> None:
    report = random_report(steps)
    hdf5.write(report, tmp_path / "r.h5")
    assert_same(hdf5.read(tmp_path / "r.h5"), report)


def test_round_trip_of_an_empty_report(tmp_path: Path) -> None:
    hdf5.write(Report(), tmp_path / "r.h5")
    assert_same(hdf5.read(tmp_path / "r.h5"), Report())


@pytest.mark.parametrize("engine", ["h5netcdf", "netcdf4"])
def test_xarray_opens_every_group(path: Path, engine: str) -> None:
    """With labelled dimensions; float16 or scales in the root would break one of the engines."""
    with warnings.catch_warnings():  # theirs to mend: netCDF4 and xarray warn at import
        warnings.simplefilter("ignore")
        import xarray
    report = random_report()
    groups: list[str] = []
    with h5py.File(path) as file:
        file.visititems(lambda n, item: groups.append(n) if isinstance(item, h5py.Group) else None)
    for group in groups:
        with xarray.open_dataset(path, engine=engine, group=group) as data:
            data.load()
            assert not any("phony" in str(dim) for dim in data.dims)
    series = report["singular_values"]
    group = "metrics/singular_values"
    with xarray.open_dataset(path, engine=engine, group=group) as data:
        assert data["singular_values"].dims == ("step", "layer", "fraction")
        assert data["layer"].values.tolist() == list(series.coords["layer"])
        assert data["singular_values"].attrs["units"] == series.unit
        np.testing.assert_array_equal(data["singular_values"].values, series.values)
    with xarray.open_datatree(path, engine=engine) as tree:
        assert set(report.series) <= {node.name for node in tree["metrics"].children.values()}


def test_no_float16_and_checksums_everywhere(path: Path) -> None:
    datasets: list[h5py.Dataset] = []
    with h5py.File(path) as file:
        file.visititems(
            lambda _, item: datasets.append(item) if isinstance(item, h5py.Dataset) else None
        )
        assert datasets
        for dataset in datasets:
            assert dataset.dtype != np.float16
            if dataset.dtype.kind in "fiu" and dataset.size:
                assert dataset.fletcher32, dataset.name


def test_one_flipped_bit_of_a_number_is_noticed(path: Path) -> None:
    series = random_report()["effective_rank"]
    content = bytearray(path.read_bytes())
    place = content.find(series.values.tobytes())
    assert place > 0
    content[place + 3] ^= 1
    path.write_bytes(content)
    with pytest.raises(ReportError, match="damaged"):
        hdf5.read(path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "not HDF5"), (b"hello", "not HDF5"), (None, "no report")],
)
def test_what_is_no_report_is_said(content: bytes | None, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "r.h5"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ReportError, match=sentence):
        hdf5.read(path)


def test_truncated_anywhere_it_is_an_error_and_never_a_wrong_report(path: Path) -> None:
    content = path.read_bytes()
    for cut in range(0, len(content) - 1, max(len(content) // 25, 1)):
        path.write_bytes(content[:cut])
        with pytest.raises(ReportError):
            hdf5.read(path)


def test_another_schema_and_a_newer_major_version_are_refused(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file.attrs["schema_version"] = "2.0.0"
    with pytest.raises(ReportError, match="does not read"):
        hdf5.read(path)
    with h5py.File(path, "a") as file:
        file.attrs["schema"] = "another"
    with pytest.raises(ReportError, match="not a dyntools report"):
        hdf5.read(path)


def test_a_newer_minor_version_with_more_in_it_is_read(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file.attrs["schema_version"] = "1.7.0"
        file.create_group("something_new")
    assert_same(hdf5.read(path), random_report())


def test_a_failed_write_leaves_the_old_report(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ReportError, match="could not be written"):
        hdf5.write(random_report(seed=5), path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["report.h5"]


@pytest.mark.parametrize("golden", sorted(FIXTURES.glob("reports/*.h5")), ids=lambda p: p.stem)
def test_golden_reports_of_every_version_open_for_ever(golden: Path) -> None:
    """Committed when a version is released, never regenerated: the promise of the format."""
    report = hdf5.read(golden)
    assert report["layer_rotation"].values.shape[0] == len(report["layer_rotation"].steps)
    assert report.log is not None


def test_there_is_a_golden_report_of_this_version() -> None:
    versions = []
    for path in FIXTURES.glob("reports/*.h5"):
        with h5py.File(path) as file:
            versions.append(file.attrs["schema_version"])
    assert hdf5.SCHEMA_VERSION in versions
