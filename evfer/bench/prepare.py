"""Measure a network on converted sets by name: find recipe and folds, then bench."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from evfer import folds, recordings, transforms
from evfer.bench import BenchConfig, BenchEvent, ResultRow, load_config, make_jobs, run
from evfer.bench.fold import FoldJob
from evfer.bench.optimism import explain_choices, name_choices
from evfer.datasets import cards
from evfer.errors import ConfigError, EvferError, SourceError, UnknownNameError
from evfer.folds import FoldPlan
from evfer.models import Estimator, create, resolve_options
from evfer.training.recipe import SplitParams, default_recipe, has_protocol

__all__ = ["Measurement", "measure", "prepare"]

_PUBLISHED = ("paper", "code")
_PROTOCOLS = ("strict", "loso", *_PUBLISHED)
"""Whole protocols: a way to split, and what a recipe changes for it."""


@dataclass(frozen=True)
class Measurement:
    """One set to be measured, with its folds and recipe.

    Args:
        folder: the set's folder.
        plan: its folds.
        repeats: the same with the next seeds, if all is to be done more than once.
        config: the recipe.
        protocol: the protocol's name.
        leak: what the plan lets slip, in sentences.
        options: all options of the network.
        chosen: what test clips choose or have chosen, in one sentence.
        estimator: whether the network fits itself; see `evfer.models.Estimator`.
    """

    folder: Path
    plan: FoldPlan
    config: BenchConfig
    protocol: str
    leak: tuple[str, ...]
    repeats: tuple[FoldPlan, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    chosen: str = ""
    estimator: bool = False


def prepare(
    data: Path,
    model: str,
    *,
    datasets: Sequence[str] = (),
    recipe: str | None = None,
    protocol: str | None = None,
    n_folds: int | None = None,
    seed: int = 0,
    eda: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    only_folds: Sequence[int] | None = None,
) -> list[Measurement]:
    """Find everything a bench needs, and refuse what cannot be used; nothing is written.

    Args:
        data: the data folder.
        model: the network, see `evfer.models.create`.
        datasets: names of converted sets; by default all that are there.
        recipe: a bench recipe; by default the one that the set's card names, else the network's
            own.
        protocol: how people are split and the epoch is chosen: strict, loso, paper or code. By
            default the set's own folds, with the recipe's choice of the epoch.
        n_folds: number of folds; by default `split.n_folds`, else that of the set's own folds, or
            the protocol's.
        seed: seed of the splits, unless `split.seed` says another.
        eda: augmentations in place of the recipe's: a preset, or names joined by "+" or ",".
        overrides: recipe keys that count above all.
        only_folds: numbers that every set's plan must have.

    Raises:
        SourceError: if a set is not converted.
        ConfigError: for a name, value, recipe or fold that cannot be used.
        RecordingError: if a set's own folds do not fit it.
    """
    names = list(datasets) or recordings.list_sets(data)
    if not names:
        raise SourceError(
            f"no converted set under {data / 'FerDVS'}",
            expected="at least one",
            hint="Run: evfer convert --dataset demo",
        )
    if protocol is not None and protocol not in _PROTOCOLS:
        raise UnknownNameError("protocol", protocol, _PROTOCOLS)
    augment = None if eda is None else transforms.parse_names(eda)
    found = []
    for name in names:
        folder = recordings.find_set(data, name)
        entries = recordings.read_index(folder)
        own = None if protocol else folds.read(folder, entries)
        # a card's short recipe is not the published protocol, so that takes the network's own
        card = None if protocol in _PUBLISHED else cards.find_by_set(folder.name)
        chosen = recipe or (card.recipe if card else "") or default_recipe(model)
        kind = protocol or (own.kind if own else "")
        settings = load_config(chosen, model, kind, overrides, augment)
        if protocol in _PUBLISHED and not has_protocol(chosen, protocol):
            raise ConfigError(
                f'the recipe "{chosen}" does not say what protocol {protocol} means',
                expected=f"a table [protocols.{protocol}] in it",
                hint="Choose --recipe spiking-fer or resnet18, or --protocol strict",
            )
        split = settings.split
        if n_folds is not None:
            split = dataclasses.replace(split, n_folds=n_folds)
        plans = _plans(folder, entries, own, kind, split, seed)
        plan = plans[0]
        n_classes, n_steps = len(recordings.class_names(entries)), settings.frames.n_steps
        module = create(model, n_classes, n_steps, seed=0, **settings.model)
        for fold in only_folds or ():
            if not 0 <= fold < len(plan.splits):
                raise ConfigError(
                    f"fold {fold} of {folder.name}", expected=f"0 to {len(plan.splits) - 1}"
                )
        leak = (
            *folds.explain(folds.leak(plan, entries)),
            *folds.explain_classes(plan, entries),
        )
        options = resolve_options(module, settings.model)
        estimator = isinstance(module, Estimator)
        # it is fitted once, so nothing chooses its epoch
        selected_on = "last" if estimator else settings.select.on
        chosen_by_test = explain_choices(name_choices(settings, folder.name, selected_on))
        more = (plans[1:], options, chosen_by_test, estimator)
        found.append(Measurement(folder, plan, settings, kind, leak, *more))
    return found


def measure(
    measurements: Sequence[Measurement],
    model: str,
    out: Path,
    *,
    only_folds: Sequence[int] | None = None,
    seed: int = 0,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    resume: bool = True,
    workers: int | None = 1,
    scheduler: str | None = None,
    energy: bool = True,
    command: str = "",
    progress: Callable[[BenchEvent], None] | None = None,
    failed: Callable[[FoldJob, EvferError], None] | None = None,
) -> list[ResultRow]:
    """Train and test a network on everything that was prepared; see `evfer.bench.bench`.

    Folds, sets and repeats alike are shared out among the workers.

    Args:
        measurements: what `prepare` found.
        model: the network.
        out: the run's folder.
        only_folds: numbers of the folds to run; by default all.
        seed: seed of weights, order, augmentation and dropout; a repeat takes the next.
        device: where to train.
        resume: keep rows that are there, and go on from checkpoints.
        workers: folds to train at a time.
        scheduler: address of a running Dask scheduler to train on.
        energy: count operations on the test clips.
        command: what the user typed, for `run.toml`.
        progress: called for each row, and while folds train.
        failed: called with each fold that fails; see `evfer.bench.run`.
    """
    jobs = [
        dataclasses.replace(job, repeats=1 + len(item.repeats))
        for item in measurements
        for repeat, plan in enumerate((item.plan, *item.repeats))
        for job in make_jobs(
            [item.folder],
            model,
            item.config,
            out=out,
            plans={item.folder.name: plan},
            only_folds=only_folds,
            protocol=item.protocol,
            seed=seed + repeat,
            device=device,
            energy=energy,
        )
    ]
    return run(
        jobs,
        resume=resume,
        workers=workers,
        scheduler=scheduler,
        command=command,
        progress=progress,
        failed=failed,
    )


def _plans(
    folder: Path,
    entries: Sequence[recordings.IndexEntry],
    own: FoldPlan | None,
    protocol: str,
    split: SplitParams,
    seed: int,
) -> tuple[FoldPlan, ...]:
    """Make a set's folds, once for each repeat; `own` are those that it comes with."""
    first = own
    if first is None or (own is not None and _other_folds(own, split)):
        kind = split.kind or protocol
        if own is not None and kind == "imported":
            raise ConfigError(
                f"other folds for {folder.name}",
                expected=f"the {len(own.splits)} folds that were imported",
                hint="Leave --folds and split.* away, or choose a --protocol",
            )
        n_folds, base = split.n_folds, seed if split.seed is None else split.seed
        if own is not None and split.kind is None:
            n_folds = n_folds or len(own.splits)
            base = own.seed if split.seed is None else split.seed
        first = folds.build(
            entries, kind, n_folds, base, stratify=split.stratify, set_name=folder.name
        )
    if first.kind in ("imported", "published", "loso"):  # no chance in them
        return (first,) * split.repeats
    again = [
        folds.build(entries, first.kind, len(first.splits), first.seed + r, stratify=split.stratify)
        for r in range(1, split.repeats)
    ]
    return (first, *again)


def _other_folds(own: FoldPlan, split: SplitParams) -> bool:
    other_number = split.n_folds not in (None, len(own.splits))
    other_way = split.kind is not None or split.stratify is not None
    return other_number or other_way or split.seed not in (None, own.seed)
