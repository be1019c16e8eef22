"""A network of one's own, in one file."""

from torch import nn


def build(n_classes, n_steps, width=4):
    """Build it; input (n, t, 2, h, w), output (n, n_classes)."""
    return nn.Sequential(
        nn.Flatten(1, 2),
        nn.Conv2d(2 * n_steps, width, 5, stride=4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * width, n_classes),
    )
