"""Miniature copies of data sets, drawn from rendered heads: right names, sizes and file types.

`variants` names layouts that all hold the same clips; `faults` names copies with something wrong.
Another data set's tree is a module with a `TREE`, named in the table below.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path

from evfer import plugins
from evfer.errors import ConfigError, UnknownNameError
from evfer.testing.trees.base import Tree

__all__ = ["Tree", "faults", "make_tree", "tree_names", "variants"]

_HOMES = {
    "ck+": "evfer.testing.trees.ckplus",
    "casia": "evfer.testing.trees.casia",
    "mmi": "evfer.testing.trees.mmi",
    "adfes": "evfer.testing.trees.adfes",
}


def tree_names() -> tuple[str, ...]:
    """Name the data sets that have a tree."""
    return tuple(_HOMES)


def variants(dataset: str) -> Mapping[str, str]:
    """Give the layouts of a data set that hold the same clips: name, and what it is in words.

    Raises:
        UnknownNameError: if the data set has no tree.
    """
    return _find(dataset).variants


def faults(dataset: str) -> Mapping[str, str]:
    """Give the copies of a data set with something wrong: name, and what that is in words.

    Raises:
        UnknownNameError: if the data set has no tree.
    """
    return _find(dataset).faults


def make_tree(dataset: str, folder: Path, variant: str = "plain", *, frames: int = 8) -> Path:
    """Make a miniature copy of a data set.

    Args:
        dataset: a data set's name, see `tree_names`.
        folder: where to; made if needed, and best empty.
        variant: one of `variants(dataset)` or `faults(dataset)`.
        frames: frames a clip, about; 2 or more.

    Returns:
        The folder to give as the source: at, above or below the data set's own, as the variant
        has it.

    Raises:
        UnknownNameError: if there is no such tree or variant.
        ConfigError: for fewer than 2 frames.
    """
    tree = _find(dataset)
    known = {**tree.variants, **tree.faults}
    if variant not in known:
        raise UnknownNameError(f"variant of {dataset}", variant, known)
    if frames < 2:
        raise ConfigError(f"{frames} frames a clip", expected="2 or more")
    folder.mkdir(parents=True, exist_ok=True)
    return tree.make(folder, variant, frames)


def _find(dataset: str) -> Tree:
    name = plugins.canonical("evfer.datasets", dataset)
    if name not in _HOMES:
        raise UnknownNameError("tree of the data set", dataset, _HOMES)
    tree = importlib.import_module(_HOMES[name]).TREE
    assert isinstance(tree, Tree)
    return tree
