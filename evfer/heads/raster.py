"""Compiled geometry kernels: shape targets, normals, triangles to pixels, visibility.

One thread each: parallel work is done by processes. Triangles are counter-clockwise seen from
outside, and picture rows run downwards, so a triangle that faces the camera has negative area.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["EMPTY", "add_targets", "find_visible", "rasterise", "vertex_normals"]

EMPTY = -1
"""Owner of a sample that no triangle covers."""

_NOWHERE = np.float32(-1e9)
# neighbours share an edge; without this overlap rounding leaves pinholes along it
_OVERLAP = -1e-6


@njit(cache=True)
def add_targets(
    vertices: NDArray[np.float32],
    offsets: NDArray[np.int32],
    indices: NDArray[np.int16],
    deltas: NDArray[np.float32],
    targets: NDArray[np.int32],
    amounts: NDArray[np.float32],
) -> None:
    """Add shape targets to `vertices`, in place.

    Args:
        vertices: an array of the caller's own, shape (n, 3); it is changed.
        offsets: where each target's rows begin and end, shape (targets + 1,).
        indices: vertex numbers of the rows.
        deltas: offsets of those vertices, shape (rows, 3).
        targets: which targets to add, shape (k,).
        amounts: how much of each, shape (k,).
    """
    for k in range(targets.shape[0]):
        amount = amounts[k]
        if amount == 0:
            continue
        for row in range(offsets[targets[k]], offsets[targets[k] + 1]):
            i = indices[row]
            vertices[i, 0] += amount * deltas[row, 0]
            vertices[i, 1] += amount * deltas[row, 1]
            vertices[i, 2] += amount * deltas[row, 2]


@njit(cache=True, fastmath=True, error_model="numpy")
def vertex_normals(
    vertices: NDArray[np.float32], triangles: NDArray[np.int32]
) -> NDArray[np.float32]:
    """Give the unit normal of every vertex, its triangles' normals weighted by their area.

    Args:
        vertices: shape (n, 3).
        triangles: vertex numbers, shape (m, 3).

    Returns:
        Normals pointing outwards, shape (n, 3), float32.
    """
    normals = np.zeros(vertices.shape, np.float32)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux = vertices[b, 0] - vertices[a, 0]
        uy = vertices[b, 1] - vertices[a, 1]
        uz = vertices[b, 2] - vertices[a, 2]
        vx = vertices[c, 0] - vertices[a, 0]
        vy = vertices[c, 1] - vertices[a, 1]
        vz = vertices[c, 2] - vertices[a, 2]
        x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for i in (a, b, c):
            normals[i, 0] += x
            normals[i, 1] += y
            normals[i, 2] += z
    for i in range(vertices.shape[0]):
        x, y, z = normals[i, 0], normals[i, 1], normals[i, 2]
        scale = 1.0 / np.sqrt(x * x + y * y + z * z + np.float32(1e-24))
        normals[i, 0], normals[i, 1], normals[i, 2] = x * scale, y * scale, z * scale
    return normals


@njit(cache=True, fastmath=True, error_model="numpy")
def rasterise(
    points: NDArray[np.float32],
    triangles: NDArray[np.int32],
    depth: NDArray[np.float32],
    owner: NDArray[np.int32],
) -> None:
    """Find the nearest triangle behind every sample; triangles facing away are left out.

    Args:
        points: column, row and nearness (larger is nearer) of every vertex, shape (n, 3).
        triangles: vertex numbers, shape (m, 3).
        depth: receives the nearness of each sample, shape (h, w).
        owner: receives the triangle's number or `EMPTY`, shape (h, w).
    """
    height, width = depth.shape
    depth[:] = _NOWHERE
    owner[:] = EMPTY
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        x0, y0, z0 = points[a, 0], points[a, 1], points[a, 2]
        x1, y1, z1 = points[b, 0], points[b, 1], points[b, 2]
        x2, y2, z2 = points[c, 0], points[c, 1], points[c, 2]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if area >= -1e-9:
            continue
        # sample (row, column) lies at (row + 0.5, column + 0.5)
        left = max(0, int(np.ceil(min(x0, x1, x2) - 0.5)))
        right = min(width - 1, int(np.floor(max(x0, x1, x2) - 0.5)))
        top = max(0, int(np.ceil(min(y0, y1, y2) - 0.5)))
        bottom = min(height - 1, int(np.floor(max(y0, y1, y2) - 0.5)))
        if left > right or top > bottom:
            continue
        # weights of the first two corners and the nearness are affine in column and row
        inverse = 1.0 / area
        w0_x, w0_y = (y1 - y2) * inverse, (x2 - x1) * inverse
        w1_x, w1_y = (y2 - y0) * inverse, (x0 - x2) * inverse
        z_x, z_y = w0_x * (z0 - z2) + w1_x * (z1 - z2), w0_y * (z0 - z2) + w1_y * (z1 - z2)
        dx, dy = left + 0.5 - x2, top + 0.5 - y2
        w0_row, w1_row = w0_x * dx + w0_y * dy, w1_x * dx + w1_y * dy
        z_row = z2 + z_x * dx + z_y * dy
        # how far one must step along a row until a weight is 0; 0 where it does not change
        step0 = 1 / w0_x if w0_x != 0 else 0.0
        step1 = 1 / w1_x if w1_x != 0 else 0.0
        w2_x = -w0_x - w1_x
        step2 = 1 / w2_x if w2_x != 0 else 0.0
        last = float(right - left)
        for row in range(top, bottom + 1):
            first, end = 0.0, last
            first, end = _clip_span(w0_row - _OVERLAP, step0, first, end)
            first, end = _clip_span(w1_row - _OVERLAP, step1, first, end)
            first, end = _clip_span(1 - w0_row - w1_row - _OVERLAP, step2, first, end)
            if first <= end:
                start = int(np.ceil(first))
                z = z_row + start * z_x
                for column in range(left + start, left + int(end) + 1):
                    if z > depth[row, column]:
                        depth[row, column] = z
                        owner[row, column] = t
                    z += z_x
            w0_row += w0_y
            w1_row += w1_y
            z_row += z_y


@njit(cache=True, fastmath=True, error_model="numpy", inline="always")
def _clip_span(weight: float, step: float, first: float, end: float) -> tuple[float, float]:
    """Cut a row's span to where a weight, linear along the row, is not negative."""
    if step > 0:
        first = max(first, -weight * step)
    elif step < 0:
        end = min(end, -weight * step)
    elif weight < 0:
        end = -1.0
    return first, end


