"""The star holds: inner rings never import outer ones, and no stage imports another."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "datacomp"
GROUND = {"", "axes", "bootstrap", "errors", "rooms", "records", "digest", "draws", "files", "hub", "places", "progress", "sorting"}
GROUND |= {"pages", "tables", "tar_blocks", "tars", "uids"}
RINGS = (
    GROUND,
    {"declared"},
    {"artifacts"},
    {"network", "launch"},
    {"pool", "score", "filters", "cluster", "subset", "decontaminate", "reshard", "train", "evaluate", "scaling", "board", "submit"},
    {"pipelines"},
    {"cli", "__main__"},
)
RING_OF = {name: ring for ring, names in enumerate(RINGS) for name in names}
SHARED_RINGS = (0, 6)  # modules of the ground may use each other, and so may the commands


def imported(source: str) -> set[str]:
    """Every module of the package that some source imports, at the top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "datacomp"}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "datacomp":
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(module: str) -> str:
    """The ring's member that a dotted name belongs to: `datacomp.train.loop` to `train`."""
    parts = module.split(".")[1:]
    return parts[0] if parts and parts[0] in RING_OF else ""


def violations(importer: str, source: str) -> list[str]:
    """What a module imports and must not."""
    found = []
    for module in sorted(imported(source)):
        target = room(module)
        allowed = RING_OF[target] < RING_OF[importer] or target == importer or (RING_OF[target] == RING_OF[importer] and RING_OF[importer] in SHARED_RINGS)
        if not allowed:
            found.append(f"{importer} imports {module}")
    return found


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_imports_inner_rings_only(path):
    name = path.relative_to(PACKAGE).parts[0].removesuffix(".py").replace("__init__", "")
    assert name in RING_OF, f"{name} has no ring: give it one here, and say in docs/guide.md what it is for"
    assert violations(name, path.read_text()) == []


@pytest.mark.parametrize(
    ("importer", "source"),
    [
        ("train", "from datacomp.evaluate import run"),
        ("network", "import datacomp.train.loop"),
        ("declared", "def later():\n    from datacomp.artifacts import pool"),
        ("pipelines", "from datacomp import cli"),
    ],
)
def test_a_forbidden_import_is_found(importer, source):
    assert violations(importer, source) != []


def test_modules_and_functions_stay_short():
    long_functions, functions = [], 0
    for path in modules():
        text = path.read_text()
        assert text.count("\n") <= 400, f"{path.name} is longer than 400 lines"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                functions += 1
                length = node.end_lineno - node.lineno + 1
                assert length <= 80, f"{path.name}:{node.name} has {length} lines"
                long_functions += [f"{path.name}:{node.name}"] * (length > 50)
    assert len(long_functions) < 0.03 * functions, long_functions
