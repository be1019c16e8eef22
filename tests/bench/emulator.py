"""How fast the event camera is, against the real v2e in the same run, one thread each.

    python tests/bench/emulator.py --v2e PATH [--frames 300] [--repeats 5]

PATH is a checkout of https://github.com/SensorsINI/v2e. evfer is timed as users call it, one
`run` for the clip; v2e call by call, as its own program does it. Both leave out construction and
the first frame, in which the thresholds are drawn. Prints Markdown tables. Not a test: it never
fails on a figure.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import dataclasses
import io
import itertools
import logging
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from evfer import provenance
from evfer.datasets.demo import DemoHeads
from evfer.emulator import PRESETS, DVSEmulator, DVSParams, V2EEmulator
from evfer.emulator.original import load_original
from evfer.events import canonical_order
from evfer.faces import AlignParams, align
from evfer.interpolation import InterpolationParams, interpolate

Frames = NDArray[np.uint8]

SIDE = 200
FPS = 30
SEED = 1
FACTOR = 4  # pictures a pair in the timing of interpolation
PAIRS = 4
MARGIN = 20


@dataclass(frozen=True)
class Content:
    """What the camera looks at, and how much faster than v2e it should be."""

    name: str
    frames: Frames
    params: DVSParams
    least: float
    aim: float

    @property
    def times_s(self) -> NDArray[np.float64]:
        return np.arange(len(self.frames)) / FPS


@dataclass(frozen=True)
class Array:
    """Memory that one frame moves, bytes a pixel; `streams` if it is new with every frame."""

    name: str
    read: int
    written: int
    streams: bool = False


# What the inner loops of evfer/emulator/{levels,signals}.py touch at every pixel and frame.
TRAFFIC = {
    "whole grey levels, quiet": (
        Array("level", 1, 0, streams=True),
        Array("lowest quiet level", 1, 0),
        Array("highest quiet level", 1, 0),
        Array("flag", 1, 1),
    ),
    "low-pass, leak and shot noise": (
        Array("level", 1, 0, streams=True),
        Array("response", 8 + 8, 8),
        Array("memory", 8, 8),
        Array("ON and OFF threshold to count by", 8 + 8, 0),
        Array("leak rate and its threshold", 4 + 4, 0),
        Array("random words of the leak, and its normal numbers", 4 + 4, 4 + 4),
        Array("random words of ON and OFF shots", 4 + 4, 4),
        Array("nominal over actual ON and OFF threshold", 4 + 4, 0),
        Array("flags of crossings, ON and OFF shots", 3, 3),
    ),
}


def head_crops() -> Frames:
    """Crop one demo head's surprise, with a margin to shift it in."""
    reader = DemoHeads()
    clip = next(clip for clip in reader.survey(None).clips if clip.label_name == "surprise")
    wide = AlignParams(size=SIDE + 2 * MARGIN, crop_scale=3.0 * (SIDE + 2 * MARGIN) / SIDE)
    return align(list(reader.open(clip, None)), wide).frames


def slide(crops: Frames, speed: float, n_frames: int) -> Frames:
    """Let the expression rise and fall while the head circles, `speed` pixels a frame."""
    there_and_back = itertools.cycle([*range(len(crops)), *range(len(crops) - 2, 0, -1)])
    frames = []
    for k, index in zip(range(n_frames), there_and_back, strict=False):
        angle = speed * k / 12
        move = np.float32([[1, 0, -12 * np.cos(angle)], [0, 1, -12 * np.sin(angle)]])
        move[:, 2] -= MARGIN
        frames.append(cv2.warpAffine(crops[index], move, (SIDE, SIDE)))
    return np.stack(frames)


