"""The documentation's site, and the file that says how to cite evfer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import evfer

ROOT = Path(__file__).parents[1]


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == evfer.__version__
    assert citation["license"] == "MIT"


def build(root, site):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(site)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_the_site_is_built_and_its_links_hold(tmp_path):
    pytest.importorskip("mkdocs")
    done = build(ROOT, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    api = tmp_path / "site" / "api"
    assert 'id="evfer.emulator.DVSEmulator"' in (api / "emulator" / "index.html").read_text()
    pages = [page.read_text() for page in (tmp_path / "site").rglob("*.html")]
    assert not [page for page in pages if 'src="http' in page or "fonts.googleapis" in page]


@pytest.mark.slow
def test_a_link_to_nowhere_is_told(tmp_path):
    pytest.importorskip("mkdocs")
    (tmp_path / "docs").mkdir()
    for name in ("mkdocs.yml", "docs/generated_pages.py"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / "README.md").write_text("# evfer\n\nSee [it](docs/nowhere.md) and [that](#no).\n")
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    assert "'nowhere.md'" in done.stderr
    assert "'#no'" in done.stdout + done.stderr
