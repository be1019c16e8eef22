"""A study's folds: every network, set, set of augmentations and seed, in a balanced order."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evfer import config, recordings
from evfer.bench import ResultRow, RunOptions, make_jobs, prepare
from evfer.bench.fold import FoldJob
from evfer.bench.rows import read_rows
from evfer.errors import SourceError
from evfer.study.recipe import StudyConfig

__all__ = ["Grid", "Place", "lay_out"]


@dataclass(frozen=True)
class Place:
    """Where a fold stands in the grid.

    Args:
        dataset: short name of the set.
        model: the network.
        augmentation: name of the set of augmentations.
        factors: the augmentations in it, as the study's effects are named.
        seed: seed of the training.
        fold: number of the fold.
    """

    dataset: str
    model: str
    augmentation: str
    factors: frozenset[str]
    seed: int
    fold: int


@dataclass(frozen=True, eq=False)
class Grid:
    """All folds of a study.

    Args:
        config: the study's recipe.
        out: the study's folder.
        jobs: the folds, in the order in which they run.
        places: where each stands (n).
        factors: names of the augmentations whose effects are estimated.
        leaks: what each set's folds let slip, in sentences.
    """

    config: StudyConfig
    out: Path
    jobs: tuple[FoldJob, ...]
    places: tuple[Place, ...]
    factors: tuple[str, ...]
    leaks: Mapping[str, tuple[str, ...]]

    def rows(self) -> dict[int, ResultRow]:
        """Read the rows that are there, by number of the fold in the grid."""
        by_key = {row.key: row for row in read_rows(self.out / "rows.jsonl").rows}
        return {
            i: by_key[key]
            for i, job in enumerate(self.jobs)
            for key in reversed(job.keys)  # the last one counts
            if key in by_key
        }


def lay_out(
    study: StudyConfig,
    data: Path,
    out: Path,
    options: RunOptions = RunOptions(),  # noqa: B008 (frozen)
) -> Grid:
    """Lay a study out, and refuse what cannot be used; nothing is written.

    Folds come round by round, one of each cell, so that a study that is cut short holds as many
    results of each cell, give or take one.

    Args:
        study: the recipe.
        data: the data folder.
        out: the study's folder.
        options: how folds are run; whether weights are kept is the recipe's to say.

    Raises:
        EvferError: for a set, name, value or recipe that cannot be used.
    """
    sets, params = study.study.sets(), study.study
    options = dataclasses.replace(
        options, keep_weights=params.keep_weights, tensorboard=False, energy=False
    )
    names = _factor_names(sets.values())
    members = {
        name: frozenset(names[config.digest(table)] for table in tables)
        for name, tables in sets.items()
    }
    found: list[tuple[tuple[int, ...], FoldJob, Place]] = []
    leaks: dict[str, tuple[str, ...]] = {}
    datasets = list(params.datasets) or recordings.list_sets(data)
    if not datasets:
        raise SourceError(
            f"no converted set under {data / 'FerDVS'}",
            expected="at least one",
            hint="Run: evfer convert --dataset demo",
        )
    for d, dataset in enumerate(datasets):
        for m, model in enumerate(params.models):
            (item,) = prepare(
                data,
                model,
                datasets=[dataset],
                recipe=params.recipe,
                protocol=params.protocol,
                n_folds=params.n_folds,
                seed=params.split_seed,
                overrides=study.changes,
            )
            leaks[item.folder.name] = item.leak
            jobs = make_jobs([item.once()], out, options)
            for a, (name, tables) in enumerate(sets.items()):
                settings = dataclasses.replace(
                    item.config, name=f"{item.config.name} {name}", augment=tables
                )
                for s, seed in enumerate(params.seeds):
                    for job in jobs:
                        place = Place(job.dataset, model, name, members[name], seed, job.fold)
                        changed = dataclasses.replace(job, config=settings, seed=seed)
                        # sets in turn, since only one is kept in memory; networks side by side
                        found.append(((s, job.fold, d, a, m), changed, place))
    found.sort(key=lambda entry: entry[0])
    factors = [name for name in names.values() if any(name in m for m in members.values())]
    return Grid(
        study,
        out,
        tuple(job for _, job, _ in found),
        tuple(place for _, _, place in found),
        tuple(dict.fromkeys(factors)),
        leaks,
    )


def _factor_names(sets: Any) -> dict[str, str]:
    """Name each augmentation, by digest of its table: with settings only where they differ."""
    from evfer.transforms import AUGMENTATIONS

    tables = {config.digest(table): table for tables in sets for table in tables}
    kinds = [table["name"] for table in tables.values()]
    found = {}
    order = list(AUGMENTATIONS)
    for key, table in sorted(tables.items(), key=lambda item: order.index(item[1]["name"])):
        settings = ",".join(f"{k}={v}" for k, v in table.items() if k != "name")
        alone = kinds.count(table["name"]) == 1
        found[key] = table["name"] if alone or not settings else f"{table['name']}({settings})"
    return found