def disc(speed: float, n_frames: int) -> Frames:
    """Let a white disc circle on black, `speed` pixels a frame."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    angles = speed / 30 * np.arange(n_frames)
    centres = zip(30 * np.cos(angles), 30 * np.sin(angles), strict=True)
    return np.stack(
        [np.where((x - cx) ** 2 + (y - cy) ** 2 < 60**2, 255, 1) for cx, cy in centres]
    ).astype(np.uint8)


def calibrate(make: Callable[[float, int], Frames], n_events: int, n_frames: int) -> Frames:
    """Choose the speed at which about `n_events` come with every frame."""
    low, high = 0.0, 12.0
    for _ in range(10):
        speed = (low + high) / 2
        frames = make(speed, 40)
        found = len(DVSEmulator(seed=SEED).run(frames, np.arange(40) / FPS)) / 39
        low, high = (speed, high) if found < n_events else (low, speed)
    return make((low + high) / 2, n_frames)


def contents(crops: Frames, n_frames: int) -> list[Content]:
    middle = crops[0, MARGIN:-MARGIN, MARGIN:-MARGIN]
    # v2e pays for every instant of a frame: soft edges, which need few, are its best case
    soft = np.stack([cv2.GaussianBlur(crop, (0, 0), 2.5) for crop in crops])
    moving = calibrate(lambda speed, n: slide(soft, speed, n), 2250, n_frames)
    sharp = calibrate(lambda speed, n: slide(crops, speed, n), 2250, n_frames)
    paper, noisy = PRESETS["paper"], PRESETS["noisy"]
    return [
        Content("static face", np.stack([middle] * n_frames), paper, 15, 25),
        Content("moving face", moving, paper, 15, 25),
        Content("moving face, sharp edges", sharp, paper, 15, 25),
        Content("high-contrast disc", calibrate(disc, 30_000, n_frames), paper, 40, 60),
        Content("moving face, `noisy`", moving, noisy, 10, 20),
    ]


def time_ours(content: Content) -> float:
    """Give milliseconds a frame of a clip in one call, after the first frame."""
    emulator = DVSEmulator(content.params, seed=SEED)
    emulator.step(content.frames[0], 0.0)
    start = time.perf_counter()
    emulator.run(content.frames[1:], content.times_s[1:])
    return 1e3 * (time.perf_counter() - start) / (len(content.frames) - 1)


def time_theirs(content: Content) -> list[float]:
    """Give the milliseconds of each frame but the first."""
    params = content.params
    names = [field.name for field in dataclasses.fields(params)]
    ours_alone = ("timing", "pattern", "backend")
    settings = {name: getattr(params, name) for name in names if name not in ours_alone}
    emulator = load_original()[0](**settings, seed=SEED, device="cpu")
    atexit.unregister(emulator.cleanup)
    spent = []
    for frame, now_s in zip(
        content.frames.astype(np.float32), content.times_s.tolist(), strict=True
    ):
        start = time.perf_counter()
        emulator.generate_events(frame, now_s)
        spent.append(1e3 * (time.perf_counter() - start))
    return spent[1:]


def compare_events(content: Content) -> tuple[float, float, str]:
    """Give v2e's events and instants a frame, and what our events are to them."""
    params = dataclasses.replace(content.params, pattern="v2e")
    theirs = V2EEmulator(params, seed=SEED).run(content.frames, content.times_s)
    ours = DVSEmulator(params, seed=SEED).run(content.frames, content.times_s)
    if params.shot_noise_rate_hz:
        told = f"{len(ours) / len(theirs):.3f} times as many, other noise"
    elif np.array_equal(ours[canonical_order(ours)], theirs):
        told = "the same"
    else:
        told = f"DIFFERENT: {len(ours)} and {len(theirs)}"
    n_steps = len(content.frames) - 1
    return len(theirs) / n_steps, len(np.unique(theirs["t"])) / n_steps, told


def speed_table(found: list[Content], repeats: int) -> dict[str, float]:
    """Print the ratios; give our milliseconds a frame."""
    ours_ms = {}
    columns = ("content", "events, instants a frame", "v2e ms", "evfer ms")
    print("| " + " | ".join((*columns, "ratio", "at least", "aim", "events")) + " |")
    print("|---" * 8 + "|")
    for content in found:
        n_events, n_instants, told = compare_events(content)
        ours, theirs = [], []
        for _ in range(repeats):  # in turns, so that both see the machine alike
            theirs += time_theirs(content)
            ours += [time_ours(content) for _ in range(3)]
        here, there = statistics.median(ours), statistics.median(theirs)
        ours_ms[content.name] = here
        print(
            f"| {content.name} | {n_events:,.0f}, {n_instants:.1f} | {there:.3f} | {here:.4f} "
            f"| {there / here:.1f} | {content.least:g} | {content.aim:g} | {told} |"
        )
    return ours_ms


