"""Time the way from recordings to frames against tonic's functions, in one process and thread.

    python tests/bench/inputs.py

Three comparisons, on clips of about 216,000 events on 200 x 200 pixels:

frames         events to six binary frames, against tonic's ToFrame
first epoch    from recordings, with the published framing and augmentations, the cache made on
               the way; against the published loader's path, rebuilt here from tonic's functions
cached epoch   the same once the cache is there

The rebuilt path reads the table as the published loader does, makes tonic's structured events,
augments with tonic's transforms, frames with tonic's ToFrame by 2,500 events, keeps the middle
six, and crops and mirrors tensors. Times are processor time, medians of several passes, the two
sides taking turns; each pass is another epoch, with draws of its own.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import h5py
import numpy as np
import tonic
import torch
from tonic import transforms as theirs

from evfer import provenance, recordings
from evfer.events import EVENT_DTYPE, SensorSize
from evfer.files import sha256_file
from evfer.frames import FramesParams, fill_frames, to_frames
from evfer.inputs import EventInputs, Loader, load_set
from evfer.region import Region
from evfer.training.recipe import load_config
from evfer.transforms import build

SENSOR = SensorSize(200, 200)


def make_events(n: int, seed: int) -> np.ndarray:
    """Make events that lie where a face's do: on a few moving edges, times nearly all different."""
    rng = np.random.default_rng(seed)
    events = np.empty(n, EVENT_DTYPE)
    t = np.sort(rng.integers(0, 900_000, n))
    centres = rng.uniform(40, 160, (12, 2))
    which = rng.integers(0, 12, n)
    drift = 10 * np.sin(t / 150_000)
    for axis, name in enumerate("xy"):
        place = centres[which, axis] + rng.normal(0, 9, n) + drift
        events[name] = np.clip(place, 0, 199)
    events["t"], events["p"] = t, rng.random(n) < 0.5
    return events


def medians(*functions, passes: int) -> list[float]:
    """Give the median processor time of each function in milliseconds, taking turns."""
    for function in functions:
        function()
    spent = [[] for _ in functions]
    for _ in range(passes):
        for times, function in zip(spent, functions, strict=True):
            begun = time.process_time()
            function()
            times.append((time.process_time() - begun) * 1e3)
    return [statistics.median(times) for times in spent]


def frames(passes: int) -> None:
    """Compare framing alone."""
    print("\n| frames from | events | tonic ToFrame ms | evfer ms | ratio |")
    print("|---|---|---|---|---|")
    tonic_frames = theirs.ToFrame(SENSOR.tonic, n_time_bins=6)
    params, whole = FramesParams(size=None), Region(0, 0, 200, 200)
    smaller = FramesParams(size=128)
    for n in (20_000, 250_000):
        events = make_events(n, n)
        x, y, p = (np.ascontiguousarray(events[name]) for name in "xyp")
        t = events["t"].astype(np.uint32)

        def columns(chosen=params, data=(x, y, p, t)):
            made = np.zeros(chosen.shape(whole), np.uint8)
            fill_frames(made, *data, SENSOR, chosen, whole)
            return made

        rows = {
            "columns": columns,
            "columns, maxpool to 128 x 128": lambda: columns(smaller),
            "structured array": lambda: to_frames(events, SENSOR),  # noqa: B023
        }
        for name, function in rows.items():
            their, our = medians(lambda: tonic_frames(events), function, passes=passes)  # noqa: B023
            print(f"| {name} | {n:,} | {their:.2f} | {our:.3f} | {their / our:.1f} |")


