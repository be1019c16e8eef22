"""Folds of the small set, and their results compared."""

import dataclasses

import numpy as np
import torch
from learning import SmallNet, make_config

from evfer.training import FoldTask

TRAIN, TEST = tuple(range(36)), tuple(range(36, 48))  # six people and two others


def task(data, *, seed=0, fold=0, key="key", **sections):
    return FoldTask(data, TRAIN, TEST, make_config(**sections), fold, seed, key)


def build(n_steps=3):
    return SmallNet(3, n_steps)


def same(a, b):
    """Say whether two results agree in every bit but the seconds."""
    timeless = [
        [dataclasses.replace(record, seconds=0.0, loader_seconds=0.0) for record in result.curve]
        for result in (a, b)
    ]
    return (
        timeless[0] == timeless[1]
        and a.selected_epoch == b.selected_epoch
        and a.accuracy_last == b.accuracy_last
        and np.array_equal(a.answers.predictions, b.answers.predictions)
        and np.array_equal(a.answers.confidences, b.answers.confidences)
        and all(torch.equal(a.weights[name], b.weights[name]) for name in a.weights)
    )