def keep_busy(content: Content, runs: int) -> float:
    """Run clips; give the processor time."""
    start = time.process_time()
    for _ in range(runs):
        time_ours(content)
    return time.process_time() - start


def print_scaling(content: Content, repeats: int) -> None:
    """Print how much more two processes do than one."""
    runs = max(1, round(1500 / (time_ours(content) * len(content.frames))))
    by_clock, by_processor = [], []
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn) as pool:

        def spent(n_tasks: int, runs: int) -> tuple[float, float]:
            start = time.perf_counter()
            tasks = [pool.submit(keep_busy, content, runs) for _ in range(n_tasks)]
            each = statistics.mean(task.result() for task in tasks)
            return time.perf_counter() - start, each

        spent(2, 1)  # starts both and compiles
        for _ in range(repeats):
            (one, one_each), (two, two_each) = spent(1, runs), spent(2, runs)
            by_clock.append(2 * one / two)
            by_processor.append(2 * one_each / two_each)
    print(
        f"\nTwo processes on two clips, against one: {statistics.median(by_clock):.2f} by the "
        f"clock, {statistics.median(by_processor):.2f} by processor time, which other processes "
        "do not count in (at least 1.9)."
    )


def first_call_table() -> None:
    """Print how long the first call of a new process takes."""
    code = (
        "import sys, time, numpy; from evfer.emulator import DVSEmulator, PRESETS\n"
        "start = time.perf_counter()\n"
        "DVSEmulator(PRESETS[sys.argv[1]]).run(numpy.zeros((3, 9, 9), 'u1'), [0, 1, 2])\n"
        "print(time.perf_counter() - start)"
    )
    print("\n| first call of a process | nothing compiled yet | compiled before |")
    print("|---|---|---|")
    for preset in ("paper", "noisy"):
        with tempfile.TemporaryDirectory() as cache:
            environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
            seconds = [
                float(
                    subprocess.run(
                        [sys.executable, "-c", code, preset],
                        env=environment, check=True, capture_output=True, text=True,
                    ).stdout
                )
                for _ in range(2)
            ]  # fmt: skip
        print(f"| `{preset}` | {seconds[0]:.1f} s | {seconds[1]:.2f} s |")


@numba.njit
def read_all(source: NDArray[np.uint64], target: NDArray[np.uint64], runs: int) -> np.uint64:
    found = np.uint64(0)
    for run in range(runs):
        for i in range(source.size):
            found += source[i] ^ np.uint64(run)  # or one run would do for all
    return found + target[0]


@numba.njit
def copy_all(source: NDArray[np.uint64], target: NDArray[np.uint64], runs: int) -> np.uint64:
    for run in range(runs):
        for i in range(source.size):
            target[i] = source[i] ^ np.uint64(run)
    return target[0]


