"""Measure the loader's share of a training epoch: the time that training waits for batches.

    python tests/bench/loader.py

Clips of about 216,000 events on 200 x 200 pixels, the recipe's own frames (six of 128 x 128) and
augmentations, eight clips a batch, on the CPU. The first epoch makes the cache and loads what Numba
has compiled, so it is shown apart.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import torch
from inputs import make_set

from evfer import provenance
from evfer.inputs import EventInputs, load_set
from evfer.models import create
from evfer.training import FoldTask, fit
from evfer.training.recipe import load_config


def measure(model: str, protocol: str, n_clips: int, epochs: int, eda: str | None) -> None:
    """Train a network and print each epoch's share."""
    changes = {
        "train": {"epochs": epochs, "batch_size": 8},
        "select": {"on": "last", "optimistic": False},
        **({"eda": {"preset": eda}} if eda else {}),
    }
    recipe = load_config(model, model, protocol, changes)
    with tempfile.TemporaryDirectory() as name:
        data = load_set(make_set(Path(name), n_clips))
        inputs = EventInputs(data, recipe.frames, recipe.augmentation())
        task = FoldTask(inputs, tuple(range(n_clips)), (0, 1), recipe)
        n_steps = recipe.frames.n_steps
        found = fit(lambda: create(model, 6, n_steps, **recipe.model), task, device="cpu")
    for record in found.curve:
        share = record.loader_seconds / record.seconds
        print(
            f"| {model} | {protocol} | {eda or 'own'} | {record.epoch} | {record.seconds:.1f} | "
            f"{record.loader_seconds:.2f} | {share:.1%} |",
            flush=True,
        )


def main() -> None:
    """Measure both networks."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--model", action="append", choices=["spiking-fer", "resnet18"])
    parser.add_argument("--eda", help="a preset in place of the recipe's augmentations")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    machine = provenance.machine()
    print(f"{machine['processor']}, {options.threads} threads, torch {torch.__version__}\n")
    print("| network | protocol | augmentations | epoch | seconds | waited | share |")
    print("|---|---|---|---|---|---|---|")
    for model in options.model or ["spiking-fer", "resnet18"]:
        for protocol in ("strict", "code"):
            measure(model, protocol, options.clips, options.epochs, options.eda)


if __name__ == "__main__":
    main()
