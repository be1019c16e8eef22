"""A picture between two, from both and the flows between them, in machine code.

No `fastmath`: the same pictures and flows give the same bytes on every machine.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

__all__ = ["add_border", "blend_along", "sample", "weigh_taps"]

_BORDER = 2  # pixels that the taps reach beyond a picture
_PICTURE = types.Array(types.float32, 1, "C", readonly=True)
_FLOW = types.Array(types.float32, 3, "C", readonly=True)
_F32 = types.float32

# numbers that must not widen float32 to float64
_ZERO, _HALF, _ONE, _TWO_HALF = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2.5)
_THREE_HALF, _THREE, _FOUR = np.float32(1.5), np.float32(3), np.float32(4)
_EDGE, _WHITE = np.float32(_BORDER), np.float32(255)


def add_border(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Give a frame as float32 with its outermost pixels repeated twice, flat."""
    return np.pad(frame, _BORDER, mode="edge").astype(np.float32).ravel()


@numba.njit(types.UniTuple(_F32, 4)(_F32), cache=True, inline="always")
def weigh_taps(part: Any) -> Any:
    """Weigh four neighbours for a place `part` of the way from the second to the third.

    Source:
        Catmull and Rom, "A class of local interpolating splines" 1974; deviates: none.
    """
    rest = _ONE - part
    return (
        -_HALF * part * rest * rest,
        _ONE + part * part * (_THREE_HALF * part - _TWO_HALF),
        _HALF * part * (_ONE + part * (_FOUR - _THREE * part)),
        -_HALF * part * part * rest,
    )


@numba.njit(_F32(_PICTURE, types.int64, _F32, _F32), cache=True, inline="always")
def sample(picture: Any, stride: int, y: Any, x: Any) -> Any:
    """Read a picture between its pixels, by a bicubic that passes through them.

    A bilinear reading would blur each made frame against the kept ones, and the emulator would
    see that as flicker.

    Args:
        picture: from `add_border`, flat.
        stride: pixels in one of its rows.
        y: row in it, float32, at least 1 from the edge before and 2 from the edge after.
        x: column in it, float32, likewise.

    Returns:
        The value, float32; may overshoot 0 to 255.
    """
    row, column = np.int64(y), np.int64(x)
    a, b, c, d = weigh_taps(y - np.float32(row))
    across = weigh_taps(x - np.float32(column))
    i = (row - 1) * stride + column - 1
    j, k, m = i + stride, i + 2 * stride, i + 3 * stride
    return (
        across[0] * (a * picture[i] + b * picture[j] + c * picture[k] + d * picture[m])
        + across[1]
        * (a * picture[i + 1] + b * picture[j + 1] + c * picture[k + 1] + d * picture[m + 1])
        + across[2]
        * (a * picture[i + 2] + b * picture[j + 2] + c * picture[k + 2] + d * picture[m + 2])
        + across[3]
        * (a * picture[i + 3] + b * picture[j + 3] + c * picture[k + 3] + d * picture[m + 3])
    )


@numba.njit(
    types.void(_PICTURE, _PICTURE, _FLOW, _FLOW, _F32, types.uint8[:, ::1]),
    cache=True,
    nogil=True,
    error_model="numpy",
)
def blend_along(first: Any, second: Any, forward: Any, backward: Any, when: Any, out: Any) -> None:
    """Make the picture at `when` on the way from the first to the second.

    Args:
        first: a picture of shape (h, w), from `add_border`.
        second: likewise.
        forward: where each pixel of the first goes, pixels (x, y), shape (h, w, 2).
        backward: where each pixel of the second comes from, likewise.
        when: 0 is the first picture, 1 the second.
        out: receives the picture, shape (h, w), uint8, rounded half up. Beyond the edge of a
            picture its edge goes on.

    Source:
        Jiang et al., "Super SloMo: High quality estimation of multiple intermediate frames for
        video interpolation" CVPR 2018, equations 3 and 4, for the flows at `when`; deviates:
        pictures are weighted by time alone. Weights from forward-backward agreement, from the
        two samples' likeness and from inverting the flows were tried on rendered faces, warped
        photographs and moving squares; none came nearer to the true frames.
    """
    height, width = out.shape
    stride = width + 2 * _BORDER
    bottom, right = np.float32(height - 1), np.float32(width - 1)
    rest = _ONE - when
    both, ahead, behind = when * rest, when * when, rest * rest
    for y in range(height):
        for x in range(width):
            u, v = forward[y, x, 0], forward[y, x, 1]
            back_u, back_v = backward[y, x, 0], backward[y, x, 1]
            here_y, here_x = np.float32(y), np.float32(x)
            first_y = min(max(here_y - both * v + ahead * back_v, _ZERO), bottom) + _EDGE
            first_x = min(max(here_x - both * u + ahead * back_u, _ZERO), right) + _EDGE
            second_y = min(max(here_y + behind * v - both * back_v, _ZERO), bottom) + _EDGE
            second_x = min(max(here_x + behind * u - both * back_u, _ZERO), right) + _EDGE
            before = sample(first, stride, first_y, first_x)
            after = sample(second, stride, second_y, second_x)
            value = rest * before + when * after + _HALF
            out[y, x] = np.uint8(min(max(value, _ZERO), _WHITE))
