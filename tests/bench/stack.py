"""How many of evfer's calls lie between a command and the work it is typed for.

    python tests/bench/stack.py

Runs `evfer convert --workers 1` and `evfer bench --workers 1` on a small demo, in this process,
and prints evfer's frames on the stack at the first call of the emulator's `run` and of the
network, outermost first. The network's own frames do not count. Not a test: it never fails
on a figure.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Any

from torch import nn

import evfer
from evfer.cli import main
from evfer.emulator import DVSEmulator

PACKAGE = Path(evfer.__file__).parent
SMALL = ["--set", "dataset.people=2", "--set", "dataset.frames=9", "--set", "dataset.repetitions=1"]


def own_frames(frame: FrameType | None) -> list[str]:
    """Name evfer's frames from a frame outwards, outermost first."""
    names = []
    while frame:
        path = Path(frame.f_code.co_filename)
        if PACKAGE in path.parents:
            names.append(f"{path.relative_to(PACKAGE)}:{frame.f_lineno} {frame.f_code.co_qualname}")
        frame = frame.f_back
    return names[::-1]


def evfer_frames_at(cls: type, method: str, arguments: list[str]) -> list[str]:
    """Run a command and give evfer's frames where a method of a class is first called."""
    stacks: list[list[str]] = []
    original = getattr(cls, method)

    def record(self: Any, *args: Any, **kwargs: Any) -> Any:
        stacks.append(own_frames(sys._getframe(1)))
        return original(self, *args, **kwargs)

    setattr(cls, method, record)
    try:
        code = main(arguments)
    finally:
        setattr(cls, method, original)
    if code or not stacks:
        raise SystemExit(f"evfer {' '.join(arguments)} ended with {code}, {len(stacks)} calls")
    return stacks[0]


def print_stack(title: str, frames: list[str]) -> None:
    """Print a stack, and how much of it lies in which room."""
    in_workers = sum(frame.startswith("workers/") for frame in frames)
    print(f"\n{title}: {len(frames)} frames, {in_workers} of them in workers/")
    for frame in frames:
        print(f"  {frame}")


def run() -> None:
    """Measure and print both."""
    with tempfile.TemporaryDirectory() as folder:
        data, out = f"{folder}/data", f"{folder}/results"
        convert = ["convert", "--dataset", "demo", "--out", data, "--workers", "1", *SMALL]
        # the emulator's own frame counts: it is the one that is reached
        to_emulator = [*evfer_frames_at(DVSEmulator, "run", convert), "emulator DVSEmulator.run"]
        bench = ["bench", "--data", data, "--out", out, "--workers", "1", "--model", "resnet18"]
        bench += ["--set", "train.epochs=1", "--device", "cpu"]
        to_network = evfer_frames_at(nn.Module, "__call__", bench)
    print_stack("evfer convert to the emulator", to_emulator)
    print_stack("evfer bench to the network", to_network)


if __name__ == "__main__":
    run()
