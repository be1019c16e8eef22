"""Processor time of each stage of the demo conversion, one thread.

    python tests/bench/stages.py [--clips 12]

Prints the median over clips of milliseconds a source frame: rendering (without drawing the
person, which is done once for all their clips), face stage, frames between frames, emulation,
writing. Not a test: it never fails on a figure.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import cv2

from evfer import recordings
from evfer.datasets.demo import DemoHeads
from evfer.emulator import DVSEmulator
from evfer.events import SensorSize, from_raw
from evfer.faces import align
from evfer.heads import HeadClip
from evfer.interpolation import interpolate


def measure(clip: HeadClip, spent: dict[str, list[float]], folder: Path) -> None:
    clip.plan  # noqa: B018 - draws the person, who is kept for all their clips
    marks = [time.process_time()]
    frames = list(clip)
    marks.append(time.process_time())
    face = align(frames)
    marks.append(time.process_time())
    more, times_s = interpolate(face.frames, clip.times_s)
    marks.append(time.process_time())
    events = from_raw(DVSEmulator(seed=0).run(more, times_s))
    marks.append(time.process_time())
    recordings.write(folder / "a.h5", events, SensorSize(200, 200), {}, duration_us=10**6)
    marks.append(time.process_time())
    stages = ("render", "faces", "between", "emulate", "write")
    for name, start, end in zip(stages, marks, marks[1:], strict=False):
        spent[name].append(1000 * (end - start) / len(frames))
    spent["frames a source frame"].append(len(more) / len(frames))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=12)
    n_clips = parser.parse_args().clips
    cv2.setNumThreads(1)
    reader = DemoHeads()
    clips = [reader._head_clip(clip) for clip in reader.survey(None).clips[:: 144 // n_clips]]
    spent: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        measure(clips[0], defaultdict(list), Path(folder))  # compiles
        for clip in clips:
            measure(clip, spent, Path(folder))
    for name, values in spent.items():
        print(f"{name:24s} median {statistics.median(values):6.2f}  max {max(values):6.2f}")


if __name__ == "__main__":
    main()
