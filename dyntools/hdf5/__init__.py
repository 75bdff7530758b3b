"""HDF5: the sealed report file; written whole or not at all, read back as a `Report`.

Layout (docs/reference/report-format.md is the full description):

    /                      attributes: provenance; `schema`, `schema_version`
    /metrics/<name>        <name> (step, …), <name>_error, <name>_status, <name>_<companion>,
                           seconds, matvecs, method, and the coordinates step, layer, …
    /log/<i>               one training curve: value (step), its name and role
    /checkpoints           one row per checkpoint found
    /notes                 sentences

Every axis is an HDF5 dimension scale, so xarray opens each group with h5netcdf and with netCDF4.
Scales stand in each group and none in the root, because groups have steps of their own. No float16
(it crashes netCDF4 readers), `fletcher32` against flipped bits, gzip where it pays.
"""

from __future__ import annotations

from pathlib import Path

import h5py

from dyntools.errors import ReportError
from dyntools.hdf5.reading import read_report
from dyntools.hdf5.writing import write_report
from dyntools.report import Report
from dyntools.whole_file import write_whole

SCHEMA = "dyntools-report"
SCHEMA_VERSION = "1.0.0"  # semantic: readers accept every file of the same major version
LIBVER = ("v110", "v110")  # HDF5 of 2016 and later: half the size of older layouts, checksummed


def write(report: Report, path: Path) -> None:
    """Write `path` atomically, from a file built in memory.

    HDF5 itself never touches the disk: a full one makes its library crash. Raises ReportError.
    """
    with h5py.File(
        path.name, "w", driver="core", backing_store=False, track_order=True, libver=LIBVER
    ) as file:
        file.attrs["schema"], file.attrs["schema_version"] = SCHEMA, SCHEMA_VERSION
        write_report(file, report)
        file.flush()
        content = file.id.get_file_image()
    try:
        write_whole(path, content)
    except OSError as error:
        raise ReportError(
            "The report could not be written.",
            where=str(path),
            found=str(error),
            remedy="free some space, or another path with -o; --resume keeps what was measured",
        ) from error


def check_replaceable(path: Path, *, force: bool) -> None:
    """Raises ReportError unless `path` is free, or holds a report and `force` is given.

    Whatever is no report, a checkpoint or a log, is never replaced.
    """
    if path.is_dir():
        raise ReportError(
            "A report is a file, and this is a folder.", where=str(path), remedy=f"-o {path}/run.h5"
        )
    if not path.exists():
        return
    if not _is_report(path):
        raise ReportError(
            "There is a file here that is no report; it is never overwritten.",
            where=str(path),
            remedy="another path with -o",
        )
    if not force:
        raise ReportError(
            "There is a report here already; it will not be overwritten.",
            where=str(path),
            remedy="another path with -o, or --force",
        )


def _is_report(path: Path) -> bool:
    if not h5py.is_hdf5(path):
        return path.stat().st_size == 0
    try:
        with h5py.File(path, "r") as file:
            return bool(file.attrs.get("schema") == SCHEMA)
    except OSError:
        return True  # HDF5 that ends early: a report that was cut


def read(path: Path) -> Report:
    """Read a report of this major schema version.

    Raises ReportError when the file is missing, no HDF5, truncated, damaged, or of another schema.
    """
    if not path.is_file():
        raise ReportError("There is no report here.", where=str(path), remedy=_MAKE_ONE)
    if not h5py.is_hdf5(path):
        size = path.stat().st_size
        raise ReportError(
            "This file is not HDF5.", where=str(path), found=f"{size} bytes", remedy=_MAKE_ONE
        )
    try:
        with h5py.File(path, "r") as file:
            _check_schema(file, path)
            return read_report(file)
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise ReportError(
            "The report is truncated or damaged.",
            where=str(path),
            found=str(error).splitlines()[0],
            remedy=_MAKE_ONE,
        ) from error


_MAKE_ONE = "dyntools analyze RUN -o REPORT.h5"


def _check_schema(file: h5py.File, path: Path) -> None:
    schema, version = file.attrs.get("schema"), str(file.attrs.get("schema_version", ""))
    if schema != SCHEMA:
        raise ReportError(
            "This HDF5 file is not a dyntools report.",
            where=str(path),
            found=f"schema {schema!r}",
            remedy=_MAKE_ONE,
        )
    if version.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
        raise ReportError(
            "This report has a schema that this dyntools does not read.",
            where=str(path),
            found=f"schema_version {version}, this dyntools reads {SCHEMA_VERSION}",
            remedy="python -m pip install --upgrade dyntools",
        )
