"""Modules import downwards only, siblings of one layer keep apart, and torch stays where it is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "evfer"

LAYERS = [
    {"errors"},
    {"events", "config", "csv_files", "files", "locks", "plugins", "provenance", "region"},
    {"recordings", "video", "workers", "formats"},
    {"faces", "heads", "interpolation", "emulator", "frames", "transforms", "pictures"},
    {"datasets", "folds", "models", "metrics"},
    {"convert", "inputs", "energy", "ferdvs"},
    {"training"},
    {"bench"},
    {"report", "study", "view", "demo", "catalog", "doctor", "info"},
    {"cli", "testing"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
APART = LAYERS[3]
TORCH_HOMES = {"models", "inputs", "training", "bench"}
HEAVY = {"torch", "dlib", "cv2", "numba", "tonic", "matplotlib", "accelerate", "spikingjelly"}


def part(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def modules():
    skip = {"__init__.py", "__main__.py"}
    return [
        p for p in sorted(PACKAGE.rglob("*.py")) if not (p.parent == PACKAGE and p.name in skip)
    ]


def imports(path: Path, *, top_level_only: bool = False):
    """Names of the modules a file imports; those for type checking alone do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))

    def visit(node):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if top_level_only and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if isinstance(child, ast.Import):
                yield from (alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}: relative import"
                yield child.module
                if child.module == "evfer":
                    yield from (f"evfer.{alias.name}" for alias in child.names)
            yield from visit(child)

    return set(visit(tree))


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_imports_go_down(path):
    here = part(path)
    assert here in LEVEL, f"{here} stands in no layer; add it to LAYERS"
    for name in imports(path):
        if not name.startswith("evfer."):
            continue
        there = name.split(".")[1]
        if there == here or there not in LEVEL:  # a name of evfer/__init__.py
            continue
        if here in APART:
            assert there not in APART, f"{here} and {there} are siblings"
        # in one layer the order of the line above says who may use whom
        assert LEVEL[there] <= LEVEL[here], f"{here} imports {there} from above"


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_torch_stays_with_learning(path):
    names = {name.split(".")[0] for name in imports(path, top_level_only=True)}
    if part(path) not in TORCH_HOMES and not path.name.endswith("_torch.py"):
        assert "torch" not in names
    if part(path) != "ferdvs":
        assert "tonic" not in names, "tonic is imported in one module"


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_files_stay_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500


def close_circles(edges):
    """Names from which the arrows lead back to themselves, with all they pass."""
    for start in edges:
        seen, todo = set(), set(edges[start])
        while todo:
            name = todo.pop()
            seen.add(name)
            todo |= edges.get(name, set()) - seen
        if start in seen:
            yield start, seen


def test_no_import_circle_between_files_of_a_room():
    names = {
        "evfer." + ".".join(p.relative_to(PACKAGE).with_suffix("").parts): p for p in modules()
    }
    edges = {}
    for name, path in names.items():
        imported = imports(path)  # those inside functions too
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                full = {f"{node.module}.{alias.name}" for alias in node.names}
                imported |= full if node.module in imported else set()
        edges[name] = {
            other
            for other in imported & names.keys()
            if part(names[other]) == part(path) and other != name
        }
    assert [start for start, _ in close_circles(edges)] == []


def test_no_import_cycle_inside_a_layer():
    edges = {}
    for path in modules():
        here = part(path)
        for name in imports(path):
            there = name.split(".")[1] if name.startswith("evfer.") else ""
            if there in LEVEL and there != here and LEVEL[there] == LEVEL[here]:
                edges.setdefault(here, set()).add(there)
    for start, seen in close_circles(edges):
        raise AssertionError(f"{start} imports itself by way of {seen}")