def bandwidth(n_bytes: int) -> tuple[float, float]:
    """Give the bytes a nanosecond that one core reads, and that it reads and writes in a copy."""
    source = np.ones(n_bytes // 8, np.uint64)
    target = np.zeros_like(source)
    runs = max(1, 2**28 // n_bytes)
    rates = []
    for work, moved in ((read_all, n_bytes), (copy_all, 2 * n_bytes)):
        spent = []
        for _ in range(8):
            start = time.perf_counter()
            work(source, target, runs)
            spent.append((time.perf_counter() - start) / runs)
        rates.append(moved / statistics.median(spent[1:]) / 1e9)
    return rates[0], rates[1]


def traffic_table(ours_ms: dict[str, float]) -> None:
    """Print how far the kernels are from the traffic that they cannot avoid."""
    near, far = bandwidth(2**17), bandwidth(2**27)
    print("\n| one core | reads | copies, bytes read and written |")
    print("|---|---|---|")
    print(f"| within the second cache (128 KiB) | {near[0]:.1f} GB/s | {near[1]:.1f} GB/s |")
    print(f"| main memory (128 MiB) | {far[0]:.1f} GB/s | {far[1]:.1f} GB/s |")
    print("\n| pixels with | bytes read | written | traffic alone | measured | share |")
    print("|---|---|---|---|---|---|")
    for (name, arrays), content in zip(
        TRAFFIC.items(), ("static face", "moving face, `noisy`"), strict=True
    ):
        read, written = sum(a.read for a in arrays), sum(a.written for a in arrays)
        new = sum(a.read for a in arrays if a.streams)
        nanoseconds = SIDE**2 * (new / far[0] + (read - new + written) / near[1])
        measured_us = 1e3 * ours_ms[content]
        print(
            f"| {name} | {read} | {written} | {nanoseconds / 1e3:.1f} us "
            f"| {measured_us:.1f} us ({content}) | {nanoseconds / 1e3 / measured_us:.0%} |"
        )
    print("\nBytes a pixel and frame; new frames come from main memory, the rest from the cache.")


@contextlib.contextmanager
def torchvision_can_load() -> Iterator[None]:
    """Let a torchvision built for another torch load: v2e needs only what is Python in it."""
    import torch

    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    yield


def time_their_slomo(frames: Frames, weights: Path, folder: Path) -> float:
    """Give the seconds in which v2e's SuperSloMo makes `FACTOR` pictures a pair."""
    with torchvision_can_load():
        from v2ecore.slomo import SuperSloMo
    source, out = folder / "in", folder / "out"
    source.mkdir()
    out.mkdir()
    for k, frame in enumerate(frames):
        np.save(source / f"{k:04d}.npy", frame)
    network = SuperSloMo(str(weights), False, FACTOR, batch_size=2)
    atexit.unregister(network.cleanup)
    start = time.perf_counter()
    with contextlib.redirect_stderr(io.StringIO()):
        network.interpolate(str(source), str(out), (SIDE, SIDE))
    return time.perf_counter() - start


def interpolation_table(frames: Frames, v2e: bool) -> None:
    """Print the frames made per second."""
    import slomo_weights

    times_s = np.arange(len(frames)) / FPS
    print(f"\n| interpolation, {FACTOR} steps a pair, CPU | frames made per second |")
    print("|---|---|")

    def ours(frames: Frames, **settings: object) -> float:
        params = InterpolationParams(factor=FACTOR, **settings)
        start = time.perf_counter()
        more, _ = interpolate(frames, times_s[: len(frames)], params=params)
        made = len(more) - (len(frames) if params.times == "exact" else 0)
        return made / (time.perf_counter() - start)

    ours(frames[:3])  # compiles
    for method in ("linear", "flow"):
        rates = [ours(frames, method=method) for _ in range(5)]
        print(f"| `{method}` | {statistics.median(rates):,.0f} |")
    few = frames[: PAIRS + 1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = slomo_weights.save(slomo_weights.draw(1, 0.2), folder / "drawn.ckpt")
        for compat, times in (("v2e", "v2e"), ("corrected", "exact")):
            rate = ours(
                few, method="superslomo", compat=compat, times=times, weights=str(weights),
                batch_size=2, device="cpu",
            )  # fmt: skip
            print(f"| `superslomo`, compat `{compat}` | {rate:.2f} |")
        if v2e:
            seconds = time_their_slomo(few, weights, folder)
            print(f"| v2e's SuperSloMo | {PAIRS * FACTOR / seconds:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--v2e", type=Path, help="a checkout of SensorsINI/v2e")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    import torch

    numba.set_num_threads(1)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    sys.path.insert(0, str(Path(__file__).parent.parent))
    logging.getLogger("v2ecore").setLevel(logging.CRITICAL)
    machine = provenance.machine()
    print(f"{machine['processor']}, {machine['cores']} cores, load {os.getloadavg()[0]:.1f}\n")
    found = contents(head_crops(), arguments.frames)
    if arguments.v2e:
        import v2e_checkout

        v2e_checkout.add_to_path(arguments.v2e)
        ours_ms = speed_table(found, arguments.repeats)
    else:
        ours_ms = {
            content.name: statistics.median(time_ours(content) for _ in range(arguments.repeats))
            for content in found
        }
    print_scaling(found[1], arguments.repeats)
    first_call_table()
    traffic_table(ours_ms)
    interpolation_table(found[1].frames[:25], arguments.v2e is not None)


if __name__ == "__main__":
    main()
