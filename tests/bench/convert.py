"""How fast clips become recordings, stage by stage, and against the straightforward route.

    python tests/bench/convert.py [--v2e PATH] [--frames 60] [--repeats 3] [--long 4000]

PATH is a checkout of https://github.com/SensorsINI/v2e. Clips of demo heads are written to disk
as the licensed sets hold theirs: 640 x 480 and 720 x 576, PNG, JPEG, MPEG. The straightforward
route finds the face in every whole frame with dlib's detector, finds its 68 points with dlib's
predictor, crops it and gives the crops to the original v2e, without Super SloMo; once as the
detector is by default, and once with the picture doubled first, as dlib's own example has it.

All is timed by the processor time of one thread, so that other processes count little, and
medians over repeats are given, clips taken in turns; the two workers also by the clock. Prints
Markdown tables. Not a test: it never fails on a figure.
"""

from __future__ import annotations

import argparse
import atexit
import itertools
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from evfer import convert, provenance, recordings, video, workers
from evfer.convert.clip import convert_clip
from evfer.datasets.folder import Folder
from evfer.emulator import create
from evfer.emulator.original import load_original
from evfer.events import SensorSize, from_raw
from evfer.faces import plan_cut, track
from evfer.faces.landmarks import find_weights
from evfer.heads import HeadClip
from evfer.interpolation import interpolate_pairs

SETTINGS = convert.load_config("default")
LEAST, AIM = 30, 60  # source frames a second
FORMATS = (("png", 640, 480), ("jpg", 640, 480), ("mpg", 640, 480),
           ("png", 720, 576), ("jpg", 720, 576), ("mpg", 720, 576))  # fmt: skip
FACES = (("surprise", 1), ("happy", 2))


@dataclass(frozen=True)
class Source:
    """A clip on disk."""

    kind: str
    size: tuple[int, int]
    path: Path


def pictures(label: str, person: int, size: tuple[int, int], n_frames: int) -> Iterator[NDArray]:
    """Draw a head before a plain wall; more frames than an expression takes go to and fro."""
    width, height = size
    head = list(HeadClip(0, person, label, 0, min(n_frames, 60), 30.0, height))
    there_and_back = itertools.cycle([*head, *head[-2:0:-1]])
    margin = (width - height) // 2
    for frame in itertools.islice(there_and_back, n_frames):
        wide = cv2.copyMakeBorder(frame, 0, 0, margin, margin, cv2.BORDER_REPLICATE)
        yield wide if wide.ndim == 3 else cv2.cvtColor(wide, cv2.COLOR_GRAY2BGR)


def write_clips(root: Path, n_frames: int) -> list[Source]:
    """Write the clips as `label/subject/clip`, so that the reader of folders takes them."""
    found = []
    for label, person in FACES:
        for size in sorted({(width, height) for _, width, height in FORMATS}):
            drawn = list(pictures(label, person, size, n_frames))
            for kind in [kind for kind, *its in FORMATS if tuple(its) == size]:
                path = root / label / f"p{person}" / f"{kind}{size[0]}"
                write_clip(path, kind, size, drawn)
                suffix = path.with_suffix(".mpg")
                found.append(Source(kind, size, suffix if suffix.exists() else path))
    return found


def write_clip(path: Path, kind: str, size: tuple[int, int], drawn: list[NDArray]) -> None:
    if kind == "mpg":
        path.parent.mkdir(parents=True, exist_ok=True)
        code = cv2.VideoWriter.fourcc(*"MPG2")
        writer = cv2.VideoWriter(str(path.with_suffix(".mpg")), cv2.CAP_FFMPEG, code, 25.0, size)
        assert writer.isOpened()
        for frame in drawn:
            writer.write(frame)
        writer.release()
        return
    path.mkdir(parents=True)
    for k, frame in enumerate(drawn):
        cv2.imwrite(str(path / f"{k:04d}.{kind}"), frame)


def time_ours(source: Source, folder: Path) -> float:
    """Give processor milliseconds a source frame of `evfer convert`, end to end."""
    root = source.path.parents[2]
    reader = Folder()
    name = source.path.relative_to(root).as_posix()
    clip = next(clip for clip in reader.survey(root).clips if clip.native_id == name)
    start = time.process_time()
    entry = convert_clip(reader, clip, root, folder, SETTINGS)
    return 1e3 * (time.process_time() - start) / entry.n_frames