class Published:
    """The published loader's path for one clip, from tonic's functions and torch's."""

    def __init__(self, root: Path, paths: list[str]) -> None:
        self.root, self.paths = root, paths
        self.rng = np.random.default_rng(0)
        self.flip = theirs.RandomFlipLR(SENSOR.tonic, p=0.5)
        self.reverse = theirs.RandomTimeReversal(p=0.2)
        self.drops = [
            lambda events: events,
            theirs.DropEventByTime((0.1, 0.9)),
            theirs.DropEventByArea(SENSOR.tonic, 0.2),
            theirs.DropEvent((0.1, 0.9)),
        ]
        self.count = theirs.ToFrame(SENSOR.tonic, event_count=2500)
        self.bins = theirs.ToFrame(SENSOR.tonic, n_event_bins=6)

    def __call__(self, i: int) -> torch.Tensor:
        """Give a clip's augmented frames."""
        with h5py.File(self.root / self.paths[i], "r") as file:
            table = np.array(file["events"])
        events = tonic.io.make_structured_array(
            table[:, 1], table[:, 2], table[:, 0], table[:, 3].astype(bool)
        )
        events = self.flip(events)
        if self.rng.random() < 0.5:
            events = theirs.UniformNoise(SENSOR.tonic, int(0.2 * len(events)))(events)
        events = self.reverse(events)
        events = self.drops[int(self.rng.integers(4))](events)
        few = len(events) // 2500 < 6
        made = (self.bins if few else self.count)(events)
        start = (len(made) - 6) // 2
        cells = torch.from_numpy((made[start : start + 6] > 0).astype(np.float32))
        side = np.sqrt(self.rng.uniform(0.08, 1))
        size = max(1, int(200 * side))
        top, left = self.rng.integers(0, 201 - size, 2)
        cut = cells[..., top : top + size, left : left + size]
        cut = torch.nn.functional.interpolate(cut, size=128, mode="nearest")
        if self.rng.random() < 0.5:
            cut[..., 64:] = cut[..., :64].flip(-1)
        return cut


def make_set(root: Path, n_clips: int) -> Path:
    """Write a set of recordings."""
    folder = recordings.set_folder(root, "BenchDVS")
    entries = []
    rng = np.random.default_rng(0)
    for i in range(n_clips):
        events = make_events(int(rng.normal(216_000, 40_000)), i)
        path = f"S{i:03d}/001.h5"
        digest = recordings.write(folder / path, events, SENSOR, {}, duration_us=900_000)
        size, of_file = (folder / path).stat().st_size, sha256_file(folder / path)
        labels = (i % 6 + 1, f"label{i % 6}")
        entry = (f"S{i:03d}/001", path, f"S{i:03d}", 1, *labels, len(events), 900_000, size)
        entries.append(recordings.IndexEntry(*entry, of_file, digest, "", 30.0, 27))
    recordings.write_index(folder, entries)
    return folder


def epochs(n_clips: int, passes: int) -> None:
    """Compare whole epochs."""
    with tempfile.TemporaryDirectory() as name:
        folder = make_set(Path(name), n_clips)
        entries = recordings.read_index(folder)
        published = Published(folder, [entry.path for entry in entries])
        recipe = load_config("spiking-fer", "spiking-fer", "code")
        drawn = build(recipe.augment)

        def theirs_epoch():
            for start in range(0, n_clips, 8):
                torch.stack([published(i) for i in range(start, min(start + 8, n_clips))])

        epoch = itertools.count()

        def ours_epoch(data):
            inputs = EventInputs(data, recipe.frames, drawn)
            loader = Loader(inputs, tuple(range(n_clips)), 8, training=True, workers=0)
            for _ in loader.epoch(next(epoch)):
                pass

        places = iter(Path(name, f"cache{i}") for i in range(1000))

        def first():  # each time in a new place: there is nothing to delete before a first epoch
            os.environ["EVFER_CACHE"] = str(next(places))
            ours_epoch(load_set(folder))

        data = load_set(folder)
        for clip in range(n_clips):  # the cache fills as events are asked for; now it is full
            data.columns(clip)
        old, new, cached = medians(
            theirs_epoch, first, lambda: ours_epoch(data), passes=max(2, passes // 4)
        )
        print(f"\nThe published framing and augmentations ({', '.join(names(recipe))}),")
        print(f"{n_clips} clips of {data.packed.offsets[-1] // n_clips:,} events, ms a clip:\n")
        print("| epoch | published path | evfer | ratio |")
        print("|---|---|---|---|")
        for kind, value in (("first, making the cache", new), ("cached", cached)):
            line = f"{old / n_clips:.2f} | {value / n_clips:.3f} | {old / value:.1f}"
            print(f"| {kind} | {line} |")


def names(recipe) -> list[str]:
    """Name a recipe's augmentations."""
    return [table["name"] for table in recipe.augment]


def main() -> None:
    """Run all comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--passes", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    np.random.seed(0)  # noqa: NPY002 (tonic draws from it)
    machine = provenance.machine()
    print(f"{machine.get('cpu', 'a processor')}, tonic {tonic.__version__}")
    frames(options.passes)
    epochs(options.clips, options.passes)


if __name__ == "__main__":
    main()