@njit(cache=True, fastmath=True, error_model="numpy")
def find_visible(
    vertices: NDArray[np.float32],
    normals: NDArray[np.float32],
    triangles: NDArray[np.int32],
    directions: NDArray[np.float32],
    side: int,
) -> NDArray[np.float32]:
    """Tell how freely each vertex is seen from far away in each direction.

    Args:
        vertices: decimetres, shape (n, 3).
        normals: unit normals, shape (n, 3).
        triangles: what stands in the way, shape (m, 3).
        directions: unit vectors towards the viewer, none of them along y, shape (k, 3).
        side: width and height of the depth picture, pixels.

    Returns:
        0 (hidden) to 1 (free), shape (k, n): the free share of the four nearest depth samples.
    """
    # the point stands a little off the surface, so that its own triangles do not hide it
    lift = np.float32(0.03)
    depth = np.empty((side, side), np.float32)
    owner = np.empty((side, side), np.int32)
    points = np.empty(vertices.shape, np.float32)
    seen = np.empty((directions.shape[0], vertices.shape[0]), np.float32)
    middle, scale = np.float32(7.0), np.float32(side / 5.0)
    half = np.float32(side / 2)
    for k in range(directions.shape[0]):
        fx, fy, fz = directions[k, 0], directions[k, 1], directions[k, 2]
        flat = np.sqrt(fx * fx + fz * fz)
        rx, rz = fz / flat, -fx / flat
        ux, uy, uz = fy * rz, fz * rx - fx * rz, -fy * rx
        for i in range(vertices.shape[0]):
            x, y, z = vertices[i, 0], vertices[i, 1] - middle, vertices[i, 2]
            points[i, 0] = half + scale * (rx * x + rz * z)
            points[i, 1] = half - scale * (ux * x + uy * y + uz * z)
            points[i, 2] = fx * x + fy * y + fz * z
        rasterise(points, triangles, depth, owner)
        for i in range(vertices.shape[0]):
            nx, ny, nz = normals[i, 0], normals[i, 1], normals[i, 2]
            column = points[i, 0] + lift * scale * (rx * nx + rz * nz) - 0.5
            row = points[i, 1] - lift * scale * (ux * nx + uy * ny + uz * nz) - 0.5
            near = points[i, 2] + lift * (fx * nx + fy * ny + fz * nz)
            c, r = int(np.floor(column)), int(np.floor(row))
            if c < 0 or r < 0 or c >= side - 1 or r >= side - 1:
                seen[k, i] = 1.0
                continue
            p, q = column - c, row - r
            free = np.float32(0.0)
            if near >= depth[r, c]:
                free += (1 - p) * (1 - q)
            if near >= depth[r, c + 1]:
                free += p * (1 - q)
            if near >= depth[r + 1, c]:
                free += (1 - p) * q
            if near >= depth[r + 1, c + 1]:
                free += p * q
            seen[k, i] = free
    return seen
