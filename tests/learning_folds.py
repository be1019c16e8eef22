"""Folds of the small set, and their results compared."""

import dataclasses

import numpy as np
import torch
from learning import SmallNet, feed, make_config

from evfer.training import FoldTask

TRAIN, TEST = tuple(range(36)), tuple(range(36, 48))  # six people and two others


def task(data, *, seed=0, fold=0, key="key", **sections):
    config = make_config(**sections)
    return FoldTask(feed(data, config), TRAIN, TEST, config, fold, seed, key)


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
        and np.array_equal(a.predictions.predictions, b.predictions.predictions)
        and np.array_equal(a.predictions.confidences, b.predictions.confidences)
        and same_weights(a, b)
    )


def same_weights(a, b):
    """Say whether two results' networks have the same weights."""
    one, other = (result.module.state_dict() for result in (a, b))
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