def time_stages(source: Source, folder: Path) -> dict[str, float]:
    """Give processor milliseconds a source frame by stage; reading apart from the rest."""
    marks = {"": time.process_time()}
    video.digest(source.path)
    marks["digest"] = time.process_time()
    opened = video.open_frames(source.path)
    frames = list(opened)
    marks["read"] = time.process_time()
    face = plan_cut(track(frames, SETTINGS.faces), SETTINGS.faces)
    marks["follow"] = time.process_time()
    crops = face.collect().frames
    marks["crop"] = time.process_time()
    pairs = list(interpolate_pairs(crops, opened.times_s, SETTINGS.interpolation))
    marks["between"] = time.process_time()
    camera = create(SETTINGS.emulator, (0, 1))
    events = np.concatenate([from_raw(camera.run(*pair)) for pair in pairs])
    marks["emulate"] = time.process_time()
    recordings.write(folder / "a.h5", events, SensorSize(200, 200), {}, duration_us=10**8)
    marks["write"] = time.process_time()
    names = list(marks)
    return {
        name: 1e3 * (marks[name] - marks[before]) / len(frames)
        for before, name in itertools.pairwise(names)
    }


def time_straightforward(source: Source, folder: Path, upsample: int, stride: int) -> float:
    """Give processor milliseconds a source frame of the straightforward route.

    The detector, by far the slowest, looks at every `stride`-th frame, and counts for all.
    """
    import dlib

    detector, predictor = dlib.get_frontal_face_detector(), peer_predictor()
    emulator = load_original()[0](seed=1, device="cpu", pos_thres=0.2, neg_thres=0.2)
    atexit.unregister(emulator.cleanup)
    opened = video.open_frames(source.path)
    frames, times_s = iter(opened), opened.times_s
    spent, looked, n_looks, rows = 0.0, 0.0, 0, []
    box, k = None, 0
    while True:
        start = time.process_time()
        frame = next(frames, None)
        if frame is None:
            break
        grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) if frame.ndim == 3 else frame
        spent += time.process_time() - start
        if k % stride == 0:
            start = time.process_time()
            boxes = detector(grey, upsample)
            looked, n_looks = looked + time.process_time() - start, n_looks + 1
            box = boxes[0] if boxes else box
        start = time.process_time()
        points = np.array([(point.x, point.y) for point in predictor(grey, box).parts()])
        # the "paper-fixed" crop, by each frame's own points
        nose, middle = np.linalg.norm(points[33] - points[27]), points[30]
        half = max(1, round(5 / 3 * nose))
        x, y = (max(0, int(v) - half) for v in middle)
        crop = cv2.resize(grey[y : middle[1] + half, x : middle[0] + half], (200, 200))
        made = emulator.generate_events(crop.astype(np.float32), float(times_s[k]))
        if made is not None:
            rows.append(made)
        spent += time.process_time() - start
        k += 1
    start = time.process_time()
    np.save(folder / "theirs.npy", np.concatenate(rows))
    spent += time.process_time() - start
    return 1e3 * (spent / k + looked / n_looks)


def peer_predictor(found: list[object] = []) -> object:  # noqa: B006 - loaded once
    import dlib

    if not found:
        found.append(dlib.shape_predictor(str(find_weights())))
    return found[0]


def speed_table(clips: list[Source], folder: Path, repeats: int, v2e: bool) -> None:
    ours: dict[tuple[str, tuple[int, int]], list[float]] = defaultdict(list)
    plain: dict[tuple[str, tuple[int, int]], list[float]] = defaultdict(list)
    double: dict[tuple[str, tuple[int, int]], list[float]] = defaultdict(list)
    time_ours(clips[0], folder)  # compiles and loads
    for _ in range(repeats):
        for clip in clips:
            key = (clip.kind, clip.size)
            ours[key].append(time_ours(clip, folder))
            if v2e:
                plain[key].append(time_straightforward(clip, folder, 0, 2))
                double[key].append(time_straightforward(clip, folder, 1, 10))
    columns = ["clips", "ms a frame", f"frames/s (at least {LEAST}, aim {AIM})"]
    columns += ["straightforward", "ratio", "with the picture doubled", "ratio"] * v2e
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    for key, times in ours.items():
        kind, (width, height) = key
        here = statistics.median(times)
        cells = [f"{kind}, {width} x {height}", f"{here:.2f}", f"{1e3 / here:.0f}"]
        for other in (plain, double):
            if v2e:
                there = statistics.median(other[key])
                cells += [f"{there:.1f} ms", f"{there / here:.1f}"]
        print("| " + " | ".join(cells) + " |")


