"""Every public module says what it exports, and the package exports what it says."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import evfer

PACKAGE = Path(evfer.__file__).parent


def public_modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        if parts[-1] == "__main__" or any(p.startswith("_") and p != "__init__" for p in parts):
            continue
        if "cli" in parts and parts[-1] != "__init__":
            continue  # each command's module holds its command and nothing else
        yield ".".join(parts).removesuffix(".__init__")


@pytest.mark.parametrize("name", [*public_modules()])
def test_all_names_what_is_there(name):
    module = importlib.import_module(name)
    if name == "evfer.datasets":
        return
    assert hasattr(module, "__all__"), f"{name} has no __all__"
    for exported in module.__all__:
        value = getattr(module, exported)
        if inspect.isfunction(value) or inspect.isclass(value):
            assert value.__doc__, f"{name}.{exported} has no docstring"
    own = {
        key
        for key, value in vars(module).items()
        if not key.startswith("_") and getattr(value, "__module__", None) == name
        and (inspect.isfunction(value) or inspect.isclass(value))
    }  # fmt: skip
    assert own <= set(module.__all__), (
        f"{name}: {own - set(module.__all__)} is neither private nor exported"
    )


def test_package_exports_its_names():
    for name in evfer.__all__:
        assert getattr(evfer, name) is not None
    assert dir(evfer) == sorted(evfer.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        evfer.nothing  # noqa: B018


@pytest.mark.parametrize("code", ["import evfer", "import evfer.cli"])
def test_import_loads_nothing_heavy(code):
    script = f"import sys; {code}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert not loaded & {"torch", "numba", "dlib", "cv2", "tonic", "matplotlib", "scipy", "h5py"}
