"""Skin, brows, lashes, stubble, scalp and shirt, painted into one flat texture; wrinkle layers.

The texture is laid on the head from the front: column follows x and row follows y of the mean
head's vertices, so the same texel is the same place of every face. Colours are blue, green, red,
linear reflectance 0 to 1. All coordinates in this module are decimetres on the mean head.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from evfer.heads.asset import load_asset
from evfer.heads.raster import EMPTY, rasterise

__all__ = [
    "TEXTURE_HEIGHT",
    "TEXTURE_WIDTH",
    "Look",
    "WrinkleLayer",
    "paint_skin",
    "texture_coordinates",
    "wrinkle_layers",
]

Map = NDArray[np.float32]
Strokes = Iterable[Sequence[tuple[float, float]]]

TEXTURE_WIDTH, TEXTURE_HEIGHT = 704, 1120
_LEFT, _TOP = -1.1, 8.7
_PER_UNIT = 320.0
"""Texels a decimetre."""

_LIP_OUTLINE = (
    *((-0.268, 6.612), (-0.15, 6.668), (-0.05, 6.70), (0.0, 6.686), (0.05, 6.70), (0.15, 6.668)),
    *((0.268, 6.612), (0.17, 6.525), (0.08, 6.488), (0.0, 6.482), (-0.08, 6.488), (-0.17, 6.525)),
)
_LIP_LINE = ((-0.262, 6.612), (-0.1, 6.606), (0.0, 6.603), (0.1, 6.606), (0.262, 6.612))
_UPPER_LASHES = ((0.175, 7.285), (0.23, 7.318), (0.31, 7.335), (0.39, 7.318), (0.445, 7.287))
_LOWER_LASHES = ((0.20, 7.262), (0.31, 7.238), (0.41, 7.256))


@dataclass(frozen=True)
class Look:
    """What a person's skin is like.

    Attributes:
        tone: skin colour (blue, green, red).
        hair: hair colour (blue, green, red).
        shirt: shirt colour (blue, green, red).
        male: whether lips and brows follow the male ranges.
        age: 0 (young) to 1 (old).
        stubble: darkness of a shaven beard, 0 to 1.
        beard: density of a short full beard, 0 to 1.
        hairline: height of the painted hair's front edge above the nose root's middle, decimetres.
        temples: how far the hairline climbs beside the middle, decimetres a decimetre.
        scalp: density of the hair painted on the scalp, 0 (shaven) to 1.
        crown_bare: whether only a rim of hair is left above the ears.
        collar: height of the shirt's collar in the middle, decimetres.
    """

    tone: tuple[float, float, float]
    hair: tuple[float, float, float]
    shirt: tuple[float, float, float]
    male: bool
    age: float
    stubble: float
    beard: float
    hairline: float
    temples: float
    scalp: float
    crown_bare: bool
    collar: float


@dataclass(frozen=True, eq=False)
class WrinkleLayer:
    """A place that darkens as face units contract.

    Attributes:
        units: the face units; the strongest of them counts.
        top: first texture row of the patch.
        left: first texture column of the patch.
        darkness: share of light lost at full contraction, shape (h, w), float32.
    """

    units: tuple[str, ...]
    top: int
    left: int
    darkness: Map


def texture_coordinates(vertices: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give the texel (column, row) of every vertex of the mean head, shape (n, 2)."""
    place = np.empty((len(vertices), 2), np.float32)
    place[:, 0] = (vertices[:, 0] - _LEFT) * _PER_UNIT
    place[:, 1] = (_TOP - vertices[:, 1]) * _PER_UNIT
    return place


@functools.lru_cache(maxsize=1)
def _grid() -> tuple[Map, Map]:
    columns = np.arange(TEXTURE_WIDTH, dtype=np.float32) / np.float32(_PER_UNIT) + np.float32(_LEFT)
    rows = np.float32(_TOP) - np.arange(TEXTURE_HEIGHT, dtype=np.float32) / np.float32(_PER_UNIT)
    return columns[None, :], rows[:, None]


