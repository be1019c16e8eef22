"""The head's mesh and its shape targets, as shipped in `demo-heads.npz` (CC0).

The mesh is in decimetres: x to the head's left (the picture's right), y up, z towards the camera.
A shape target is a sparse field of vertex offsets; identity targets make a person, face units
(their names begin with "fu/") make an expression.
"""

from __future__ import annotations

import functools
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evfer.errors import RecordingError
from evfer.files import sha256_file
from evfer.heads.raster import add_targets, rasterise

__all__ = [
    "ASSET_PATH",
    "CAVITY",
    "FACE_TARGETS",
    "HAIR",
    "HAIR_INSIDE",
    "LEFT_EYE",
    "NOSTRIL",
    "QUANTUM",
    "RIGHT_EYE",
    "SKIN",
    "TEETH",
    "TONGUE",
    "HeadAsset",
    "asset_sha256",
    "load_asset",
]

ASSET_PATH = Path(__file__).with_name("demo-heads.npz")

QUANTUM = 1000.0
"""Stored coordinates a decimetre; the published targets have three decimals, so none is lost."""

# materials of triangles; the shading kernel knows them by these numbers
SKIN, LEFT_EYE, RIGHT_EYE, TEETH, TONGUE, CAVITY, NOSTRIL, HAIR, HAIR_INSIDE = range(9)

FACE_TARGETS = (
    *("head/head-", "forehead/forehead-", "cheek/", "chin/chin-", "nose/nose-", "mouth/mouth-"),
    *("eyes/", "eyebrows/eyebrows-", "asym/asym-brown", "asym/asym-jaw", "asym/asym-mouth"),
    *("asym/asym-eye", "asym/asym-nose", "ears/l-ear-scale", "ears/r-ear-scale"),
)
"""Beginnings of the names of targets that change the face and not sex, age or body."""

_UNIT_PREFIX = "fu/"


@dataclass(frozen=True, eq=False)
class HeadAsset:
    """The mean head and every shape target.

    Attributes:
        vertices: mean head, decimetres, shape (n, 3), float32.
        triangles: vertex numbers, counter-clockwise from outside, shape (m, 3), int32.
        materials: `SKIN` and so on, shape (m,), int32.
        names: the targets' names; the first `n_units` are face units.
        offsets: where each target's rows begin and end, shape (targets + 1,), int32.
        indices: vertex numbers of the rows, shape (rows,), int16.
        deltas: offsets of those vertices, decimetres, shape (rows, 3), float32.
    """

    vertices: NDArray[np.float32]
    triangles: NDArray[np.int32]
    materials: NDArray[np.int32]
    names: tuple[str, ...]
    offsets: NDArray[np.int32]
    indices: NDArray[np.int16]
    deltas: NDArray[np.float32]

    @functools.cached_property
    def unit_names(self) -> tuple[str, ...]:
        """Names of the face units, such as "jawOpen", in the asset's order."""
        return tuple(
            name.removeprefix(_UNIT_PREFIX) for name in self.names if name.startswith(_UNIT_PREFIX)
        )

    @functools.cached_property
    def unit_number(self) -> dict[str, int]:
        """A face unit's place in `unit_names`, by its name; its target has the same number."""
        return {name: number for number, name in enumerate(self.unit_names)}

    @functools.cached_property
    def number(self) -> dict[str, int]:
        """A target's number by its name."""
        return {name: number for number, name in enumerate(self.names)}

    def vertices_of(self, *materials: int) -> NDArray[np.intp]:
        """Numbers of the vertices that triangles of these materials use, in rising order."""
        return np.unique(self.triangles[np.isin(self.materials, materials)]).astype(np.intp)

    @functools.cached_property
    def eyes(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Numbers of the vertices of the left and the right eyeball."""
        return self.vertices_of(LEFT_EYE), self.vertices_of(RIGHT_EYE)

    def shape(self, amounts: dict[str, float]) -> NDArray[np.float32]:
        """Add identity targets to the mean head.

        Args:
            amounts: how much of each target, by its name; 1 is the target as published.

        Returns:
            Vertices, decimetres, shape (n, 3), a new array.
        """
        targets = np.array([self.number[name] for name in amounts], np.int32)
        factors = np.array(list(amounts.values()), np.float32)
        shaped = self.vertices.copy()
        add_targets(shaped, self.offsets, self.indices, self.deltas, targets, factors)
        return shaped


def asset_sha256() -> str:
    """Give the SHA-256 of the shipped asset, as hexadecimal."""
    return sha256_file(ASSET_PATH)


@functools.lru_cache(maxsize=1)
def load_asset() -> HeadAsset:
    """Read the shipped asset, once a process.

    Raises:
        RecordingError: if the file is missing or damaged.
    """
    try:
        # NumPy leaves a file open that it cannot read, so it is opened here
        with ASSET_PATH.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            stored: dict[str, NDArray[Any]] = {name: arrays[name] for name in arrays.files}
        vertices = (stored["V"] / np.float32(QUANTUM)).astype(np.float32)
        triangles = stored["T"].astype(np.int32)
        materials = stored["M"].astype(np.int32)
        names = tuple(str(name) for name in stored["names"])
        offsets = stored["off"].astype(np.int32)
        indices = stored["idx"].astype(np.int16)
        deltas = (stored["dat"] / np.float32(QUANTUM)).astype(np.float32)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise RecordingError(
            f"cannot read {ASSET_PATH.name}: {error}",
            expected="the demo heads that come with evfer",
            hint="Install evfer again",
        ) from error
    _mark_hollows(vertices, triangles, materials)
    for array in (vertices, triangles, materials, offsets, indices, deltas):
        array.flags.writeable = False
    return HeadAsset(vertices, triangles, materials, names, offsets, indices, deltas)


def _mark_hollows(
    vertices: NDArray[np.float32], triangles: NDArray[np.int32], materials: NDArray[np.int32]
) -> None:
    """Tell the mouth's inside and the nostrils from skin, in `materials`.

    The mesh is one skin that runs on into the mouth and nose; what the closed face hides from the
    front, near the mouth and the nose, is inside.
    """
    side, pixels_per_unit, top = 900, 450.0, 8.0
    points = np.empty_like(vertices)
    points[:, 0] = side / 2 + pixels_per_unit * vertices[:, 0]
    points[:, 1] = pixels_per_unit * (top - vertices[:, 1])
    points[:, 2] = vertices[:, 2]
    depth = np.empty((side, side), np.float32)
    owner = np.empty((side, side), np.int32)
    rasterise(points, triangles, depth, owner)
    hidden = np.ones(len(triangles), bool)
    hidden[np.unique(owner[owner >= 0])] = False
    hidden &= materials == SKIN
    x, y, z = vertices[triangles].mean(1).T
    materials[hidden & (np.abs(x) < 0.33) & (y > 6.40) & (y < 6.78) & (z > 0.7)] = CAVITY
    materials[hidden & (np.abs(x) < 0.15) & (y > 6.86) & (y < 7.05) & (z > 1.25)] = NOSTRIL
