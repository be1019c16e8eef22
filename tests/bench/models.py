"""Time and memory of a training step: evfer's networks against SpikingJelly's own layers.

    python tests/bench/models.py [--repeats 12] [--threads 2] [--out figures.csv] [--only 4x16x64]

Prints, for each size and precision, the milliseconds of a whole step (forward, backward, AdamW)
over repeats that take turns, the ratio of medians to the stock network, and the most memory that a
process of its own took for three steps. Not a test: it never fails on a figure. On a shared machine
believe the processor times of `--threads 1`.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn import functional

from evfer.models import create

sys.path.insert(0, str(Path(__file__).parents[1]))
from spikingjelly_sew import SpikingJellySEW, as_channels_last

SIZES = {
    "4x16x64": (4, 16, 64),
    "6x16x64": (6, 16, 64),
    "4x8x128": (4, 8, 128),
    "6x8x128": (6, 8, 128),
}
RECIPE = {"head": "linear", "logit_scale": "mean", "zero_init_gamma": False}


def build(name: str, n_steps: int) -> torch.nn.Module:
    if name == "stock":
        return SpikingJellySEW(head="linear")
    if name == "stock, channels-last":
        return as_channels_last(SpikingJellySEW(head="linear"))
    if name == "evfer, SpikingJelly nodes":
        return create("spiking-fer", 6, n_steps, seed=0, backend="spikingjelly", **RECIPE)
    if name in ("evfer", "evfer, direct convolutions"):
        way = "auto" if name == "evfer" else "direct"
        return create("spiking-fer", 6, n_steps, seed=0, convolution=way, **RECIPE)
    if name in ("resnet18", "resnet18, direct convolutions"):
        way = "auto" if name == "resnet18" else "direct"
        return create("resnet18", 6, n_steps, seed=0, convolution=way)
    raise ValueError(name)


VARIANTS = (
    "stock",
    "stock, channels-last",
    "evfer, SpikingJelly nodes",
    "evfer, direct convolutions",
    "evfer",
    "resnet18, direct convolutions",
    "resnet18",
)


def make_step(name: str, size: tuple[int, int, int], precision: str) -> Callable[[], None]:
    n_steps, batch, side = size
    torch.manual_seed(0)
    network = build(name, n_steps)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    frames = (torch.rand(batch, n_steps, 2, side, side) < 0.1).float()
    labels = torch.randint(0, 6, (batch,))

    def step() -> None:
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            logits = network(frames)
        functional.cross_entropy(logits.float(), labels).backward()
        optimiser.step()

    return step


def measure_times(
    size: tuple[int, int, int], precision: str, repeats: int
) -> dict[str, list[tuple[float, float]]]:
    """Give wall and processor milliseconds of every repeat."""
    steps = {name: make_step(name, size, precision) for name in VARIANTS}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in VARIANTS}
    for repeat in range(repeats + 2):
        for name, step in steps.items():
            wall, processor = time.perf_counter(), time.process_time()
            step()
            took = time.perf_counter() - wall, time.process_time() - processor
            if repeat >= 2:
                times[name].append((took[0] * 1e3, took[1] * 1e3))
    return times


def measure_memory(name: str, size: tuple[int, int, int], precision: str) -> float:
    """Give the peak resident memory of three steps less that before the first, MB."""
    command = [sys.executable, __file__, "--one", json.dumps([name, size, precision])]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_memory_of_one(text: str) -> None:
    name, size, precision = json.loads(text)
    step = make_step(name, tuple(size), precision)
    before = peak_kilobytes()
    for _ in range(3):
        step()
    print((peak_kilobytes() - before) / 1024)


def peak_kilobytes() -> float:
    # not getrusage, whose peak a child process takes over from its parent
    status = Path("/proc/self/status")
    if not status.exists():
        return math.nan
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return float(fields["VmHWM"].split()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", choices=SIZES, action="append")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), action="append")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.one:
        print_memory_of_one(arguments.one)
        return
    rows = []
    print(f"torch {torch.__version__}, {arguments.threads} threads, {platform.processor()}")
    for label in arguments.only or SIZES:
        for precision in arguments.precision or ("float32", "bfloat16"):
            times = measure_times(SIZES[label], precision, arguments.repeats)
            stock = statistics.median(wall for wall, _ in times["stock"])
            print(f"\nsteps x batch x side {label}, {precision}")
            for name, values in times.items():
                median = statistics.median(wall for wall, _ in values)
                least = min(wall for wall, _ in values)
                processor = statistics.median(processor for _, processor in values)
                memory = measure_memory(name, SIZES[label], precision)
                print(
                    f"  {name:32} median {median:7.1f} ms, least {least:7.1f}, "
                    f"processor {processor:7.1f}  {stock / median:5.2f} x stock  "
                    f"{1e3 / median:5.2f} updates/s  {memory:5.0f} MB",
                    flush=True,
                )
                rows.append([label, precision, name, median, least, processor, memory])
    if arguments.out:
        with arguments.out.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(
                ["size", "precision", "network", "median_ms", "least_ms", "processor_ms", "mb"]
            )
            writer.writerows(rows)


if __name__ == "__main__":
    main()
