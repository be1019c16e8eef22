"""A planned clip to frames: camera, shadows, and one picture after the other."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from evfer.config import digest
from evfer.errors import ConfigError
from evfer.heads.asset import (
    CAVITY,
    HAIR,
    HAIR_INSIDE,
    LEFT_EYE,
    NOSTRIL,
    RIGHT_EYE,
    TEETH,
    TONGUE,
    HeadAsset,
    asset_sha256,
    load_asset,
)
from evfer.heads.expression import ClipPlan, exposure, head_pose, plan_clip, unit_weights
from evfer.heads.identity import Person, make_person
from evfer.heads.raster import add_targets, find_visible, rasterise, vertex_normals
from evfer.heads.shade import add_wrinkle, develop, light_vertices, move_head
from evfer.heads.skin import TEXTURE_WIDTH, wrinkle_layers

__all__ = ["RENDERER_VERSION", "HeadClip", "render_clip", "render_digest", "render_frames"]

RENDERER_VERSION = 1
"""Raised whenever the same numbers give another picture."""

Floats = NDArray[np.float32]

_IOD_SHARE = 70 / 320
"""Distance between the eye centres, as a share of the picture's side."""
_EYE_ROW_SHARE = 0.44
_CAMERA_DISTANCE = 12.0  # decimetres from the eyes
_NECK = np.array([0.0, -0.45, -1.0], np.float32)
"""From the point between the eyes to where the head turns, decimetres."""
_SIZES = (64, 1024)

_SCENE_NOISE, _SENSOR_NOISE = 97, 98  # streams of random numbers, beside those of the plan


def render_digest() -> str:
    """Give a digest of the renderer and its asset.

    Together with the seed and the clip's numbers it stands for the pictures, so that a clip's
    source has a digest without being drawn.
    """
    text = f"evfer.heads {RENDERER_VERSION} {asset_sha256()}"
    return hashlib.sha256(text.encode()).hexdigest()


def render_clip(
    person: Person, plan: ClipPlan, size: int = 320, *, noise: bool = True
) -> NDArray[np.uint8]:
    """Draw a whole clip; see `render_frames`.

    Returns:
        Blue, green, red, shape (n, size, size, 3), uint8.
    """
    return np.stack(list(render_frames(person, plan, size, noise=noise)))


def render_frames(
    person: Person, plan: ClipPlan, size: int = 320, *, noise: bool = True
) -> Iterator[NDArray[np.uint8]]:
    """Draw a clip frame by frame.

    Args:
        person: whose face; the one that the plan was made for.
        plan: what happens.
        size: width and height of a frame, pixels.
        noise: whether to add sensor noise, which is new in every frame. Without it the picture
            depends on the frame's time alone, whatever the rate.

    Yields:
        Blue, green, red, shape (size, size, 3), uint8: the same bytes for the same arguments.

    Raises:
        ConfigError: if the size is out of range or the plan is another person's.
    """
    if not _SIZES[0] <= size <= _SIZES[1]:
        raise ConfigError(f"size {size}", expected=f"{_SIZES[0]} to {_SIZES[1]} pixels")
    if (plan.seed, plan.person) != (person.seed, person.number):
        raise ConfigError(
            f"a plan for person {plan.person} of seed {plan.seed}",
            expected=f"one for person {person.number} of seed {person.seed}",
        )
    return _draw(person, plan, size, noise)


@dataclass(frozen=True)
class HeadClip:
    """A demo clip as a source of frames: can be walked through again and again.

    Attributes:
        seed: the data set's seed.
        person: which person of that seed.
        emotion: one of `evfer.heads.EMOTIONS`.
        repetition: which clip of that person and emotion.
        n_frames: number of frames.
        fps: frames a second.
        size: width and height of a frame, pixels.
    """

    seed: int
    person: int
    emotion: str
    repetition: int
    n_frames: int
    fps: float = 30.0
    size: int = 320

    @property
    def plan(self) -> ClipPlan:
        """What happens in the clip."""
        made = make_person(self.seed, self.person)
        return plan_clip(made, self.emotion, self.repetition, self.n_frames, self.fps)

    @property
    def times_s(self) -> NDArray[np.float64]:
        """Time of each frame, seconds from the first, shape (n,)."""
        return np.arange(self.n_frames) / self.fps

    @property
    def digest(self) -> str:
        """SHA-256 of all that shapes the clip's pictures; nothing is drawn for it."""
        return digest([render_digest(), *vars(self).values()])

    def __len__(self) -> int:
        return self.n_frames

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return render_frames(make_person(self.seed, self.person), self.plan, self.size)


