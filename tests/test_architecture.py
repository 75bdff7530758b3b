"""Who may import whom, read from the syntax trees; and what must start without torch."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import ROOT, python

PACKAGE = ROOT / "dyntools"
MODULES = sorted(PACKAGE.rglob("*.py"))

# From the ground up; a module imports from lower layers and, within its own, what is listed below.
LAYERS = (
    ("errors", "measurement", "whole_file"),
    ("log", "checkpoint", "matrix", "layer_kinds", "forms", "recipe"),
    ("report", "moments"),
    ("journal", "hdf5"),
    ("assembly", "linalg", "adam_memory", "ranks"),
    ("findings", "views", "optim", "gathering", "checks", "comparison"),
    ("problem", "page"),
    ("snapshot", "operators", "activations"),
    ("metrics", "checkpoints", "logs"),
    ("sequence", "live", "estimation", "gate"),
    ("run", "testing"),
    ("opening",),
    ("plan", "scaffold"),
    ("provenance", "measuring"),
    ("meter", "admission"),
    ("analysis", "verification"),
    ("cli", "callbacks"),
)
WITHIN = {
    ("measurement", "errors"),
    ("log", "errors"),
    ("views", "findings"),
    ("views", "checks"),
    ("views", "comparison"),
    ("comparison", "findings"),
    ("comparison", "checks"),
}
TORCH_FREE = (
    *(
        "errors",
        "measurement",
        "log",
        "report",
        "journal",
        "hdf5",
        "assembly",
        "gathering",
        "findings",
    ),
    *("findings", "views", "metrics", "logs", "checkpoint", "matrix", "forms", "moments", "cli"),
    *("adam_memory", "checks", "comparison", "gate", "testing", "page", "recipe"),
)
HOMES = {
    "h5py": "hdf5",
    "matplotlib": "views",
    "typer": "cli",
    "threadpoolctl": "linalg",
    "jinja2": "page",
    "markupsafe": "page",
}


def room(path: Path) -> str:
    """The top-level module or folder a file belongs to; "" for the package's own files."""
    first = path.relative_to(PACKAGE).parts[0]
    return "" if first.startswith("__") else first.removesuffix(".py")


def imports(path: Path, *, at_run_time: bool = True) -> Iterator[str]:
    """Dotted names imported by a file; without those that only a type checker sees."""
    tree = ast.parse(path.read_text())
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if at_run_time and id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            yield from (f"{module}.{alias.name}" for alias in node.names)


def ours(path: Path) -> set[str]:
    """The rooms that a file imports from at run time."""
    found = (name.split(".")[1] for name in imports(path) if name.startswith("dyntools."))
    return set(found) - {room(path)}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_downward_only(path: Path) -> None:
    here = room(path)
    if not here:
        return
    height = {name: i for i, layer in enumerate(LAYERS) for name in layer}
    assert here in height, f"{here} has no layer"
    for other in ours(path):
        if other == "__main__":
            continue
        assert other in height, f"{other} has no layer"
        allowed = height[other] < height[here] or (here, other) in WITHIN
        assert allowed, f"{path.relative_to(PACKAGE)} must not import {other}"


def test_linalg_knows_no_other_room() -> None:
    for path in PACKAGE.joinpath("linalg").rglob("*.py"):
        assert not ours(path), path


@pytest.mark.parametrize("folder", ["metrics", "findings"])
def test_leaves_never_import_one_another(folder: str) -> None:
    """A metric or a rule stands alone beside its record type and its shared mathematics."""
    leaves = {
        path
        for path in PACKAGE.joinpath(folder).rglob("*.py")
        if ("METRIC" if folder == "metrics" else "def rule(") in path.read_text()
        and path.name != "__init__.py"
        and path.name not in ("metric.py", "finding.py")
    }
    assert len(leaves) >= 5
    names = {path.stem for path in leaves}
    for path in leaves:
        for imported in imports(path):
            if imported.startswith(f"dyntools.{folder}."):
                assert imported.split(".")[-2] not in names, f"{path.name} imports {imported}"


@pytest.mark.parametrize("folder", ["checkpoints", "logs"])
def test_formats_never_import_one_another(folder: str) -> None:
    formats = {
        path.stem: path
        for path in PACKAGE.joinpath(folder).glob("*.py")
        if "\ndef recognises(" in path.read_text() and path.name != "__init__.py"
    }
    assert len(formats) >= 5
    for name, path in formats.items():
        parts = {part for imported in imports(path) for part in imported.split(".")[1:]}
        used = {p for p in parts if f"dyntools.{folder}.{p}" in " ".join(imports(path))}
        assert not (used & set(formats)) - {name}, path


def test_each_library_has_one_home() -> None:
    for path in MODULES:
        for imported in imports(path, at_run_time=False):
            top = imported.split(".")[0]
            if top in HOMES:
                assert room(path) == HOMES[top], f"{path.name} imports {top}"


def test_nothing_stored_is_ever_executed() -> None:
    """No unrestricted unpickling anywhere in the package."""
    forbidden = ("pickle.load(", "pickle.loads(", "weights_only=False", "exec(", "eval(")
    for path in MODULES:
        text = path.read_text()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call):
                call = ast.unparse(node)
                name = ast.unparse(node.func) + "("
                assert name not in forbidden, f"{path.name}: {call}"
                assert "weights_only=False" not in call, f"{path.name}: {call}"


@pytest.mark.parametrize("name", TORCH_FREE)
def test_room_starts_without_torch(name: str) -> None:
    code = (
        f"import dyntools.{name}, sys; "
        "assert 'torch' not in sys.modules, 'torch'; "
        "assert 'matplotlib' not in sys.modules, 'matplotlib'"
    )
    result = python(code)
    assert result.returncode == 0, result.stderr


def test_every_module_says_what_it_is() -> None:
    for path in MODULES:
        assert ast.get_docstring(ast.parse(path.read_text())), path