@functools.lru_cache(maxsize=1)
def _surface() -> tuple[Map, Map]:
    """Nearness of the mean head under each texel, and 1 where an ear lies there."""
    asset, shrink = load_asset(), 4
    points = np.empty_like(asset.vertices)
    points[:, :2] = texture_coordinates(asset.vertices) / shrink
    points[:, 2] = asset.vertices[:, 2]
    depth = np.empty((TEXTURE_HEIGHT // shrink, TEXTURE_WIDTH // shrink), np.float32)
    owner = np.empty(depth.shape, np.int32)
    rasterise(points, asset.triangles, depth, owner)
    depth[owner == EMPTY] = -1.0
    size = (TEXTURE_WIDTH, TEXTURE_HEIGHT)
    depth = cv2.resize(depth, size, interpolation=cv2.INTER_LINEAR)
    x, y = _grid()
    ear = ((np.abs(x) > 0.76) & (y < 7.46) & (y > 6.7) & (depth > 0.05)).astype(np.float32)
    return depth, cv2.GaussianBlur(ear, (0, 0), 3.0)


def _to_fixed_point(points: Iterable[tuple[float, float]]) -> NDArray[np.int32]:
    """Texels in sixteenths, as OpenCV draws them with shift 4."""
    place = np.array([((x - _LEFT) * _PER_UNIT, (_TOP - y) * _PER_UNIT) for x, y in points])
    return np.rint(place * 16).astype(np.int32)


def _fill(outline: Iterable[tuple[float, float]], softness: float) -> Map:
    area = np.zeros((TEXTURE_HEIGHT, TEXTURE_WIDTH), np.float32)
    cv2.fillPoly(area, [_to_fixed_point(outline)], 1.0, cv2.LINE_AA, 4)
    return cv2.GaussianBlur(area, (0, 0), softness)


def _draw(strokes: Strokes, width: int, softness: float) -> Map:
    area = np.zeros((TEXTURE_HEIGHT, TEXTURE_WIDTH), np.float32)
    for stroke in strokes:
        cv2.polylines(area, [_to_fixed_point(stroke)], False, 1.0, width, cv2.LINE_AA, 4)
    return cv2.GaussianBlur(area, (0, 0), softness)


def _both_sides(strokes: Strokes) -> list[list[tuple[float, float]]]:
    one = [list(stroke) for stroke in strokes]
    return one + [[(-x, y) for x, y in stroke] for stroke in one]


def _noise(rng: np.random.Generator, texels: float) -> Map:
    """Smooth noise of mean 0 and deviation 1 whose blobs are about `texels` wide."""
    shrink = max(1, int(texels / 2))  # broad blobs need no fine grid
    rows, columns = TEXTURE_HEIGHT // shrink, TEXTURE_WIDTH // shrink
    white = rng.standard_normal((rows, columns), np.float32)
    soft = cv2.GaussianBlur(white, (0, 0), texels / shrink)
    if shrink > 1:
        soft = cv2.resize(soft, (TEXTURE_WIDTH, TEXTURE_HEIGHT), interpolation=cv2.INTER_CUBIC)
    return soft / np.float32(soft.std())


def _streaks(rng: np.random.Generator) -> Map:
    """Noise of fine upright lines, mean 0 and deviation 1."""
    white = rng.standard_normal((TEXTURE_HEIGHT // 8, TEXTURE_WIDTH // 2), np.float32)
    soft = cv2.GaussianBlur(white, (0, 0), 0.8)
    soft = cv2.resize(soft, (TEXTURE_WIDTH, TEXTURE_HEIGHT), interpolation=cv2.INTER_CUBIC)
    return soft / np.float32(soft.std())


def _bump(
    x: Map, y: Map, centre: tuple[float, float], size: tuple[float, float], both: bool = True
) -> Map:
    """A Gaussian spot, on both halves of the face."""
    across = np.abs(x) if both else x
    return np.exp(-(((across - centre[0]) / size[0]) ** 2 + ((y - centre[1]) / size[1]) ** 2))


def _step(values: Map, low: float, high: float) -> Map:
    """0 below `low`, 1 above `high`, smooth between."""
    u = np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1)
    return u * u * (3 - 2 * u)


def paint_skin(rng: np.random.Generator, look: Look) -> Map:
    """Paint a person's texture.

    Args:
        rng: draws freckles, hairs and mottling.
        look: what the person is like.

    Returns:
        Reflectance, shape (`TEXTURE_HEIGHT`, `TEXTURE_WIDTH`, 3), float32.
    """
    x, y = _grid()
    light = 1 + 0.02 * _noise(rng, 1.0) + 0.02 * _noise(rng, 3.5) + 0.025 * _noise(rng, 14.0)
    light *= 1 - _spots(rng)
    light *= 1 - rng.uniform(0.06, 0.16) * _bump(x, y, (0.30, 7.30), (0.17, 0.11))
    bags = rng.uniform(0.02, 0.14) * (1 + look.age)
    light *= 1 - bags * _bump(x, y, (0.28, 7.17), (0.13, 0.035))
    blush = rng.uniform(0.02, 0.10) * _bump(x, y, (0.42, 6.95), (0.18, 0.16))
    texture = np.array(look.tone, np.float32) * light[..., None]
    texture *= 1 - blush[..., None] * np.array([0.9, 0.7, 0.0], np.float32)
    texture = _paint_beard(rng, texture, look)
    texture = _paint_mouth(rng, texture, look)
    texture = _paint_scalp(rng, texture, look)
    upper = rng.uniform(0.55, 0.85) * np.clip(_draw(_both_sides([_UPPER_LASHES]), 3, 1.0), 0, 1)
    lower = 0.35 * np.clip(_draw(_both_sides([_LOWER_LASHES]), 1, 1.2), 0, 1)
    texture *= ((1 - upper) * (1 - lower))[..., None]
    texture = _paint_brows(rng, texture, look)
    return np.ascontiguousarray(_paint_shirt(rng, texture, look), np.float32)


def _spots(rng: np.random.Generator) -> Map:
    """Freckles and moles: the share of light that each takes away."""
    darkness = np.zeros((TEXTURE_HEIGHT, TEXTURE_WIDTH), np.float32)
    for _ in range(int(rng.integers(4, 40))):
        column = int(rng.uniform(0.2, 0.8) * TEXTURE_WIDTH)
        row = int(rng.uniform(0.29, 0.70) * TEXTURE_HEIGHT)
        radius, share = int(rng.integers(1, 4)), float(rng.uniform(0.06, 0.35))
        cv2.circle(darkness, (column, row), radius, share, -1, cv2.LINE_AA)
    return cv2.GaussianBlur(darkness, (0, 0), 1.0)


def _paint_beard(rng: np.random.Generator, texture: Map, look: Look) -> Map:
    if look.stubble == 0 and look.beard == 0:
        return texture
    x, y = _grid()
    edge = 6.80 + 0.9 * np.maximum(0, np.abs(x) - 0.42) ** 1.2 + 0.02 * _noise(rng, 9.0)
    jaw = _step(edge - y, -0.02, 0.16) * _step(y, 6.05, 6.2) * _step(-np.abs(x), -0.86, -0.72)
    moustache = _bump(x, y, (0.0, 6.77), (0.24, 0.055), both=False)
    under_lip = 1 - 0.8 * _bump(x, y, (0.0, 6.44), (0.16, 0.04), both=False)
    grown = np.clip(np.maximum(jaw * under_lip, moustache), 0, 1)
    texture = texture * (1 - look.stubble * grown * (1 + 0.15 * _noise(rng, 0.9)))[..., None]
    if look.beard:
        hairs = np.clip(0.85 + 0.10 * _noise(rng, 0.9) + 0.14 * _streaks(rng), 0, 1.2)
        cover = np.clip(look.beard * grown * hairs, 0, 0.95)[..., None]
        texture = texture * (1 - cover) + cover * np.array(look.hair, np.float32) * 0.8
    return texture


def _paint_mouth(rng: np.random.Generator, texture: Map, look: Look) -> Map:
    lips = _fill(_LIP_OUTLINE, 1.6)
    colour = np.array([0.62, 0.55, 0.80]) * rng.uniform(0.75, 1.0)
    if not look.male:
        colour = colour * rng.uniform(0.8, 1.05)
    line = _draw([_LIP_LINE], 3, 1.2)
    mottle = 1 + 0.05 * _noise(rng, 1.5)
    shade = (1 - lips)[..., None] + (lips * mottle)[..., None] * colour.astype(np.float32)
    return texture * shade * (1 - 0.55 * np.clip(line, 0, 1))[..., None]


def _paint_scalp(rng: np.random.Generator, texture: Map, look: Look) -> Map:
    """Hair close to the skin: the soft edge of longer hair, or all there is of shorn hair."""
    if look.scalp == 0:
        return texture
    x, y = _grid()
    depth, ear = _surface()
    # strands leave the edge upwards, so its raggedness is drawn out along them
    ragged = 0.012 * _noise(rng, 5.0) + 0.025 * _streaks(rng)
    front = np.float32(look.hairline) + np.float32(look.temples) * np.abs(x) * _step(
        -np.abs(x), -0.6, -0.35
    )
    front = front - 1.5 * np.maximum(np.float32(0), np.abs(x) - 0.5) ** 2
    above: Map = np.asarray(y - front + ragged, np.float32)
    top = _step(above, -0.05, 0.14)
    if look.crown_bare:
        top = np.zeros_like(top)
    side = _step(0.50 - depth + ragged, -0.06, 0.14) * _step(y + ragged, 6.82, 7.05)
    if look.crown_bare:
        side *= _step(7.75 - y + ragged, -0.1, 0.15)
    cover = np.maximum(top, side) * (1 - ear)
    grain = np.clip(0.92 + 0.06 * _noise(rng, 0.9) + 0.10 * _streaks(rng), 0, 1.15)
    cover = np.clip(look.scalp * cover * grain, 0, 1)[..., None]
    return texture * (1 - cover) + cover * np.array(look.hair, np.float32)


def _paint_brows(rng: np.random.Generator, texture: Map, look: Look) -> Map:
    hairs = np.zeros((TEXTURE_HEIGHT, TEXTURE_WIDTH), np.float32)
    lift, half = rng.uniform(-0.02, 0.015), rng.uniform(0.022, 0.038) + 0.008 * look.male
    arch = rng.uniform(0.0, 0.035)
    n = 520
    for side in (-1, 1):
        along = rng.uniform(0, 1, n)
        width = half * (1 - 0.75 * np.maximum(0, along - 0.45) / 0.55)
        x = 0.115 + 0.46 * along
        y = 7.405 + lift + (0.05 + arch) * np.sin(np.pi * np.minimum(1, along * 0.8)) - 0.04 * along
        y = y + rng.uniform(-1, 1, n) * width
        lean, length = rng.normal(0.9 - 1.0 * along, 0.2), rng.uniform(0.02, 0.05, n)
        strength = rng.uniform(0.3, 0.8, n)
        ends = np.stack(
            [side * x, y, side * (x + length * np.cos(lean)), y + length * np.sin(lean)], 1
        )
        for (x0, y0, x1, y1), value in zip(ends.tolist(), strength.tolist(), strict=True):
            start, end = _to_fixed_point([(x0, y0), (x1, y1)]).tolist()
            cv2.line(hairs, start, end, value, 1, cv2.LINE_AA, 4)
    hairs = cv2.GaussianBlur(hairs, (0, 0), 0.8) * np.float32(rng.uniform(0.9, 1.25))
    cover = np.clip(hairs, 0, 0.93)[..., None]
    return texture * (1 - cover) + cover * np.array(look.hair, np.float32) * np.float32(0.8)


def _paint_shirt(rng: np.random.Generator, texture: Map, look: Look) -> Map:
    x, y = _grid()
    below = look.collar + 0.25 * x * x - y
    cover = _step(below, -0.004, 0.004)[..., None]
    hem = (
        1 - 0.25 * np.exp(-(((below - 0.05) / 0.008) ** 2)) - 0.2 * np.exp(-((below / 0.012) ** 2))
    )
    cloth = (hem * (1 + 0.03 * _noise(rng, 1.0) + 0.02 * _noise(rng, 12.0)))[..., None]
    return texture * (1 - cover) + cover * cloth * np.array(look.shirt, np.float32)


@functools.lru_cache(maxsize=1)
def wrinkle_layers() -> tuple[WrinkleLayer, ...]:
    """Give the places that darken with expression, the same for everybody."""
    brow = [[(-0.38, y + 0.02), (0.0, y - 0.01), (0.38, y + 0.02)] for y in (7.56, 7.64, 7.72)]
    root = [[(-0.07, y), (0.07, y)] for y in (7.22, 7.27)]
    root += _both_sides([[(0.06, 7.12), (0.1, 7.2)]])
    fold = _both_sides([[(0.19, 6.93), (0.27, 6.80), (0.33, 6.66), (0.34, 6.56)]])
    crow = _both_sides(
        [
            [(0.50, 7.30), (0.60, 7.34)],
            [(0.50, 7.27), (0.61, 7.27)],
            [(0.49, 7.25), (0.59, 7.20)],
        ]
    )
    return (
        _layer(brow, 3, 3.0, 0.20, "browInnerUp", "browOuterUpLeft"),
        _layer(_both_sides([[(0.05, 7.38), (0.045, 7.52)]]), 4, 3.0, 0.28, "browDownLeft"),
        _layer(root, 3, 2.5, 0.25, "noseSneerLeft"),
        _layer(fold, 5, 4.0, 0.30, "mouthSmileLeft", "noseSneerLeft", "mouthUpperUpLeft"),
        _layer(crow, 2, 1.8, 0.22, "cheekSquintLeft"),
        _layer(
            _both_sides([[(0.20, 7.19), (0.32, 7.15), (0.44, 7.19)]]),
            *(3, 2.5, 0.18, "cheekSquintLeft", "eyeSquintLeft"),
        ),
        _layer(_both_sides([[(0.30, 6.60), (0.33, 6.50)]]), 4, 3.0, 0.25, "mouthFrownLeft"),
        _layer([[(-0.12, 6.36), (0.0, 6.40), (0.12, 6.36)]], 4, 4.0, 0.25, "mouthShrugLower"),
    )


def _layer(
    strokes: Strokes, width: int, softness: float, darkness: float, *units: str
) -> WrinkleLayer:
    whole = _draw(strokes, width, softness) * np.float32(darkness)
    rows, columns = (np.flatnonzero((whole > 1e-3).any(axis)) for axis in (1, 0))
    # even edges, so that a texture of half the size has the patch at whole texels
    top, left = int(rows[0]) // 2 * 2, int(columns[0]) // 2 * 2
    bottom, right = (int(rows[-1]) + 2) // 2 * 2, (int(columns[-1]) + 2) // 2 * 2
    patch = np.ascontiguousarray(whole[top:bottom, left:right])
    patch.flags.writeable = False
    return WrinkleLayer(units, top, left, patch)
