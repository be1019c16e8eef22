"""Make `heads.npz`: coarse pictures of a few demo clips, to notice when the renderer draws anew.

    python tests/golden/make_heads.py

Run it after raising `evfer.heads.RENDERER_VERSION`. The pictures are means over 32 x 32 pixels,
because single grey levels may differ from machine to machine.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from evfer.heads import RENDERER_VERSION, HeadClip

CLIPS = ((0, 0, "happy", 0), (0, 3, "surprise", 1), (7, 11, "sadness", 0))
FRAMES, SIZE, BLOCK = 12, 256, 32


def coarse(seed: int, person: int, emotion: str, repetition: int) -> np.ndarray:
    """Mean colour of each block of the first and last frame, shape (2, 8, 8, 3)."""
    frames = list(HeadClip(seed, person, emotion, repetition, FRAMES, size=SIZE))
    ends = np.stack([frames[0], frames[-1]]).astype(np.float64)
    n = SIZE // BLOCK
    return ends.reshape(2, n, BLOCK, n, BLOCK, 3).mean((2, 4)).astype(np.float32)


if __name__ == "__main__":
    pictures = np.stack([coarse(*clip) for clip in CLIPS])
    out = Path(__file__).with_name("heads.npz")
    np.savez_compressed(out, version=RENDERER_VERSION, pictures=pictures)
