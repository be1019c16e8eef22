"""Compiled picture kernels: wrinkles, light at vertices, colour at pixels, tone and noise.

Light is computed at vertices and carried across triangles; the mesh is finer than the picture
needs. A pixel has four visibility samples. Where one triangle covers all four its colour is
computed once, elsewhere at each sample, so edges are smooth and the rest is cheap.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from evfer.heads.asset import CAVITY, HAIR, HAIR_INSIDE, LEFT_EYE, NOSTRIL, SKIN
from evfer.heads.raster import EMPTY

__all__ = ["add_wrinkle", "develop", "light_vertices", "move_head"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

_RIGHT_EYE = LEFT_EYE + 1  # the eyes' materials follow one another
_IRIS_EDGE, _PUPIL_EDGE = 0.845, 0.965  # cosines of the angle to the gaze
_EDGE = 0.04  # decimetres between neighbouring samples


@njit(cache=True)
def add_wrinkle(texture: Floats, top: int, left: int, darkness: Floats, amount: float) -> None:
    """Add a wrinkle layer to the texture's fourth channel, in place.

    Args:
        texture: blue, green, red and darkness, shape (h, w, 4).
        top: first row of the patch.
        left: first column of the patch.
        darkness: share of light lost, shape (rows, columns).
        amount: contraction of the muscle.
    """
    for row in range(darkness.shape[0]):
        for column in range(darkness.shape[1]):
            texture[top + row, left + column, 3] += amount * darkness[row, column]


@njit(cache=True, fastmath=True, error_model="numpy")
def move_head(
    vertices: Floats, follows: Floats, rotation: Floats, pivot: Floats, origin: Floats
) -> Floats:
    """Turn the head on its neck.

    Args:
        vertices: decimetres, shape (n, 3).
        follows: how far each vertex follows, 0 to 1, shape (n,).
        rotation: matrix, shape (3, 3).
        pivot: point that stays where it is, shape (3,).
        origin: point that becomes the origin, shape (3,).

    Returns:
        Vertices about `origin`, shape (n, 3), float32.
    """
    moved = np.empty_like(vertices)
    for i in range(vertices.shape[0]):
        x = vertices[i, 0] - pivot[0]
        y = vertices[i, 1] - pivot[1]
        z = vertices[i, 2] - pivot[2]
        f = follows[i]
        for k in range(3):
            turned = rotation[k, 0] * x + rotation[k, 1] * y + rotation[k, 2] * z
            still = vertices[i, k] - pivot[k]
            moved[i, k] = f * turned + (1 - f) * still + pivot[k] - origin[k]
    return moved


@njit(cache=True, fastmath=True, error_model="numpy")
def light_vertices(
    normals: Floats,
    openness: Floats,
    lit: Floats,
    gloss: Floats,
    key: Floats,
    fill: Floats,
    ambient: float,
    looks: Floats,
) -> None:
    """Compute the light that each vertex sends to the camera.

    Args:
        normals: unit normals, shape (n, 3).
        openness: share of the sky that reaches each vertex, shape (n,).
        lit: share of the main lamp that reaches each vertex, shape (n,).
        gloss: strength of the highlight, shape (n,).
        key: direction and strength of the main lamp, shape (4,).
        fill: direction and strength of the weak lamp, shape (4,).
        ambient: light from everywhere.
        looks: receives, in columns 2 to 4, light for blue and green, light for red, and highlight;
            shape (n, 5). Light scatters in skin, red light farthest, so it reaches a little round
            the edge of the shadow.
    """
    # half way between lamp and camera, which is far away along z
    hx, hy, hz = key[0], key[1], key[2] + 1
    scale = 1 / np.sqrt(hx * hx + hy * hy + hz * hz)
    hx, hy, hz = hx * scale, hy * scale, hz * scale
    for i in range(normals.shape[0]):
        x, y, z = normals[i, 0], normals[i, 1], normals[i, 2]
        towards = x * key[0] + y * key[1] + z * key[2]
        strength = key[3] * lit[i]
        weak = fill[3] * max(0.0, x * fill[0] + y * fill[1] + z * fill[2])
        base = openness[i] * (ambient * (0.9 + 0.1 * y) + weak)
        looks[i, 2] = base + strength * max(0.0, (towards + 0.18) / 1.18)
        looks[i, 3] = base + strength * max(0.0, (towards + 0.32) / 1.32)
        shine = max(0.0, x * hx + y * hy + z * hz)
        shine *= shine
        shine4 = shine * shine * shine * shine
        looks[i, 4] = gloss[i] * (0.3 + 0.7 * lit[i]) * shine4 * shine4 * shine


@njit(cache=True, fastmath=True, error_model="numpy")
def develop(
    owner: Ints,
    depth: Floats,
    points: Floats,
    triangles: Ints,
    materials: Ints,
    looks: Floats,
    places: Floats,
    skin: Floats,
    strands: Floats,
    palette: Floats,
    eyes: Floats,
    background: Floats,
    exposure: float,
    tone: Floats,
    noise: Floats,
) -> NDArray[np.uint8]:
    """Colour every pixel and turn light into grey levels.

    Args:
        owner: triangle of each visibility sample or `EMPTY`, shape (2 h, 2 w).
        depth: nearness of each visibility sample, decimetres, shape (2 h, 2 w).
        points: column, row and nearness of every vertex in samples, shape (n, 3).
        triangles: vertex numbers, shape (m, 3).
        materials: one a triangle, shape (m,).
        looks: texture column and row, cool light, warm light and highlight of every vertex,
            shape (n, 5).
        places: vertices in decimetres, shape (n, 3).
        skin: blue, green, red and darkness of folds, shape (rows, columns, 4).
        strands: brightness of hair, shape (rows, columns).
        palette: blue, green and red by material; the right eye's row holds the iris, the row of
            the hair's inside the strength of its highlight. Shape (9, 3).
        eyes: rows for the left and right eyeball's centre, the gaze and the lamp, shape (4, 3).
        background: light of the backdrop, shape (h, w).
        exposure: factor on all light.
        tone: grey levels for light 0 to 1 in even steps, shape (steps + 1,).
        noise: grey levels to add, shape (h, w).

    Returns:
        Blue, green, red, shape (h, w, 3), uint8.
    """
    height, width = background.shape
    picture = np.empty((height, width, 3), np.uint8)
    steps = tone.shape[0] - 1
    colour = np.empty(3, np.float32)
    for row in range(height):
        for column in range(width):
            r, c = 2 * row, 2 * column
            behind = background[row, column]
            blue, green, red = behind, behind, behind
            count = _count_samples(owner, depth, materials, r, c)
            if count > 0:
                blue = green = red = np.float32(0)
            for k in range(count):
                y, x = r + k // 2, c + k % 2
                t = owner[y, x]
                if t == EMPTY:
                    blue, green, red = blue + behind, green + behind, red + behind
                    continue
                px, py = np.float32(x + 0.5), np.float32(y + 0.5)
                if count == 1:
                    px, py = np.float32(c + 1), np.float32(r + 1)
                i0, i1, i2 = triangles[t, 0], triangles[t, 1], triangles[t, 2]
                x2, y2 = points[i2, 0], points[i2, 1]
                x0, y0 = points[i0, 0] - x2, points[i0, 1] - y2
                x1, y1 = points[i1, 0] - x2, points[i1, 1] - y2
                inverse = np.float32(1) / (x0 * y1 - x1 * y0)
                dx, dy = px - x2, py - y2
                # the middle of a pixel may lie a little outside; a sliver must not carry it far
                w0 = _limit((dx * y1 - x1 * dy) * inverse)
                w1 = _limit((x0 * dy - dx * y0) * inverse)
                w2 = np.float32(1) - w0 - w1
                u = w0 * looks[i0, 0] + w1 * looks[i1, 0] + w2 * looks[i2, 0]
                v = w0 * looks[i0, 1] + w1 * looks[i1, 1] + w2 * looks[i2, 1]
                cool = w0 * looks[i0, 2] + w1 * looks[i1, 2] + w2 * looks[i2, 2]
                warm = w0 * looks[i0, 3] + w1 * looks[i1, 3] + w2 * looks[i2, 3]
                shine = w0 * looks[i0, 4] + w1 * looks[i1, 4] + w2 * looks[i2, 4]
                material = materials[t]
                if material == SKIN:
                    i, j, p, q = _texel(u, v, skin.shape[0], skin.shape[1])
                    o = np.float32(1)
                    k00, k01, k10, k11 = (o - p) * (o - q), p * (o - q), (o - p) * q, p * q
                    fold = k00 * skin[j, i, 3] + k01 * skin[j, i + 1, 3]
                    fold += k10 * skin[j + 1, i, 3] + k11 * skin[j + 1, i + 1, 3]
                    bright = o - min(fold, np.float32(0.5))
                    part = k00 * skin[j, i, 0] + k01 * skin[j, i + 1, 0]
                    part += k10 * skin[j + 1, i, 0] + k11 * skin[j + 1, i + 1, 0]
                    blue += part * cool * bright + shine
                    part = k00 * skin[j, i, 1] + k01 * skin[j, i + 1, 1]
                    part += k10 * skin[j + 1, i, 1] + k11 * skin[j + 1, i + 1, 1]
                    green += part * cool * bright + shine
                    part = k00 * skin[j, i, 2] + k01 * skin[j, i + 1, 2]
                    part += k10 * skin[j + 1, i, 2] + k11 * skin[j + 1, i + 1, 2]
                    red += part * warm * bright + shine
                    continue
                if material == HAIR:
                    i, j, p, q = _texel(u, v, strands.shape[0], strands.shape[1])
                    upper = strands[j, i] + p * (strands[j, i + 1] - strands[j, i])
                    lower = strands[j + 1, i] + p * (strands[j + 1, i + 1] - strands[j + 1, i])
                    strand = upper + q * (lower - upper)
                    shine *= strand * strand * palette[HAIR_INSIDE, 0]
                    cool *= strand
                elif material == HAIR_INSIDE:
                    cool *= np.float32(0.35)
                    material = HAIR
                    shine = np.float32(0)
                elif material == LEFT_EYE or material == _RIGHT_EYE:
                    side = material - LEFT_EYE
                    for axis in range(3):
                        place = w0 * places[i0, axis] + w1 * places[i1, axis]
                        colour[axis] = place + w2 * places[i2, axis] - eyes[side, axis]
                    _colour_eye(colour, cool, eyes, palette)
                    blue, green, red = blue + colour[0], green + colour[1], red + colour[2]
                    continue
                elif material == CAVITY or material == NOSTRIL:
                    cool = np.float32(1)
                    shine = np.float32(0)
                blue += palette[material, 0] * cool + shine
                green += palette[material, 1] * cool + shine
                red += palette[material, 2] * cool + shine
            gain = np.float32(exposure) / np.float32(max(count, 1))
            grain = noise[row, column]
            picture[row, column, 0] = _grey(blue * gain, tone, steps, grain)
            picture[row, column, 1] = _grey(green * gain, tone, steps, grain)
            picture[row, column, 2] = _grey(red * gain, tone, steps, grain)
    return picture


@njit(cache=True, fastmath=True, error_model="numpy")
def _count_samples(owner: Ints, depth: Floats, materials: Ints, r: int, c: int) -> int:
    """Samples at which a pixel must be coloured: 0 (empty), 1 (one smooth surface) or 4."""
    a, b, d, e = owner[r, c], owner[r, c + 1], owner[r + 1, c], owner[r + 1, c + 1]
    if a == b and a == d and a == e:
        return 0 if a == EMPTY else 1
    if a == EMPTY or b == EMPTY or d == EMPTY or e == EMPTY:
        return 4
    material = materials[a]
    if materials[b] != material or materials[d] != material or materials[e] != material:
        return 4
    z0, z1, z2, z3 = depth[r, c], depth[r, c + 1], depth[r + 1, c], depth[r + 1, c + 1]
    # an edge, if the surface is steeper than about 80 degrees
    return 4 if max(z0, z1, z2, z3) - min(z0, z1, z2, z3) > _EDGE else 1


@njit(cache=True, fastmath=True, error_model="numpy")
def _limit(weight: np.float32) -> np.float32:
    return min(max(weight, np.float32(-0.5)), np.float32(1.5))


@njit(cache=True, fastmath=True, error_model="numpy")
def _texel(
    u: np.float32, v: np.float32, rows: int, columns: int
) -> tuple[int, int, np.float32, np.float32]:
    """Column and row of a texture place, and how far it is on the way to the next ones."""
    u = min(max(u, np.float32(0)), np.float32(columns - 1.001))
    v = min(max(v, np.float32(0)), np.float32(rows - 1.001))
    i, j = int(u), int(v)
    return i, j, u - np.float32(i), v - np.float32(j)


@njit(cache=True, fastmath=True, error_model="numpy")
def _grey(light: np.float32, tone: Floats, steps: int, grain: np.float32) -> int:
    """Light to a whole grey level."""
    level = min(max(light, np.float32(0)), np.float32(0.9999)) * np.float32(steps)
    below = int(level)
    grey = tone[below] + (level - np.float32(below)) * (tone[below + 1] - tone[below])
    return int(min(max(grey + grain + np.float32(0.5), np.float32(0)), np.float32(255)))


@njit(cache=True, fastmath=True, error_model="numpy")
def _colour_eye(colour: Floats, light: float, eyes: Floats, palette: Floats) -> None:
    """Replace a place on an eyeball, from its centre, by its colour."""
    x, y, z = colour[0], colour[1], colour[2]
    scale = 1 / np.sqrt(x * x + y * y + z * z + np.float32(1e-12))
    x, y, z = x * scale, y * scale, z * scale
    along = x * eyes[2, 0] + y * eyes[2, 1] + z * eyes[2, 2]
    # half way between lamp and camera; the lamp's image is drawn towards the middle
    hx, hy, hz = 0.6 * eyes[3, 0], 0.6 * eyes[3, 1], 0.6 * eyes[3, 2] + 1
    glint = (x * hx + y * hy + z * hz) / np.sqrt(hx * hx + hy * hy + hz * hz)
    glint = 0.5 * max(0.0, glint) ** 160
    iris = min(max((along - _IRIS_EDGE) / 0.02, 0.0), 1.0)
    ring = 0.55 + 0.45 * min(max((along - _IRIS_EDGE) / 0.05, 0.0), 1.0)
    pupil = 1 - 0.9 * min(max((along - _PUPIL_EDGE) / 0.008, 0.0), 1.0)
    bright = 0.25 + 0.6 * light
    for k in range(3):
        white = palette[LEFT_EYE, k]
        mixed = white + iris * (ring * palette[_RIGHT_EYE, k] - white)
        colour[k] = mixed * pupil * bright + glint
