"""Rows brought together: one setting for each data set, protocol and model, and their differences.

Rows are only brought together when everything that shaped them but fold and seed is the same.
Repeats draw their folds anew, of one kind and number: their rows belong together too, and a fold
of one repeat is not that fold of another.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evfer import metrics
from evfer.bench.rows import ResultRow
from evfer.report.read.difference import Difference, compare, share_right
from evfer.report.read.setting import Setting, make_setting

__all__ = ["MOST_COMPARED", "Comparison", "group_rows"]

MOST_COMPARED = 12
"""Settings of a comparison, the best first, that are compared each with each."""

_WITHOUT_CHANCE = ("imported", "published", "loso")
"""Kinds of folds that no seed changes: others than before are another split, never a repeat."""


@dataclass(frozen=True)
class Comparison:
    """The settings that met on the same recordings and folds of the same kind, the best first.

    Settings of the same accuracy stand in the order of their names.
    """

    name: str
    set_name: str
    protocol: str
    settings: tuple[Setting, ...]
    differences: tuple[Difference, ...]
    """The best setting less each other one that can be compared with it."""
    pairs: tuple[Difference, ...] = ()
    """Each of the best settings less each that comes after it; the first ones are `differences`."""


def group_rows(rows: Sequence[ResultRow]) -> tuple[Comparison, ...]:
    """Sort rows into settings, and settings into comparisons in which they can be compared."""
    comparisons: dict[tuple[str, ...], list[ResultRow]] = defaultdict(list)
    splits = _name_splits(rows)
    sources: dict[str, set[str]] = defaultdict(set)
    for row, split in zip(rows, splits, strict=True):
        comparisons[row.set_name, row.protocol, row.data_fingerprint, *split].append(row)
        sources[row.model].add(row.model_sha256)
    names = {key: f"{key[0]}, {key[1]} protocol" for key in comparisons}
    alike = Counter(key[:2] for key in comparisons)
    for key, name in list(names.items()):
        if alike[key[:2]] > 1:
            names[key] = f"{name} (data {key[2][:8] or 'unknown'}, {key[3]})"
    again = Counter(names.values())
    for key, name in list(names.items()):
        if again[name] > 1:
            names[key] = f"{name[:-1]}, labels {key[4][:8] or 'unknown'})"
    several = frozenset(model for model, found in sources.items() if len(found) > 1)
    return tuple(_comparison(names[key], comparisons[key], several) for key in sorted(comparisons))


def _name_splits(rows: Sequence[ResultRow]) -> list[tuple[str, str]]:
    """Say of each row which split it is of, so that repeats are of the same: words and labels.

    Folds that are drawn by chance are one split if kind and number are the same, and who shows
    what. Should one seed have given one model two kinds of folds, they were made in two ways.
    """
    drawn: dict[Any, set[str]] = defaultdict(set)
    for row in rows:
        drawn[_scheme(row), *_setting_key(row), row.split_seed].add(row.folds_sha256)
    unclear = {key[0] for key, digests in drawn.items() if len(digests) > 1}
    found = []
    for row in rows:
        scheme = _scheme(row)
        if scheme is None or scheme in unclear:
            found.append((f"folds {row.folds_sha256[:8] or 'unknown'}", row.folds_sha256))
        else:
            found.append((f"{row.n_folds} {row.split_kind} folds", row.labels_sha256))
    return found


def _scheme(row: ResultRow) -> tuple[Any, ...] | None:
    """Give what repeats of a split share; None where the row does not say, or nothing is drawn."""
    if not row.split_kind or row.split_kind in _WITHOUT_CHANCE or row.split_seed is None:
        return None
    place = (row.set_name, row.protocol, row.data_fingerprint, row.labels_sha256)
    return (*place, row.split_kind, row.n_folds)


def _comparison(name: str, rows: Sequence[ResultRow], several: frozenset[str]) -> Comparison:
    found: dict[tuple[Any, ...], list[ResultRow]] = defaultdict(list)
    for row in rows:
        found[_setting_key(row)].append(row)
    models = {key: _name_model(key[0], key[1], several) for key in found}
    names = _names(models)
    settings = [make_setting(names[key], models[key], members) for key, members in found.items()]
    settings.sort(key=lambda g: (-metrics.tie_key(g.accuracy.mean if g.accuracy else -1.0), g.name))
    best = settings[:MOST_COMPARED]
    tests = [share_right(setting) for setting in best]
    both = itertools.combinations(range(len(best)), 2)
    compared = [compare(best[i], best[j], tests[i], tests[j]) for i, j in both]
    pairs = tuple(item for item in compared if item is not None)
    differences = tuple(item for item in pairs if item.first == settings[0].name)
    first = rows[0]
    return Comparison(name, first.set_name, first.protocol, tuple(settings), differences, pairs)


def _setting_key(row: ResultRow) -> tuple[Any, ...]:
    shaped = (row.recipe, row.recipe_sha256, row.selected_on, row.epochs, row.classes)
    return (row.model, row.model_sha256, *shaped)


def _name_model(model: str, source: str, several: frozenset[str]) -> str:
    """Name a model, with its source's digest where there are results of several sources."""
    return f"{model} (source {source[:8] or 'not stated'})" if model in several else model


def _names(models: Mapping[tuple[Any, ...], str]) -> dict[tuple[Any, ...], str]:
    """Name each setting by its model, and by more where models of one name differ."""
    keys = list(models)
    tries: list[Callable[[tuple[Any, ...]], str]] = [
        lambda key: models[key],
        lambda key: f"{models[key]}, {key[2] or 'no recipe'}",
        lambda key: f"{models[key]}, {key[2] or 'no recipe'} ({key[3][:8] or 'no digest'})",
        lambda key: (
            f"{models[key]}, {key[2] or 'no recipe'} ({key[3][:8] or 'no digest'}), "
            f"epoch by {key[4] or 'no stated rule'}, {key[5] or 'unknown'} epochs"
        ),
    ]
    names = {key: tries[-1](key) for key in keys}
    for spell in reversed(tries):
        shorter = {key: spell(key) for key in keys}
        counts = Counter(shorter.values())
        names |= {key: name for key, name in shorter.items() if counts[name] == 1}
    # what is still alike differs in its classes only, or in the end of a digest
    for name in [name for name, n in Counter(names.values()).items() if n > 1]:
        for number, key in enumerate([key for key in keys if names[key] == name], 1):
            names[key] = f"{name} ({number})"
    return names
