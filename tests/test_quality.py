"""The code is formatted, linted and type-checked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    "command",
    [("ruff", "format", "--check", "."), ("ruff", "check", "."), ("mypy", "--no-error-summary")],
    ids=lambda command: " ".join(command[:2]),
)
def test_tool_finds_nothing(command):
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_dependency_is_pinned():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    extras = project["optional-dependencies"]
    wanted = project["dependencies"] + [
        w for e in ("test", "dask", "export", "docs") for w in extras[e]
    ]
    wanted.remove("evfer[dask,export,docs]")
    names = {w.split(">")[0].split("[")[0].lower().replace("_", "-") for w in wanted}
    assert names <= pins