def _draw(person: Person, plan: ClipPlan, size: int, noise: bool) -> Iterator[NDArray[np.uint8]]:
    asset, light = load_asset(), plan.light
    times_s = plan.times_s
    weights, poses, gains = (
        unit_weights(plan, times_s),
        head_pose(plan, times_s),
        exposure(plan, times_s),
    )
    samples = 2 * size
    looks = np.zeros((len(person.vertices), 5), np.float32)
    pixels_per_unit = _IOD_SHARE * size * plan.scale / person.iod
    skin, looks[:, :2], wrinkles = _fit_texture(person, pixels_per_unit)
    background = _make_background(plan, size)
    palette = _make_palette(person, light.gloss)
    tone = _tone_curve()
    key = np.array([*light.key, light.key_strength], np.float32)
    fill = np.array([*light.fill, 0.25], np.float32)
    gloss = light.gloss * person.gloss
    outer = person.triangles[: person.n_outer]
    lit = _find_lit(person, poses[0], key, outer)
    unit_numbers = np.arange(len(asset.unit_names), dtype=np.int32)
    n_head = len(asset.vertices)
    depth, owner = np.empty((samples, samples), np.float32), np.empty((samples, samples), np.int32)
    still = np.zeros((size, size), np.float32)
    for k in range(plan.n_frames):
        bent = person.vertices.copy()
        add_targets(
            *(bent[:n_head], asset.offsets, asset.indices, asset.deltas),
            *(unit_numbers, weights[k]),
        )
        rotation = _rotation(poses[k])
        places = move_head(
            bent, person.follows, rotation, person.eye_middle + _NECK, person.eye_middle
        )
        points = _project(places, poses[k], 2 * pixels_per_unit, samples)
        rasterise(points, person.triangles, depth, owner)
        normals = vertex_normals(places, outer)
        light_vertices(normals, person.openness, lit, gloss, key, fill, light.ambient, looks)
        _fold(skin, wrinkles, asset, weights[k])
        grain = _draw_noise(plan, k, size) if noise else still
        yield develop(
            *(owner, depth, points, person.triangles, person.materials, looks, places, skin),
            *(person.strands, palette, _place_eyes(asset, places, plan, rotation, weights[k])),
            *(background, gains[k], tone, grain),
        )


