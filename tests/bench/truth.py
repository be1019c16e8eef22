"""Which interpolation and timing come nearest to the events of a camera that misses nothing?

    python tests/bench/truth.py --clips 12 --cache FOLDER --out docs/truth.png

Rendered heads move as functions of time, so the same clip can be drawn at 30 and at 960 frames a
second. The events of the fast clip are the truth; those made from the slow clip by each method are
held against them, with the same thresholds pixel by pixel. Prints a Markdown table of medians over
clips and draws a picture. Not a test: it never fails on a figure.

What is compared, ON and OFF apart, 0 being perfect but for the first:

- events: number of made events over number of true ones;
- count error: sum over pixels of |made - true| over the sum of true; also with pixels pooled 5x5;
- van Rossum distance: each pixel's train is filtered by a causal exponential of 5 or 20 ms; the
  root of the summed squared differences over that of the truth's own squares. No events at all
  give 1 (M. C. W. van Rossum, "A novel spike distance", Neural Computation 13, 2001; computed
  without bins as by C. Houghton and T. Kreuz, "On the efficient calculation of van Rossum
  distances", Network 23, 2012);
- edit cost: the least cost of turning one train into the other, where adding or removing an event
  costs 1 and moving it costs 1 per 10 ms; over the number of true events. No events at all give 1
  (J. D. Victor and K. P. Purpura, "Nature and precision of temporal coding in visual cortex",
  Journal of Neurophysiology 76, 1996).

Edges of 2 x 2 visibility samples a pixel, as in the demo set itself, move in jumps that no real
edge makes. So every fast frame is a mean of 32 pictures from places all over a pixel, spread over
5 frames (4.2 ms from end to end, as the exposure of a camera), and kept to 1/256 grey level. The
slow frames are every 32nd of them, rounded to bytes as a video's. Neither side has sensor noise:
noise drawn anew 960 times a second would fill the truth with events of noise alone. The truth's
events are timed at their crossings. Conditions:

- still: the crop is that of the first frame throughout, so that the face stage plays no part;
- noise: the same with the demo set's sensor noise in the slow frames alone;
- jagged: the same with slow frames as the demo set draws them, edges in jumps but no noise;
- following: the crop follows the face as in the default recipe, by transforms found at 30 frames
  a second and, for the truth, interpolated.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import cv2
import numba
import numpy as np
from matplotlib.figure import Figure

from evfer.emulator import DVSEmulator, DVSParams
from evfer.faces import AlignParams, align
from evfer.faces.crop import oversampling, resample
from evfer.faces.pixels import luma
from evfer.heads import (
    EMOTIONS,
    ClipPlan,
    Person,
    make_person,
    plan_clip,
    render_digest,
    render_frames,
)
from evfer.interpolation import InterpolationParams, interpolate
from evfer.pictures import LIGHT
from evfer.pictures.drawing import fixed_style, png_bytes

SLOW, FAST, N_FRAMES, DRAWN, SIDE = 30, 960, 24, 320, 200
BETWEEN = FAST // SLOW
VIEWS, TURNS = 32, 4  # pictures that make one; frames over which they are spread


@dataclass(frozen=True)
class Scene:
    """One clip at both rates."""

    name: str
    noise: float  # grey levels a pixel of the demo set's frames
    transform: np.ndarray  # from crop to drawn frame, at the start
    slow: np.ndarray  # (n, 200, 200), uint8
    fast: np.ndarray  # (m, 200, 200), uint16, in 1/256 grey level

    @property
    def slow_times(self):
        return np.arange(len(self.slow)) / SLOW

    @property
    def fast_times(self):
        return np.arange(len(self.fast)) / FAST

    def noisy(self):
        """The slow frames with the demo set's sensor noise, drawn on its own pixels."""
        samples = oversampling(self.transform)
        rng = np.random.default_rng(1)
        frames = np.empty_like(self.slow)
        for frame, out in zip(self.slow, frames, strict=True):
            grain = rng.standard_normal((DRAWN, DRAWN), np.float32)
            level = frame + self.noise * resample(grain, self.transform, SIDE, samples)
            out[...] = np.clip(np.floor(level + 0.5), 0, 255)
        return frames

    def jagged(self):
        """The slow frames as the demo set draws them, without its noise."""
        person, emotion = self.name.split("-")
        who = make_person(0, int(person))
        drawn = render_frames(who, plan_clip(who, emotion, 0, N_FRAMES), DRAWN, noise=False)
        samples = oversampling(self.transform)
        return np.stack([resample(luma(each), self.transform, SIDE, samples) for each in drawn])


