"""Training on a device: samples a second, the share of its peak, agreement with the CPU.

    python tests/bench/device.py [--device cuda] [--clips 357] [--epochs 4] [--batch 32]

Trains both networks with their own recipes (T = 6, 128 x 128, published augmentations) on clips
of about 200,000 events, by the same function as evfer bench, in each precision. The peak is what
the device reaches on products of large matrices in that precision, a moment before. The last
column is what 500 epochs on 10 folds of these clips would take, from the median epoch.

No figure of a GPU stands in the README: nobody has run this on one yet. On a CPU, choose few
clips: `--device cpu --clips 16 --batch 8 --epochs 2`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from inputs import make_set
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from evfer.inputs import EventInputs, Loader, load_set
from evfer.models import create
from evfer.training import FoldTask, fit
from evfer.training.recipe import load_config

PRECISIONS = {  # as a recipe spells it, and whether products may be rounded to TF32
    "float32": ("no", False),
    "TF32": ("no", True),
    "bfloat16": ("bf16", False),
}


def allow_tf32(allowed: bool) -> None:
    """Let products and convolutions of a GPU be rounded, or not."""
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


def peak(device: torch.device, kind: torch.dtype, side: int) -> float:
    """Measure the operations a second of large matrix products."""
    a = torch.randn(side, side, device=device).to(kind)
    spent = []
    for _ in range(8):
        begun = time.perf_counter()
        float((a @ a)[0, 0])  # waits for the device
        spent.append(time.perf_counter() - begun)
    return 2 * side**3 / min(spent)


def step(model: str, frames: torch.Tensor, labels: torch.Tensor, device: str) -> list[torch.Tensor]:
    """Give the loss and the gradients of one step."""
    recipe = load_config(model, model, "strict")
    module = create(model, 6, frames.shape[1], seed=0, **recipe.model).to(device).train()
    torch.manual_seed(0)
    for part in module.modules():  # drawn by each device in its own way
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    loss = functional.cross_entropy(module(frames.to(device)), labels.to(device))
    loss.backward()
    return [loss.detach().cpu(), *(p.grad.cpu() for p in module.parameters() if p.grad is not None)]


def agreement(model: str, data, device: str) -> str:
    """Say how far a step on the device lies from one on the CPU."""
    allow_tf32(False)
    recipe = load_config(model, model, "strict")
    batch = Loader(EventInputs(data, recipe.frames), tuple(range(4)), 4, workers=0).batch(
        range(4), 0
    )
    one, other = (step(model, batch.frames.float(), batch.targets, d) for d in ("cpu", device))
    largest = max(
        float((a - b).abs().max() / a.abs().max().clamp_min(1e-12))
        for a, b in zip(one[1:], other[1:], strict=True)
    )
    return (
        f"{model}: loss {float(one[0]):.6f} and {float(other[0]):.6f}, "
        f"gradients apart by at most {largest:.1e} of each tensor's largest"
    )


def operations(model: str, data, batch_size: int) -> int:
    """Count the operations of a training step on one sample."""
    recipe = load_config(model, model, "strict")
    clips = tuple(range(min(batch_size, 2)))
    frames = (
        Loader(EventInputs(data, recipe.frames), clips, len(clips), workers=0)
        .batch(clips, 0)
        .frames
    )
    with FlopCounterMode(display=False) as counter:
        functional.cross_entropy(
            create(model, 6, frames.shape[1], seed=0, **recipe.model, **_plain(model))(
                frames.float()
            ),
            torch.zeros(len(clips), dtype=torch.long),
        ).backward()
    return counter.get_total_flops() // len(clips)


def _plain(model: str) -> dict[str, str]:
    # evfer's own convolution is not known to the counter
    return {"convolution": "direct"} if model in ("spiking-fer", "resnet18") else {}


def main() -> None:
    """Measure both networks."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--clips", type=int, default=357)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--model", action="append", choices=["spiking-fer", "resnet18"])
    options = parser.parse_args()
    device = torch.device(options.device)
    on_gpu = device.type == "cuda"
    print(torch.cuda.get_device_name() if on_gpu else "CPU", f"torch {torch.__version__}\n")
    side = 8192 if on_gpu else 1024
    with tempfile.TemporaryDirectory() as name:
        data = load_set(make_set(Path(name), options.clips))
        for model in options.model or ("spiking-fer", "resnet18"):
            print(agreement(model, data, options.device))
        print("\n| network | precision | samples a second | of the peak | 500 epochs x 10 folds |")
        print("|---|---|---|---|---|")
        for model in options.model or ("spiking-fer", "resnet18"):
            count = operations(model, data, options.batch)
            for precision, (spelt, rounded) in PRECISIONS.items():
                if rounded and not on_gpu:
                    continue
                allow_tf32(rounded)
                kind = torch.bfloat16 if spelt == "bf16" else torch.float32
                most = peak(device, kind, side)
                changes = {
                    "train": {
                        "epochs": options.epochs, "batch_size": options.batch, "precision": spelt
                    },
                    "select": {"on": "last"},
                }  # fmt: skip
                recipe = load_config(model, model, "strict", changes)
                task = FoldTask(
                    EventInputs(data, recipe.frames, recipe.augmentation()),
                    tuple(range(len(data))),
                    (0, 1),
                    recipe,
                )
                found = fit(
                    lambda: create(model, 6, recipe.frames.n_steps, **recipe.model),  # noqa: B023
                    task,
                    device=options.device,
                )
                # the first fills the cache, compiles and takes memory
                seconds = statistics.median(record.seconds for record in found.curve[1:])
                rate = len(data) / seconds
                # nine tenths of the clips train in each of ten folds
                hours = 500 * 10 * 0.9 * seconds / 3600
                print(
                    f"| {model} | {precision} | {rate:.1f} | {rate * count / most:.0%} | "
                    f"{hours:.2f} h |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