def _fit_texture(
    person: Person, pixels_per_unit: float
) -> tuple[Floats, Floats, list[tuple[tuple[str, ...], int, int, Floats]]]:
    """Halve the texture where it is much finer than the picture, which would make it glitter.

    Returns:
        Reflectance with a fourth channel of zeros, texture places of the vertices, and the wrinkle
        layers: units, first row, first column, darkness.
    """
    texels_per_pixel = person.skin.shape[1] / 2.2 / pixels_per_unit
    shrink = 2 if texels_per_pixel > 1.6 else 1
    rows, columns = person.skin.shape[0] // shrink, TEXTURE_WIDTH // shrink
    skin = np.zeros((rows, columns, 4), np.float32)
    layers = []
    if shrink == 1:
        skin[..., :3] = person.skin
    else:
        skin[..., :3] = _halve(person.skin)
    for layer in wrinkle_layers():
        darkness = layer.darkness if shrink == 1 else _halve(layer.darkness)
        layers.append((layer.units, layer.top // shrink, layer.left // shrink, darkness))
    texels = person.texels.copy()
    n_head = len(load_asset().vertices)
    # texel (row, column) lies at (row, column), so four merge half way between them
    texels[:n_head] = (texels[:n_head] - (shrink - 1) / 2) / shrink
    return skin, texels, layers


def _halve(texture: Floats) -> Floats:
    rows, columns = texture.shape[0] // 2, texture.shape[1] // 2
    return cv2.resize(texture, (columns, rows), interpolation=cv2.INTER_AREA)


def _make_background(plan: ClipPlan, size: int) -> Floats:
    middle, right, down = plan.light.background
    rng = np.random.default_rng([plan.seed, plan.person, _SCENE_NOISE, plan.label, plan.repetition])
    # drawn on a grid of its own, so that the size does not change the pattern
    blotches = cv2.GaussianBlur(rng.standard_normal((80, 80), np.float32), (0, 0), 0.8)
    blotches = cv2.resize(blotches, (size, size), interpolation=cv2.INTER_CUBIC)
    across = np.arange(size, dtype=np.float32) / size - np.float32(0.5)
    plain = np.clip(middle + right * across + down * across[:, None], 0.02, 0.95)
    return (plain * (1 + 0.02 * blotches)).astype(np.float32)


def _make_palette(person: Person, gloss: float) -> Floats:
    palette = np.zeros((9, 3), np.float32)
    palette[LEFT_EYE] = 0.75, 0.77, 0.80
    palette[RIGHT_EYE] = person.iris
    palette[TEETH] = 0.72, 0.78, 0.80
    palette[TONGUE] = 0.22, 0.22, 0.45
    palette[CAVITY] = 0.035, 0.035, 0.08
    palette[NOSTRIL] = 0.05, 0.06, 0.11
    palette[HAIR] = person.hair
    palette[HAIR_INSIDE] = 0.35 + float(np.mean(person.hair))
    return palette


def _tone_curve() -> Floats:
    """Grey levels for light: a gamma curve with a soft shoulder."""
    steps = np.linspace(0, 1, 2049)
    # light 1 is reached softly: the slope there is a third of a plain curve's
    return (255 * (1.5 * steps - 0.5 * steps**2.0) ** (1 / 1.6)).astype(np.float32)


def _find_lit(
    person: Person, pose: NDArray[np.float64], key: Floats, outer: NDArray[np.int32]
) -> Floats:
    """Share of the main lamp that reaches each vertex in the first frame; the lamp is wide."""
    middle = person.eye_middle
    turned = move_head(person.vertices, person.follows, _rotation(pose), middle + _NECK, 0 * middle)
    angles = np.arange(9) * math.pi * (3 - math.sqrt(5))
    spread = 0.16 * np.sqrt((np.arange(9) + 0.5) / 9)
    side = np.cross([0.0, 1.0, 0.0], key[:3])
    side /= np.linalg.norm(side)
    up = np.cross(key[:3], side)
    lamps = (
        key[:3] + np.outer(spread * np.cos(angles), side) + np.outer(spread * np.sin(angles), up)
    )
    lamps /= np.linalg.norm(lamps, axis=1, keepdims=True)
    normals = vertex_normals(turned, outer)
    seen = find_visible(turned, normals, person.triangles, lamps.astype(np.float32), 224)
    return np.mean(seen, axis=0, dtype=np.float32)


def _rotation(pose: NDArray[np.float64]) -> Floats:
    yaw, pitch, roll = np.deg2rad(pose[:3])
    cy, sy, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    cr, sr = math.cos(roll), math.sin(roll)
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    nod = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    tilt = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return (tilt @ nod @ turn).astype(np.float32)


def _project(places: Floats, pose: NDArray[np.float64], scale: float, samples: int) -> Floats:
    """Columns, rows and nearness in visibility samples, shape (n, 3)."""
    shrink = (
        np.float32(scale)
        * np.float32(_CAMERA_DISTANCE)
        / (np.float32(_CAMERA_DISTANCE) - places[:, 2])
    )
    points = np.empty_like(places)
    points[:, 0] = np.float32(samples * 0.5) + shrink * (places[:, 0] + np.float32(pose[3]))
    points[:, 1] = np.float32(samples * _EYE_ROW_SHARE) - shrink * (
        places[:, 1] + np.float32(pose[4])
    )
    points[:, 2] = places[:, 2]
    return points


def _fold(
    skin: Floats,
    layers: list[tuple[tuple[str, ...], int, int, Floats]],
    asset: HeadAsset,
    weights: Floats,
) -> None:
    """Write the wrinkles of one frame into the texture's fourth channel."""
    number = asset.unit_number
    for _, top, left, darkness in layers:
        rows, columns = darkness.shape
        skin[top : top + rows, left : left + columns, 3] = 0
    for units, top, left, darkness in layers:
        pull = min(1.2, max(float(weights[number[unit]]) for unit in units))
        if pull > 0:
            add_wrinkle(skin, top, left, darkness, pull)


def _place_eyes(
    asset: HeadAsset, places: Floats, plan: ClipPlan, rotation: Floats, weights: Floats
) -> Floats:
    """Centres of the eyeballs, gaze and lamp, as rows."""
    down = 0.25 * float(weights[asset.unit_number["eyeLookDownLeft"]])
    gaze = rotation @ np.array([plan.gaze[0], plan.gaze[1] - down, 1.0], np.float32)
    rows = [places[eye].mean(0) for eye in asset.eyes]
    rows += [gaze / np.linalg.norm(gaze), np.array(plan.light.key)]
    return np.array(rows, np.float32)


def _draw_noise(plan: ClipPlan, frame: int, size: int) -> Floats:
    rng = np.random.default_rng(
        [plan.seed, plan.person, _SENSOR_NOISE, plan.label, plan.repetition, frame]
    )
    return rng.standard_normal((size, size), np.float32) * np.float32(plan.light.noise)