def load_scene(number: int, first: int, following: bool, cache: Path | None) -> Scene:
    """Draw a clip at both rates, or take it from the cache."""
    person, emotion = first + number, EMOTIONS[number % len(EMOTIONS)]
    name = f"{person}-{emotion}"
    kind = "similarity" if following else "first"
    path = None if cache is None else cache / f"{name}-{kind}-{VIEWS}-{render_digest()[:8]}.npz"
    if path is None or not path.exists():
        made = draw_scene(person, emotion)
        if path is None:
            return Scene(name, **made[kind])
        path.parent.mkdir(parents=True, exist_ok=True)
        for each in made:
            np.savez(path.with_name(path.name.replace(kind, each)), **made[each])
    with np.load(path) as kept:
        return Scene(name, float(kept["noise"]), kept["transform"], kept["slow"], kept["fast"])


def draw_scene(person: int, emotion: str) -> dict[str, dict[str, object]]:
    """Draw a clip once and cut it out both ways."""
    who = make_person(0, person)
    plan = plan_clip(who, emotion, 0, N_FRAMES)
    rough = np.stack([luma(frame) for frame in render_frames(who, plan, DRAWN, noise=False)])
    n_fast = BETWEEN * (N_FRAMES - 1) + 1
    # two more at either end, for the mean over time
    steps = np.arange(-2, n_fast + 2) / BETWEEN
    tracks = {}
    for kind in ("first", "similarity"):
        found = align(rough, AlignParams(size=SIDE, align=kind), SLOW).transforms.reshape(-1, 6)
        between = [np.interp(steps, np.arange(N_FRAMES), column) for column in found.T]
        tracks[kind] = np.stack(between, axis=1).reshape(-1, 2, 3)
    sums = {kind: np.zeros((len(steps), SIDE, SIDE), np.float32) for kind in tracks}
    for number, (x, y) in enumerate(sub_pixels(VIEWS)):
        chosen = np.arange(number % TURNS, len(steps), TURNS)
        seen = look_from(plan, x / pixels_per_unit(who, plan), y / pixels_per_unit(who, plan))
        times = (0.0, *(steps[chosen] / SLOW))
        frames = render_frames(who, at_times(seen, times), DRAWN, noise=False)
        next(frames)  # the one at 0, where the renderer settles the shadows
        for k, frame in zip(chosen, frames, strict=True):
            grey = luma(frame).astype(np.float32)
            for kind, track in tracks.items():
                moved = track[k] + [[0, 0, x], [0, 0, y]]
                sums[kind][k] += resample(grey, moved, SIDE, oversampling(track[2]))
    scenes = {}
    for kind, total in sums.items():
        mean = (total[:-4] + total[4:]) / 2 + total[1:-3] + total[2:-2] + total[3:-1]
        fast = np.rint(mean * (256 / VIEWS)).astype(np.uint16)
        scenes[kind] = {
            "noise": plan.light.noise,
            "transform": tracks[kind][2],
            "slow": ((fast[::BETWEEN].astype(np.int32) + 128) // 256).clip(0, 255).astype(np.uint8),
            "fast": fast,
        }
    return scenes


@dataclass(frozen=True)
class TimedPlan(ClipPlan):
    """A plan to be drawn at any times."""

    at_s: tuple[float, ...] = ()

    @property
    def times_s(self):
        return np.array(self.at_s)


def at_times(plan: ClipPlan, times_s: tuple[float, ...]) -> TimedPlan:
    parts = {each.name: getattr(plan, each.name) for each in fields(ClipPlan)}
    return TimedPlan(**{**parts, "n_frames": len(times_s)}, at_s=times_s)


def look_from(plan: ClipPlan, x: float, y: float) -> ClipPlan:
    """Shift the head in the picture, decimetres to the right and down."""
    across = replace(plan.shift_x, start=plan.shift_x.start + x)
    down = replace(plan.shift_y, start=plan.shift_y.start - y)
    return replace(plan, shift_x=across, shift_y=down)


def pixels_per_unit(who: Person, plan: ClipPlan) -> float:
    return 70 / 320 * DRAWN * plan.scale / who.iod


def sub_pixels(n: int):
    """Places spread evenly over a pixel, (n, 2), from -0.5 to 0.5, by the plastic number."""
    steps = np.arange(1, n + 1)[:, None] * [0.7548776662466927, 0.5698402909980532]
    return steps % 1 - 0.5


# events and how far they are apart


def emulate(frames, times_s, timing: str):
    params = DVSParams(timing=timing)
    return DVSEmulator(params, seed=7).run(frames, times_s)


def true_events(scene: Scene, timing: str, stride: int = 1):
    """Events of the fast clip, in blocks, since the whole of it as floats is large."""
    emulator = DVSEmulator(DVSParams(timing=timing), seed=7)
    places = range(0, len(scene.fast), 64 * stride)
    return np.concatenate(
        [
            emulator.run(
                scene.fast[k : k + 64 * stride : stride] / np.float32(256),
                scene.fast_times[k : k + 64 * stride : stride],
            )
            for k in places
        ]
    )


def trains(events, on: bool):
    """Pixel and time of each event of one kind, sorted by both."""
    chosen = events[(events["p"] > 0) == on]
    pixels = chosen["y"].astype(np.int64) * SIDE + chosen["x"]
    order = np.lexsort((chosen["t"], pixels))
    return pixels[order], chosen["t"][order].astype(np.float64)


def counts(train):
    return np.bincount(train[0], minlength=SIDE * SIDE)


def van_rossum(true, made, tau_s: float) -> float:
    pixels, times = (np.concatenate(both) for both in zip(true, made, strict=True))
    signs = np.repeat([1.0, -1.0], [len(true[0]), len(made[0])])
    order = np.lexsort((times, pixels))
    apart = filtered_power(pixels[order], times[order], signs[order], tau_s)
    return float(np.sqrt(apart / filtered_power(*true, np.ones(len(true[0])), tau_s)))


@numba.njit(cache=True)
def filtered_power(pixels, times, signs, tau_s):
    """Sum over all pairs of a pixel's events of the product of signs times exp(-|dt|/tau)."""
    total = trace = 0.0
    for i in range(times.size):
        if i > 0 and pixels[i] == pixels[i - 1]:
            trace *= np.exp((times[i - 1] - times[i]) / tau_s)
        else:
            trace = 0.0
        total += signs[i] * (signs[i] + 2 * trace)
        trace += signs[i]
    return total


@numba.njit(cache=True)
def edit_cost(pixels_a, times_a, pixels_b, times_b, n_pixels, per_s):
    """Victor and Purpura's distance, summed over pixels."""
    total = 0.0
    i = j = 0
    for pixel in range(n_pixels):
        i_end, j_end = i, j
        while i_end < pixels_a.size and pixels_a[i_end] == pixel:
            i_end += 1
        while j_end < pixels_b.size and pixels_b[j_end] == pixel:
            j_end += 1
        row = np.arange(j_end - j + 1).astype(np.float64)
        for a in range(i, i_end):
            corner = row[0]
            row[0] += 1
            for b in range(j, j_end):
                k = b - j + 1
                moved = corner + per_s * abs(times_a[a] - times_b[b])
                corner = row[k]
                row[k] = min(row[k] + 1, row[k - 1] + 1, moved)
        total += row[-1]
        i, j = i_end, j_end
    return total


MEASURES = ("events", "count error", "pooled 5x5", "van Rossum 20 ms", "van Rossum 5 ms", "edit")


def measure(true, made) -> dict[str, tuple[float, float]]:
    """Give each measure for ON and for OFF."""
    sides = [_measure(trains(true, on), trains(made, on)) for on in (True, False)]
    return {name: (sides[0][k], sides[1][k]) for k, name in enumerate(MEASURES)}


def _measure(true, made):
    n = len(true[0])
    differs = counts(made) - counts(true)
    pooled = differs.reshape(SIDE // 5, 5, SIDE // 5, 5).sum((1, 3))
    return (
        len(made[0]) / n,
        np.abs(differs).sum() / n,
        np.abs(pooled).sum() / n,
        van_rossum(true, made, 0.02),
        van_rossum(true, made, 0.005),
        edit_cost(*true, *made, SIDE * SIDE, 100.0) / n,
    )


# methods


@dataclass(frozen=True)
class Method:
    """A row of the table: how the frames between are made."""

    name: str
    params: InterpolationParams | None  # none: true frames, as of a faster camera
    stride: int = BETWEEN


METHODS = (
    Method("none", InterpolationParams(method="none")),
    Method("linear, auto", InterpolationParams(method="linear")),
    Method("linear, 8 steps", InterpolationParams(method="linear", factor=8)),
    Method("linear, 32 steps", InterpolationParams(method="linear", factor=32)),
    Method("flow, auto", InterpolationParams(method="flow")),
    Method("flow, 4 steps", InterpolationParams(method="flow", factor=4)),
    Method("flow, 8 steps", InterpolationParams(method="flow", factor=8)),
    Method("flow, 16 steps", InterpolationParams(method="flow", factor=16)),
    Method("flow, 32 steps", InterpolationParams(method="flow", factor=32)),
    Method("a camera of 60 fps", None, 16),
    Method("a camera of 240 fps", None, 4),
)
TIMINGS = ("slot", "crossing")


def made_events(scene: Scene, frames, method: Method, timing: str):
    """Give the events of a method and the number of frames they were made from."""
    if method.params is None:
        return true_events(scene, timing, method.stride), len(scene.fast[:: method.stride])
    made, times = interpolate(frames, scene.slow_times, params=method.params)
    return emulate(made, times, timing), len(made)


def compare(scenes: Iterator[Scene], slow: Callable[[Scene], np.ndarray]):
    """Measure every method on every scene.

    Returns:
        {(method, timing): measures of each scene}, and one scene's true events and
        {(method, timing): its events} for the picture.
    """
    results = {}
    example = None
    for scene in scenes:
        truth = true_events(scene, "crossing")
        frames = slow(scene)
        shown = {}
        for method in METHODS:
            for timing in TIMINGS:
                events, n_frames = made_events(scene, frames, method, timing)
                row = {**measure(truth, events), "frames": n_frames / len(scene.slow)}
                results.setdefault((method.name, timing), []).append(row)
                shown[method.name, timing] = events
        # a surprise moves most, so that there is something to see
        if example is None or scene.name.endswith("surprise"):
            example = truth, shown
        print(f"{scene.name}: {len(truth)} true events", file=sys.stderr, flush=True)
    return results, example


def median(rows, what: str, side: int | None = None) -> float:
    """Median over clips of a measure, of ON (0), of OFF (1) or of the mean of both."""
    values = [np.mean(row[what]) if side is None else row[what][side] for row in rows]
    return statistics.median(values)


def print_table(title: str, results) -> None:
    heads = ("frames between", "timing", "frames", *MEASURES)
    print(f"\n{title}\n\n| " + " | ".join(heads) + " |")
    print("|---|---|" + "--:|" * (len(heads) - 2))
    for (name, timing), rows in results.items():
        factor = statistics.median(row["frames"] for row in rows)
        cells = [name, timing, f"{factor:.1f}x"]
        for what in MEASURES:
            cells.append(" / ".join(f"{median(rows, what, side):.3f}" for side in (0, 1)))
        print("| " + " | ".join(cells) + " |")


# picture

SHOWN = (
    ("none", "slot"),
    ("linear, 8 steps", "slot"),
    ("flow, auto", "slot"),
    ("flow, 32 steps", "slot"),
    ("none", "crossing"),
    ("linear, 8 steps", "crossing"),
    ("flow, auto", "crossing"),
)
BARS = ("count error", "van Rossum 20 ms", "edit")


def draw(results, example) -> bytes:
    truth, events = example
    with fixed_style():
        figure = Figure(figsize=(11, 10), layout="constrained")
        upper, lower = figure.subfigures(2, 1, height_ratios=(1.25, 1))
        draw_slices(upper, truth, [(" / ".join(key), events[key]) for key in SHOWN])
        draw_bars(lower, results)
        return png_bytes(figure, dpi=80)


def draw_slices(figure, truth, panels) -> None:
    middle = SIDE // 2
    n_each = np.bincount(truth["x"], minlength=SIDE)[middle - 20 : middle + 20]
    column = middle - 20 + int(n_each.argmax())
    figure.suptitle(
        f"Events of one pixel column through the face (x = {column}): ON orange, OFF blue",
        fontsize=11,
    )
    grid = figure.subplots(2, 4, sharex=True, sharey=True)
    for axes, (title, events) in zip(grid.flat, [("truth, 960 fps", truth), *panels], strict=True):
        here = events[events["x"] == column]
        for sign, colour in ((1, LIGHT.on), (-1, LIGHT.off)):
            one = here[here["p"] == sign]
            axes.scatter(one["t"], one["y"], s=2.2, color=LIGHT.web(colour), linewidths=0)
        axes.set_title(title, fontsize=9)
        axes.set_ylim(195, 105)
        axes.tick_params(labelsize=7)
    for axes in grid[-1]:
        axes.set_xlabel("time, s", fontsize=8)
    for axes in grid[:, 0]:
        axes.set_ylabel("row", fontsize=8)


def draw_bars(figure, results) -> None:
    names = list(dict.fromkeys(name for name, _ in results))
    places = np.arange(len(names))
    grid = figure.subplots(1, len(BARS), sharey=True)
    for axes, what in zip(grid, BARS, strict=True):
        for k, timing in enumerate(TIMINGS):
            heights = [median(results[name, timing], what) for name in names]
            colour = LIGHT.web((LIGHT.faint, LIGHT.off)[k])
            axes.barh(places + 0.4 * k - 0.2, heights, 0.38, color=colour, label=timing)
        axes.set_yticks(places, names, fontsize=8)
        axes.set_title(f"{what} (0 is the truth)", fontsize=9)
        axes.tick_params(axis="x", labelsize=7)
    grid[0].invert_yaxis()
    grid[0].legend(fontsize=8)


CONDITIONS: dict[str, tuple[str, bool, Callable[[Scene], np.ndarray]]] = {
    "still": ("One crop for the whole clip", False, lambda scene: scene.slow),
    "following": ("The crop follows the face", True, lambda scene: scene.slow),
    "noise": ("One crop; sensor noise in the slow frames", False, Scene.noisy),
    "jagged": ("One crop; slow frames as the demo set draws them", False, Scene.jagged),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--first", type=int, default=0, help="number of the first person")
    parser.add_argument("--condition", choices=CONDITIONS, action="append")
    parser.add_argument("--cache", type=Path, help="folder for drawn clips, 120 MB each")
    parser.add_argument("--out", type=Path, help="the picture, of the first condition")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    for k, name in enumerate(arguments.condition or CONDITIONS):
        title, following, slow = CONDITIONS[name]
        numbers = range(arguments.clips)
        scenes = (load_scene(n, arguments.first, following, arguments.cache) for n in numbers)
        results, example = compare(scenes, slow)
        print_table(title, results)
        if k == 0 and arguments.out is not None:
            arguments.out.write_bytes(draw(results, example))


if __name__ == "__main__":
    main()
