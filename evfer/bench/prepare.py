"""Find everything that a bench needs, and refuse what cannot be used."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evfer import folds, models, plugins, recordings, transforms
from evfer.bench.fold import FoldJob, RunOptions
from evfer.bench.optimism import explain_choices, name_choices
from evfer.datasets import cards
from evfer.errors import ConfigError, RecordingError, SourceError, UnknownNameError
from evfer.folds import FoldPlan, LeakReport
from evfer.region import Region
from evfer.training.recipe import (
    BenchConfig,
    SplitParams,
    default_recipe,
    has_protocol,
    load_config,
)
from evfer.training.validation import require_people

__all__ = ["Measurement", "make_jobs", "prepare", "prepare_set"]

_PUBLISHED = ("paper", "code")
_PROTOCOLS = ("strict", "loso", *_PUBLISHED)
"""Whole protocols: a way to split, and what a recipe changes for it."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A network to be measured on one set, with its folds and recipe.

    Args:
        folder: the set's folder.
        dataset: the set's short name, such as "demo".
        fingerprint: digest of the set's events.
        labels_sha256: digest of who shows what in it.
        model: the network's name.
        model_sha256: digest of the network's source where it is not evfer's, else empty.
        structure_sha256: digest of it as built, likewise.
        options: all options of the network, see `evfer.models.resolve_options`.
        estimator: whether the network fits itself; see `evfer.models.Estimator`.
        config: the recipe.
        protocol: the protocol's name.
        plans: the set's folds, and the same with the next seeds if all is to be repeated.
        leaks: what each plan lets slip.
        leak: what the first lets slip, in sentences.
        chosen: what test clips choose or have chosen, in one sentence.
        only_folds: numbers of the folds to run.
        seed: seed of weights, order, augmentation and dropout; a repeat takes the next.
    """

    folder: Path
    dataset: str
    fingerprint: str
    labels_sha256: str
    model: str
    model_sha256: str
    structure_sha256: str
    options: Mapping[str, Any]
    estimator: bool
    config: BenchConfig
    protocol: str
    plans: tuple[FoldPlan, ...]
    leaks: tuple[LeakReport, ...]
    leak: tuple[str, ...]
    chosen: str
    only_folds: tuple[int, ...]
    seed: int

    @property
    def plan(self) -> FoldPlan:
        """The set's folds, as the first seed has them."""
        return self.plans[0]

    def once(self) -> Measurement:
        """Give the same without its repeats."""
        return dataclasses.replace(self, plans=self.plans[:1], leaks=self.leaks[:1])


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
    """Find everything a bench needs, by names, and refuse what cannot be used.

    Nothing is written.

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
        seed: seed of the training, and of the splits unless `split.seed` says another.
        eda: augmentations in place of the recipe's: a preset, or names joined by "+" or ",".
        overrides: recipe keys that count above all.
        only_folds: numbers of the folds to run, which every set's plan must have; by default all.

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
    measurements = []
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
        measurements.append(
            prepare_set(
                folder,
                model,
                settings,
                entries=entries,
                plans=plans,
                protocol=kind,
                seed=seed,
                only_folds=only_folds,
            )
        )
    return measurements


def prepare_set(
    folder: Path,
    model: str,
    config: BenchConfig,
    *,
    entries: Sequence[recordings.IndexEntry] | None = None,
    plans: Sequence[FoldPlan] | None = None,
    protocol: str | None = None,
    seed: int = 0,
    only_folds: Sequence[int] | None = None,
) -> Measurement:
    """Prepare the measurement of a network on one set.

    Args:
        folder: the set's folder, `<data>/FerDVS/<Set>`.
        model: the network, see `evfer.models.create`.
        config: the recipe, see `evfer.training.recipe.load_config`.
        entries: the set's index, where it is known.
        plans: the folds, one for each repeat; by default the set's own.
        protocol: name for the rows; by default what made the plan.
        seed: see `prepare`, as for the next.
        only_folds: numbers of the folds to run.

    Raises:
        EvferError: if the set, a plan or a setting cannot be used.
    """
    folder = Path(folder)
    entries = recordings.read_index(folder) if entries is None else entries
    plans = tuple(plans) if plans else (folds.read(folder, entries),)
    chosen = _choose(folder, plans[0], only_folds)
    missing = sorted(set(plans[0].clip_ids) - {entry.clip_id for entry in entries})
    if missing:
        raise RecordingError(
            f"{folder}: clip {missing[0]} of the folds is not in the set",
            expected="folds made for the clips that are there",
            hint=f"Run: evfer folds {folder}",
        )
    # built once, so that a setting that is wrong shows before any training
    shape = None
    if entries:
        size = recordings.sensor_size(folder / entries[0].path)
        shape = config.frames.shape(Region(0, 0, size.width, size.height))
        if config.frames.resize == "none":
            config.check_frames(size)
    module = models.create(
        model,
        len(recordings.class_names(entries)),
        config.frames.n_steps,
        seed=0,
        shape=shape,
        **config.model,
    )
    source = plugins.source_digest("evfer.models", model)
    estimator = isinstance(module, models.Estimator)
    if config.select.on == "inner_validation" and not estimator:
        subject = {entry.clip_id: entry.subject for entry in entries}
        for plan in plans:
            for fold in chosen:
                require_people((subject[plan.clip_ids[i]] for i in plan.splits[fold].train), fold)
    leaks = tuple(folds.leak(plan, entries) for plan in plans)
    # it is fitted once, so nothing chooses its epoch
    selected_on = "last" if estimator else config.select.on
    return Measurement(
        folder=folder,
        dataset=_dataset_name(folder.name),
        fingerprint=recordings.fingerprint_text((e.clip_id, e.events_sha256) for e in entries)[1],
        labels_sha256=recordings.labels_digest(entries),
        model=model,
        model_sha256=source,
        structure_sha256=models.structure_digest(module) if source else "",
        options=models.resolve_options(module, config.model),
        estimator=estimator,
        config=config,
        protocol=protocol or plans[0].kind,
        plans=plans,
        leaks=leaks,
        leak=(*folds.explain(leaks[0]), *folds.explain_classes(plans[0], entries)),
        chosen=explain_choices(name_choices(config, folder.name, selected_on)),
        only_folds=chosen,
        seed=seed,
    )


def make_jobs(
    measurements: Iterable[Measurement],
    out: Path,
    options: RunOptions = RunOptions(),  # noqa: B008
) -> list[FoldJob]:
    """Make the jobs of what was prepared, in order of set, repeat and fold.

    Args:
        measurements: what `prepare` found.
        out: the run's folder; its name is the run's name.
        options: how they are run.
    """
    return [
        FoldJob(
            folder=item.folder,
            dataset=item.dataset,
            fingerprint=item.fingerprint,
            labels_sha256=item.labels_sha256,
            model=item.model,
            model_sha256=item.model_sha256,
            structure_sha256=item.structure_sha256,
            config=item.config,
            plan=plan,
            fold=fold,
            leak=leak,
            protocol=item.protocol,
            seed=item.seed + repeat,
            out=Path(out),
            options=item.options,
            run=options,
            repeats=len(item.plans),
        )
        for item in measurements
        for repeat, (plan, leak) in enumerate(zip(item.plans, item.leaks, strict=True))
        for fold in item.only_folds
    ]


def _choose(folder: Path, plan: FoldPlan, only_folds: Sequence[int] | None) -> tuple[int, ...]:
    numbers = tuple(split.fold for split in plan.splits)
    for fold in only_folds or ():
        if fold not in numbers:
            raise ConfigError(f"fold {fold} of {folder.name}", expected=f"0 to {len(numbers) - 1}")
    return tuple(sorted(set(only_folds))) if only_folds is not None else numbers


def _dataset_name(set_name: str) -> str:
    """Give the short name of a set: that of its card, or its own without the ending."""
    card = cards.find_by_set(set_name)
    return card.name if card else set_name.removesuffix("DVS").casefold()


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
