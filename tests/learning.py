"""A small set that can be learnt in a second, and a small real network that learns it."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from evfer.config import build
from evfer.events import EVENT_DTYPE, SensorSize
from evfer.inputs import EventInputs, EventSet, pack_events
from evfer.training.recipe import BenchConfig

SENSOR = SensorSize(32, 32)
CLASSES = ("happy", "fear", "surprise")


def make_clip(label: int, seed: int, n: int = 150) -> np.ndarray:
    """Make a clip whose events rise, fall or stay, by its label, among noise."""
    rng = np.random.default_rng([seed, label])
    events = np.empty(n, EVENT_DTYPE)
    events["t"] = np.sort(rng.integers(0, 60_000, n))
    place = events["t"] / 60_000
    path = (0.15 + 0.7 * place, 0.85 - 0.7 * place, np.full(n, 0.5))[label]
    events["y"] = np.clip(np.rint(path * 31 + rng.normal(0, 1.5, n)), 0, 31)
    events["x"] = np.clip(np.rint(rng.normal(16 + seed % 5, 4, n)), 0, 31)
    events["p"] = rng.random(n) < 0.5
    noise = rng.random(n) < 0.2
    events["x"][noise] = rng.integers(0, 32, noise.sum())
    events["y"][noise] = rng.integers(0, 32, noise.sum())
    return events


def make_set(n_subjects: int = 8, clips_each: int = 6) -> EventSet:
    """Make a set of people who each show every class equally often."""
    labels = [i % len(CLASSES) for _ in range(n_subjects) for i in range(clips_each)]
    subjects = [f"S{s:03d}" for s in range(n_subjects) for _ in range(clips_each)]
    clips = [make_clip(label, seed) for seed, label in enumerate(labels)]
    return pack_events(clips, labels, subjects, SENSOR, CLASSES, "TinyDVS")


class SmallNet(nn.Module):
    """Convolution, batch norm, dropout: all that makes training depend on its history."""

    def __init__(self, n_classes: int, n_steps: int, width: int = 8, dropout: float = 0.2) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(2 * n_steps, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(16 * width, n_classes),
        )

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return self.layers(frames.flatten(1, 2))


def small_net(n_classes: int, n_steps: int, width: int = 8, dropout: float = 0.2) -> SmallNet:
    """Build the network, as `learning:small_net` names it."""
    return SmallNet(n_classes, n_steps, width, dropout)


class Fastidious(SmallNet):
    """Breaks down in training on a clip without events."""

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        empty = (frames.flatten(1).sum(1) == 0).any()
        return super().forward(frames) * (torch.nan if self.training and empty else 1)


def fastidious(n_classes: int, n_steps: int) -> Fastidious:
    """Build the network, as `learning:fastidious` names it."""
    return Fastidious(n_classes, n_steps)


def feed(data: EventSet, config: BenchConfig) -> EventInputs:
    """Give what a network is fed by a recipe."""
    return EventInputs(data, config.frames, config.augmentation())


def make_config(**sections: dict) -> BenchConfig:
    """Make a recipe that learns the set in a few epochs."""
    values = {
        "name": "small",
        "frames": {"n_steps": 3, "size": 16},
        "augment": [{"name": "hflip"}, {"name": "noise"}],
        "train": {
            "epochs": 6,
            "batch_size": 8,
            "optimizer": "adamw",
            "lr": 0.01,
            "schedule": "cosine_steps",
            "warmup": 0.1,
        },
        "select": {"on": "last"},
    }
    for name, section in sections.items():
        base = values.get(name)
        values[name] = {**base, **section} if isinstance(base, dict) else section
    return build(BenchConfig, values)
