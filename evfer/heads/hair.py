"""Hair as a second surface around the skull, cut by style.

The surface is a grid: columns run round the head, rows run from the crown along the strands to
their tips. Above the ears the rows follow the skull, below they hang. Angles round the head are 0
at the face and half a turn at the back. Lengths are decimetres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evfer.errors import UnknownNameError
from evfer.heads.asset import HAIR, HAIR_INSIDE, SKIN, HeadAsset

__all__ = ["STYLES", "HairStyle", "HairSurface", "grow_hair", "paint_strands"]

_COLUMNS, _ROWS = 112, 18
_STRANDS_HEIGHT = 32
_STRANDS_PER_COLUMN = 4
_CENTRE = np.array([0.0, 7.45, 0.35])
_HANG = np.deg2rad(97.0)
"""Angle from the crown at which hair leaves the skull and hangs."""


@dataclass(frozen=True)
class HairStyle:
    """How hair is cut.

    Attributes:
        reach_deg: angle from the crown at which strands end, at 0, 28, 46, 58, 66, 112, 126 and 180
            degrees round the head; beyond `_HANG`, one degree is `drop` decimetres downwards.
        thickness: smallest and largest height over the skull.
        taper: share of a strand's length over which it comes down to the skin; 0 for a fringe.
        ragged_deg: unevenness of the tips.
        curl: height of curls over the thickness.
    """

    reach_deg: tuple[float, float, float, float, float, float, float, float]
    thickness: tuple[float, float]
    taper: float
    ragged_deg: float
    curl: float


_ROUND_DEG = (0.0, 28.0, 46.0, 58.0, 66.0, 112.0, 126.0, 180.0)
_DROP = 0.022

STYLES: dict[str, HairStyle] = {
    "crop": HairStyle((62, 62, 64, 74, 90, 92, 112, 118), (0.03, 0.10), 0.40, 1.0, 0.0),
    "fringe": HairStyle((77, 77, 77, 80, 92, 93, 112, 120), (0.06, 0.13), 0.0, 2.5, 0.0),
    "swept": HairStyle((61, 60, 60, 70, 90, 92, 112, 118), (0.05, 0.13), 0.35, 0.7, 0.0),
    "curls": HairStyle((63, 63, 65, 76, 94, 96, 118, 122), (0.10, 0.22), 0.22, 1.5, 0.05),
    "bob": HairStyle((60, 60, 62, 96, 132, 136, 138, 138), (0.08, 0.16), 0.3, 1.5, 0.0),
    "bob fringe": HairStyle((77, 77, 78, 100, 132, 136, 138, 138), (0.08, 0.15), 0.0, 2.0, 0.0),
    "long": HairStyle((60, 60, 62, 100, 158, 166, 170, 172), (0.07, 0.16), 0.3, 2.5, 0.0),
}
"""Every cut that is a surface; shorn and bald heads have none."""


@dataclass(frozen=True, eq=False)
class HairSurface:
    """A hair surface, to be appended to a head.

    Attributes:
        vertices: decimetres, shape (n, 3), float32.
        triangles: vertex numbers from 0, shape (m, 3), int32; the outer side first, then the side
            that faces the head, whose triangles use the same vertices the other way round.
        materials: `HAIR` or `HAIR_INSIDE`, shape (m,), int32.
        n_outer: number of outer triangles.
        texels: column and row in the strand texture, shape (n, 2), float32.
    """

    vertices: NDArray[np.float32]
    triangles: NDArray[np.int32]
    materials: NDArray[np.int32]
    n_outer: int
    texels: NDArray[np.float32]


def grow_hair(
    rng: np.random.Generator, asset: HeadAsset, vertices: NDArray[np.float32], style: str
) -> HairSurface:
    """Make a person's hair.

    Args:
        rng: draws volume, parting and unevenness.
        asset: the mean head, which tells the skull from ears and neck.
        vertices: the person's head, decimetres, shape (asset vertices, 3).
        style: one of `STYLES`.

    Returns:
        The surface.

    Raises:
        UnknownNameError: if there is no such style.
    """
    if style not in STYLES:
        raise UnknownNameError("hair style", style, STYLES)
    cut = STYLES[style]
    turn = np.linspace(-np.pi, np.pi, _COLUMNS, endpoint=False)
    reach = np.deg2rad(np.interp(np.rad2deg(np.abs(turn)), _ROUND_DEG, cut.reach_deg))
    reach = reach + np.deg2rad(rng.normal(0, 1.5))
    # one side a little lower, as a parting makes it
    reach = reach + np.deg2rad(rng.normal(0, 2.5)) * np.sin(turn) * (np.abs(turn) < 1.2)
    reach = reach + np.deg2rad(cut.ragged_deg) * _locks(rng)
    along = np.linspace(0, 1, _ROWS)[:, None]
    angle = along * reach[None, :]
    on_skull = np.minimum(angle, _HANG)
    directions = np.stack(
        [
            np.sin(on_skull) * np.sin(turn),
            np.cos(on_skull),
            np.sin(on_skull) * np.cos(turn),
        ],
        -1,
    )
    skull, centre = _skull_radius(asset, vertices, directions)
    height = rng.uniform(*cut.thickness) * _profile(cut, turn, along, reach)
    height = height + 0.008 * _locks(rng)[None, :] * along + 0.012
    # the last row dives under the skin, so that no gap shows along the edge
    height[-1] -= np.where(reach > _HANG, 0.0, 0.03)
    if cut.curl:
        height = height + cut.curl * _curls(rng) * np.minimum(1, 6 * along * (1.02 - along))
    place = centre + directions * (skull + height)[..., None]
    hanging = np.maximum(0, angle - _HANG)
    place[..., 1] -= np.rad2deg(hanging) * _DROP
    # hanging hair clears the ears and then falls towards the shoulders
    outwards = _ease(hanging / np.deg2rad(12)) * (0.10 - 0.10 * _ease(hanging / np.deg2rad(70)))
    place[..., 0] += np.sin(turn) * outwards
    return _to_surface(place, (hanging > 0).ravel())


def _profile(
    cut: HairStyle,
    turn: NDArray[np.float64],
    along: NDArray[np.float64],
    reach: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Share of the full height: flat on the crown, full on the way, at the tips as cut."""
    if cut.taper == 0:
        ends, taper = np.where(np.abs(turn) < np.deg2rad(62), 0.5, 0.0), 0.3
    else:
        ends, taper = np.zeros_like(turn), cut.taper
    ends = np.where(reach > _HANG + 0.1, 1.0, ends)
    # soften the change between neighbouring columns
    for _ in range(3):
        ends = (np.roll(ends, 1) + 2 * ends + np.roll(ends, -1)) / 4
    rise = np.sqrt(_ease((1 - along) / taper))
    crown = 0.6 + 0.4 * _ease(along / 0.6)
    return crown * (ends + (1 - ends) * rise)


