"""Let the real v2e put pictures between frames, and keep what it gives.

    python tests/golden/slomo/make_slomo.py --v2e CHECKOUT

Needs what v2e's `slomo.py` imports: torchvision and tqdm. Writes the cases beside this file.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent))

import slomo_weights  # noqa: E402
import v2e_checkout  # noqa: E402

SEED, FLOW, FPS = 3, 6.0, 30
CASES = {  # frames, height, width, batch size, fixed factor or 0
    "wide": (8, 48, 64, 2, 0),  # 7 pairs: the last batch is smaller; 48 becomes 32
    "flat": (5, 40, 72, 8, 0),  # both sides resized, batch size halved twice
    "fixed": (4, 64, 32, 2, 3),
}


def draw_frames(n: int, height: int, width: int) -> np.ndarray:
    """A bright disc that crosses a pattern and stops for one frame."""
    rows, columns = np.mgrid[:height, :width]
    frames = []
    for k in (0, 1, 1, *range(2, n - 1)):
        pattern = 110 + 50 * np.sin(columns / 5 - k) * np.cos(rows / 7 + k / 2)
        near = np.hypot(rows - height / 2 - k, columns - width / 4 - 4 * k) < height / 5
        frames.append(np.where(near, 245, pattern))
    return np.rint(frames).astype(np.uint8)


def run_v2e(
    frames: np.ndarray, checkpoint: Path, batch_size: int, factor: int
) -> tuple[np.ndarray, np.ndarray]:
    """Give v2e's pictures, and their times in frames."""
    from v2ecore.slomo import SuperSloMo

    height, width = frames.shape[1:]
    with tempfile.TemporaryDirectory() as given, tempfile.TemporaryDirectory() as made:
        for k, frame in enumerate(frames):
            np.save(Path(given) / f"{k:08d}.npy", frame)
        slomo = SuperSloMo(
            model=str(checkpoint),
            auto_upsample=factor == 0,
            upsampling_factor=factor or 1,
            batch_size=batch_size,
        )
        times, _ = slomo.interpolate(given, made, (width, height))
        names = [Path(made) / f"{k}.png" for k in range(len(times))]
        return np.stack([np.asarray(Image.open(name)) for name in names]), times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--v2e", type=Path, required=True)
    v2e_checkout.add_to_path(parser.parse_args().v2e)
    torch.set_num_threads(1)
    networks = slomo_weights.draw(SEED, FLOW)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = slomo_weights.save(networks, Path(folder) / "weights.ckpt")
        for name, (n, height, width, batch_size, factor) in CASES.items():
            frames = draw_frames(n, height, width)
            pictures, places = run_v2e(frames, checkpoint, batch_size, factor)
            # v2e.py stretches the times over the clip
            stretch = (n - 1) / FPS / (places.max() - places.min())
            np.savez_compressed(
                HERE / f"{name}.npz",
                frames=frames,
                pictures=pictures,
                places=places,
                times_s=stretch * places,
                fps=FPS,
                batch_size=batch_size,
                factor=factor,
                seed=SEED,
                flow=FLOW,
                weights_sha256=slomo_weights.sha256(networks),
            )
            pairs = np.floor(places + 1e-6).astype(int)
            print(name, pictures.shape, "steps a pair", np.bincount(pairs).tolist())


if __name__ == "__main__":
    main()