def stage_table(clips: list[Source], folder: Path, repeats: int) -> None:
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for _ in range(repeats):
        for clip in clips:
            for stage, spent in time_stages(clip, folder).items():
                found[f"{clip.kind}, {clip.size[0]} x {clip.size[1]}"][stage].append(spent)
    stages = list(next(iter(found.values())))
    print("\n| ms a frame | " + " | ".join(stages) + " |\n" + "|---" * (len(stages) + 1) + "|")
    for name, times in found.items():
        cells = [f"{statistics.median(times[stage]):.2f}" for stage in stages]
        print(f"| {name} | " + " | ".join(cells) + " |")


def convert_once(given: tuple[Path, str]) -> float:
    """Convert one clip of a tree; give the processor seconds."""
    root, name = given
    clip = next(clip for clip in Folder().survey(root).clips if clip.native_id == name)
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        convert_clip(Folder(), clip, root, Path(folder), SETTINGS)
        return time.process_time() - start


def print_scaling(clips: list[Source], repeats: int) -> None:
    """Print how much more two workers do than one, once both have started."""
    root = clips[0].path.parents[2]
    tasks = [(root, clip.path.relative_to(root).as_posix()) for clip in clips]
    by_clock, by_processor = [], []
    with workers.open_executor(2) as two:
        for warm in [two.submit(convert_once, task) for task in tasks[:2] * 2]:
            warm.result()
        for _ in range(repeats):
            start = time.perf_counter()
            alone = [two.submit(convert_once, task).result() for task in tasks]
            one = time.perf_counter() - start
            start = time.perf_counter()
            together = [f.result() for f in [two.submit(convert_once, t) for t in tasks]]
            by_clock.append(one / (time.perf_counter() - start))
            by_processor.append(2 * sum(alone) / sum(together))
    print(
        f"\nTwo workers against one: {statistics.median(by_clock):.2f} by the clock, "
        f"{statistics.median(by_processor):.2f} by processor time, which other processes do not "
        "count in (at least 1.8)."
    )


def print_memory(n_frames: int) -> None:
    """Print the peak memory of a process that converts one clip, a short and a long one."""
    print(
        "\n| one video, 640 x 480 | peak memory of the process (limit 1024 MiB) "
        "| frames/s, loading too |"
    )
    print("|---|---|---|")
    for count in (60, n_frames):
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "source" / "surprise" / "p1" / "clip"
            drawn = pictures("surprise", 1, (640, 480), count)
            write_clip(path, "mpg", (640, 480), drawn)  # type: ignore[arg-type]
            done = subprocess.run(
                [sys.executable, __file__, "--only", str(Path(name) / "source")],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
            kilobytes, seconds = done.stdout.split()
            rate = count / float(seconds)
            print(f"| {count} frames | {int(kilobytes) / 1024:.0f} MiB | {rate:.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--v2e", type=Path, help="a checkout of SensorsINI/v2e")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--long", type=int, default=4000, help="frames of the long clip; 0: none")
    parser.add_argument("--only", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    if arguments.only:
        seconds = convert_once((arguments.only, "surprise/p1/clip.mpg"))
        # not getrusage, which counts the process that started this one
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        print(status.partition("VmHWM:")[2].split()[0], seconds)
        return
    sys.path.insert(0, str(Path(__file__).parent.parent))
    logging.getLogger("v2ecore").setLevel(logging.CRITICAL)
    machine = provenance.machine()
    print(f"{machine['processor']}, {machine['cores']} cores, load {os.getloadavg()[0]:.1f}\n")
    if arguments.v2e:
        import torch
        import v2e_checkout

        torch.set_num_threads(1)
        v2e_checkout.add_to_path(arguments.v2e)
    with tempfile.TemporaryDirectory() as name:
        clips = write_clips(Path(name) / "source", arguments.frames)
        folder = Path(name) / "out"
        folder.mkdir()
        speed_table(clips, folder, arguments.repeats, arguments.v2e is not None)
        stage_table(clips, folder, arguments.repeats)
        print_scaling(clips, arguments.repeats)
    if arguments.long:
        print_memory(arguments.long)


if __name__ == "__main__":
    main()