def _ease(u: NDArray[np.float64]) -> NDArray[np.float64]:
    u = np.clip(u, 0, 1)
    return u * u * (3 - 2 * u)


def _locks(rng: np.random.Generator) -> NDArray[np.float64]:
    """Uneven values round the head, deviation about 1, shape (columns,)."""
    fine = rng.standard_normal(_COLUMNS)
    broad = (np.roll(fine, 1) + fine + np.roll(fine, -1)) / np.sqrt(3)
    return 0.6 * broad + 0.4 * rng.standard_normal(_COLUMNS)


def _curls(rng: np.random.Generator) -> NDArray[np.float64]:
    """Bumps over the whole surface, about -1 to 1, shape (rows, columns)."""
    white = rng.standard_normal((_ROWS, _COLUMNS))
    soft = white + np.roll(white, 1, 1) + np.roll(white, -1, 1)
    soft[1:-1] += 0.5 * (soft[2:] + soft[:-2])
    return np.tanh(soft / soft.std())


def _skull_radius(
    asset: HeadAsset, vertices: NDArray[np.float32], directions: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distance of the skull from its centre in each direction, and the centre.

    Ears and what lies under them are left out, so the surface spans them.
    """
    x, y, z = asset.vertices.T
    ear = (np.abs(x) > 0.70) & (y < 7.47) & (y > 6.7) & (z > -0.1)
    skull = np.zeros(len(x), bool)
    skull[asset.vertices_of(SKIN)] = True
    skull &= (y > 6.95) & ~ear & ~((np.abs(x) < 0.62) & (y < 7.4) & (z > 0.6))
    points = vertices[skull].astype(np.float64)
    top = np.flatnonzero(skull & (y > 7.6))
    centre = _CENTRE + (vertices[top] - asset.vertices[top]).mean(0) * np.array([0, 1, 1])
    offsets = points - centre
    radii = np.linalg.norm(offsets, axis=1)
    # a mean over the neighbourhood, Gaussian in the angle, about 5 degrees wide
    closeness = directions.reshape(-1, 3) @ (offsets / radii[:, None]).T
    weights = np.exp((closeness - 1) * 130.0)
    total = weights.sum(1)
    mean = (weights @ radii) / np.maximum(total, 1e-30)
    return mean.reshape(directions.shape[:-1]), centre


def _to_surface(place: NDArray[np.float64], hangs: NDArray[np.bool_]) -> HairSurface:
    """Join a grid of points, shape (rows, columns, 3), to triangles."""
    row, column = np.mgrid[0 : _ROWS - 1, 0:_COLUMNS]
    after = (column + 1) % _COLUMNS
    a, b = row * _COLUMNS + column, (row + 1) * _COLUMNS + column
    c, d = (row + 1) * _COLUMNS + after, row * _COLUMNS + after
    outer = np.concatenate(
        [np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)]
    )
    # hair on the skull shows its outside only
    inner = outer[np.isin(outer, np.flatnonzero(hangs)).any(1)][:, ::-1]
    materials = np.repeat(np.array([HAIR, HAIR_INSIDE], np.int32), [len(outer), len(inner)])
    texels = np.empty((_ROWS, _COLUMNS, 2), np.float32)
    # mirrored, so that no triangle spans the seam: texture columns go out and back
    texels[..., 0] = _STRANDS_PER_COLUMN * np.abs(np.arange(_COLUMNS) - _COLUMNS // 2)
    texels[..., 1] = np.linspace(0, _STRANDS_HEIGHT - 1, _ROWS)[:, None]
    return HairSurface(
        vertices=place.reshape(-1, 3).astype(np.float32),
        triangles=np.concatenate([outer, inner]).astype(np.int32),
        materials=materials,
        n_outer=len(outer),
        texels=texels.reshape(-1, 2),
    )


def paint_strands(rng: np.random.Generator) -> NDArray[np.float32]:
    """Paint the strand texture.

    Args:
        rng: draws the strands.

    Returns:
        Brightness factor about 1, constant-ish along a strand, shape (h, w), float32.
    """
    width = _STRANDS_PER_COLUMN * (_COLUMNS // 2) + 2
    fine = rng.standard_normal((4, width))
    broad = rng.standard_normal((4, width))
    kernel = np.hanning(13)[1:-1]
    kernel /= np.sqrt((kernel**2).sum())
    broad = np.stack([np.convolve(line, kernel, "same") for line in broad])
    coarse = 0.11 * fine + 0.12 * broad
    # four knots along the strand, joined by straight lines
    at = np.linspace(0, 3, _STRANDS_HEIGHT)
    low = np.minimum(at.astype(int), 2)
    part = (at - low)[:, None]
    strands = 1 + coarse[low] * (1 - part) + coarse[low + 1] * part
    # roots lie in the shadow of the strands above them
    strands *= np.linspace(0.9, 1.06, _STRANDS_HEIGHT)[:, None]
    return np.clip(strands, 0.45, 1.6).astype(np.float32)
