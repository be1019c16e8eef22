"""Meter a network's energy by name: find its weights, its test clips and its twin, then count.

Weights and test clips of a finished bench belong together: its rows name the clips, its `run.toml`
the framing. Without weights the network is built anew, and the report says so.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evfer import config, folds, recordings
from evfer.bench.rows import ResultRow, read_rows
from evfer.bench.trained import SUFFIX, Trained, find_trained, load
from evfer.datasets import cards
from evfer.energy import EnergyReport, NetworkCounts, Pricing, build_report
from evfer.errors import ConfigError, DataError, RecordingError, SourceError
from evfer.frames import FramesParams, fill_frames
from evfer.models import create
from evfer.region import Region
from evfer.training.recipe import default_recipe, load_config

if TYPE_CHECKING:
    from torch import nn

__all__ = ["TWINS", "meter"]

TWINS: Mapping[str, str] = {"spiking-fer": "resnet18"}
"""Networks without spikes that spiking ones are compared with unless told otherwise."""

_SENSOR = Region(0, 0, 200, 200)
"""What frames cover where there is no data set to ask."""


@dataclass(frozen=True)
class _Found:
    """A network that is ready to run, and what is known of it.

    Args:
        module: the network.
        frames: how events become frames for it.
        weights: where its weights come from, in words.
        row: the result that they belong to, if there is one.
        remarks: what a reader has to know.
    """

    module: nn.Module
    frames: FramesParams
    weights: str
    row: ResultRow | None = None
    remarks: tuple[str, ...] = ()


def meter(
    model: str,
    data: Path = Path("data"),
    *,
    dataset: str | None = None,
    run: Path | None = None,
    weights: Path | None = None,
    fold: int | None = None,
    recipe: str | None = None,
    limit: int | None = None,
    twin: str | None = None,
    seed: int = 0,
    overrides: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> EnergyReport:
    """Count and price what a network does on a converted set's test clips.

    Args:
        model: the network, see `evfer.models.create`.
        data: the data folder.
        dataset: name of a converted set; by default that of the weights. Without either, dense
            operations are counted and spikes stay unknown.
        run: a results folder of `evfer bench`, or a folder of such: trained weights are taken
            from there, with the framing that they were trained for.
        weights: one file of trained weights, `<run>/checkpoints/*.trained.safetensors`.
        fold: whose test clips, and whose weights of a run; by default the first.
        recipe: a bench recipe for framing and options of the network, where no run says them; by
            default the one that the set's card names, else the network's own.
        limit: run on so many clips at most, spread evenly over the test clips.
        twin: a network without spikes to compare with; by default that of `TWINS`, "none" for
            none.
        seed: seed of weights that are drawn.
        overrides: recipe keys that count above all, and `energy.<key>` of `Pricing`.
        progress: called after each clip with clips done and clips in all, the twin's included.

    Raises:
        SourceError: if the set, or a result in `run`, is not there.
        ConfigError: for a name or value that cannot be used.
        RecordingError: if weights, rows or recordings are damaged.
        DataError: if no clip is left to run on.
    """
    if run is not None and weights is not None:
        raise ConfigError("both a run and a file of weights", expected="one of them")
    if limit is not None and limit < 1:
        raise ConfigError(f"a limit of {limit} clips", expected="1 or more")
    keys = dict(overrides or {})
    priced = keys.pop("energy", {})
    if not isinstance(priced, Mapping):
        raise ConfigError(f"energy = {priced!r}", expected="keys such as energy.memory=per_use")
    pricing = config.build(Pricing, priced, "energy")
    row = _find_row(model, dataset, run, weights, fold)
    if row is not None:
        dataset = dataset or str(row[0].get("set", ""))
    place = recordings.find_set(data, dataset) if dataset else None
    entries = recordings.read_index(place) if place else []
    n_classes = len(recordings.class_names(entries)) if entries else 6
    asked = _Asked(place, n_classes, recipe, seed, keys)
    found = _trained(row, asked) if row else _build(model, asked, weights)
    clips, remarks = _choose(place, entries, found.row, fold, limit)
    partner = TWINS.get(model) if twin is None else None if twin == "none" else twin
    other = None
    if partner:
        other = _find_twin(partner, asked, row, run, found.frames)
        if other.row is None and found.row is not None:
            remarks.append(
                f"The twin, {partner}, was not trained on such frames: its zeros are those of "
                "chance."
            )
    total, done = len(clips) * (2 if other else 1), 0

    def tell() -> None:
        nonlocal done
        done += 1
        if progress:
            progress(done, total)

    counts = _count(found, place, clips, tell)
    against = _count(other, place, clips, tell) if other else None
    return build_report(
        counts,
        model,
        pricing=pricing,
        twin=against,
        ran=place is not None,
        dataset=place.name if place else "",
        weights=found.weights,
        twin_name=partner or "",
        twin_weights=other.weights if other else "",
        remarks=(*found.remarks, *remarks),
    )


@dataclass(frozen=True)
class _Asked:
    """What the user asked for, as far as building a network needs it."""

    place: Path | None
    n_classes: int
    recipe: str | None
    seed: int
    keys: Mapping[str, Any]


def _build(
    model: str, asked: _Asked, weights: Path | None, frames: FramesParams | None = None
) -> _Found:
    """Build a network by a recipe, with a file's weights or drawn ones; for other frames if so."""
    card = cards.find_by_set(asked.place.name) if asked.place else None
    chosen = asked.recipe or (card.recipe if card else "") or default_recipe(model)
    settings = load_config(chosen, model, "strict", asked.keys)
    if weights is None:
        frames = frames or settings.frames
        module = create(
            model,
            asked.n_classes,
            frames.n_steps,
            seed=asked.seed,
            shape=(frames.n_steps, 2, frames.size, frames.size) if frames.size else None,
            **settings.model,
        )
        words = f"drawn at random (seed {asked.seed})"
        remark = "The weights are random, so spikes and zeros are those of an untrained network."
        return _Found(module, frames, words, None, (remark,) if asked.place else ())
    trained = load(weights, model)
    remark = (
        f"No row tells where {weights.name} was trained, so training clips may be among those run."
    )
    frames = _framing(trained, asked)
    return _Found(trained.module, frames, f"trained: {weights.name}", None, (remark,))


def _framing(trained: Trained, asked: _Asked) -> FramesParams:
    """Give the framing that a network was trained for, or what was asked for in its place."""
    if asked.recipe is not None:
        frames = load_config(asked.recipe, trained.about.model, "strict", asked.keys).frames
    else:
        over: Any = asked.keys.get("frames", {})
        frames = config.build(FramesParams, config.merge(trained.about.frames, over), "frames")
    if frames.n_steps != trained.about.n_steps:
        raise ConfigError(
            f"{trained.path}: trained on {trained.about.n_steps} steps",
            expected=f"frames.n_steps = {frames.n_steps}, as asked for",
            hint="Leave --recipe and frames.n_steps away: the file says how it was trained",
        )
    return frames


def _trained(row: tuple[ResultRow, Path], asked: _Asked) -> _Found:
    """Build the network of a result, with the framing that it was trained for."""
    found, path = row
    run = path.parent.parent
    trained = load(path, found.model)
    if trained.about.key != found.key:
        raise RecordingError(
            f"{path}: no weights of this row", expected="the file that evfer bench wrote with it"
        )
    frames, remarks = _framing(trained, asked), list[str]()
    told = found.data_fingerprint
    if asked.place and told:
        now = recordings.read_index(asked.place)
        digest = recordings.fingerprint_text((e.clip_id, e.events_sha256) for e in now)[1]
        if digest != told:
            remarks.append("The set has been converted anew since these weights were trained.")
    if found.precision not in ("", "no"):
        remarks.append(
            f"Trained and tested in {found.precision}, counted in float32: a few spikes on the "
            "threshold may fall the other way."
        )
    words = f"trained: run {run.name}, fold {found.fold}, seed {found.seed}"
    return _Found(trained.module, frames, words, found, tuple(remarks))


def _find_twin(
    partner: str,
    asked: _Asked,
    row: tuple[ResultRow, Path] | None,
    run: Path | None,
    frames: FramesParams,
) -> _Found:
    """Find the twin where its counterpart was trained, else build it with drawn weights.

    Either way it gets its counterpart's frames: a network's operations grow with their size.
    """
    if row is not None:
        found, path = row
        # runs of one bench lie side by side
        for folder in (run or path.parent.parent, path.parent.parent.parent):
            with contextlib.suppress(SourceError):
                fold = found.fold
                other = _trained(_search(folder, partner, found.set_name, fold), asked)
                if other.frames == frames:
                    return other
    return _build(partner, asked, None, frames)


def _find_row(
    model: str,
    dataset: str | None,
    run: Path | None,
    weights: Path | None,
    fold: int | None,
) -> tuple[ResultRow, Path] | None:
    """Find the result whose weights are wanted, and the file that holds them."""
    if run is not None:
        return _search(run, model, dataset, fold)
    if weights is None:
        return None
    rows = weights.parent.parent / "rows.jsonl"
    for row in read_rows(rows).rows if weights.is_file() else ():
        if weights.name.endswith(f"-{row.key[:8]}{SUFFIX}"):
            if row.model != model:
                raise ConfigError(
                    f"{weights}: weights of {row.model}",
                    expected=f"weights of {model}, as --model says",
                )
            return row, weights
    return None


def _search(
    folder: Path, model: str, dataset: str | None, fold: int | None
) -> tuple[ResultRow, Path]:
    """Find a result with weights in a run's folder, or in a folder of runs."""
    there: list[str] = []
    found: list[tuple[ResultRow, Path]] = []
    for rows in (folder / "rows.jsonl", *sorted(folder.glob("*/rows.jsonl"))):
        for row in read_rows(rows).rows:
            path = find_trained(rows.parent, row.key)
            there.append(f"{row.model} on {row.set_name}, fold {row.fold}")
            fits = row.model == model and (fold is None or row.fold == fold)
            if path and fits and (dataset is None or _names(row, dataset)):
                found.append((row, path))
    if found:
        return min(found, key=lambda pair: (pair[0].fold or 0, pair[0].seed or 0))
    wanted = [model, f"on {dataset}" if dataset else "", f"fold {fold}" if fold is not None else ""]
    raise SourceError(
        f"{folder}: no trained weights of {', '.join(filter(None, wanted))}",
        expected="results of evfer bench with their checkpoints"
        + (f"; there are {'; '.join(dict.fromkeys(there))}" if there else ""),
        hint=f"Run: evfer bench --model {model}",
    )


def _names(row: ResultRow, dataset: str) -> bool:
    wanted = re.sub(r"dvs$", "", dataset.casefold())
    names = (row.dataset, row.set_name)
    return wanted in [re.sub(r"dvs$", "", name.casefold()) for name in names]


def _choose(
    place: Path | None,
    entries: Sequence[recordings.IndexEntry],
    row: ResultRow | None,
    fold: int | None,
    limit: int | None,
) -> tuple[list[recordings.IndexEntry], list[str]]:
    """Choose the clips to run on: a result's test clips, those of the set's own folds, or all."""
    if place is None:
        return [], []
    by_id = {entry.clip_id: entry for entry in entries}
    remarks: list[str] = []
    if row is not None:
        tested = [item.clip_id for item in row.predictions]
    elif (place / "folds.csv").is_file():
        plan = folds.read(place, entries)
        number = fold or 0
        if not 0 <= number < len(plan.splits):
            raise ConfigError(
                f"fold {number} of {place.name}", expected=f"0 to {len(plan.splits) - 1}"
            )
        tested = [plan.clip_ids[i] for i in plan.splits[number].test]
    else:
        tested = list(by_id)
        remarks.append(f"{place.name} has no folds, so all its clips count as test clips.")
    clips = [by_id[name] for name in tested if name in by_id]
    if len(clips) < len(tested):
        remarks.append(f"{len(tested) - len(clips)} test clips are no longer in {place.name}.")
    if not clips:
        raise DataError(f"{place}: none of the test clips is there", expected="one clip or more")
    if limit is not None and limit < len(clips):
        # spread out, since clips lie person by person
        clips = [clips[i * len(clips) // limit] for i in range(limit)]
    return clips, remarks


def _count(
    found: _Found,
    place: Path | None,
    clips: Sequence[recordings.IndexEntry],
    tell: Callable[[], None],
) -> NetworkCounts:
    import torch

    from evfer.energy.counting_torch import count

    if place is None:
        return count(found.module, torch.zeros(1, *found.frames.shape(_SENSOR)))

    def frames() -> Iterator[torch.Tensor]:
        for clip in clips:
            yield torch.from_numpy(_frames(place, clip, found.frames))[None]
            tell()

    return count(found.module, frames())


def _frames(place: Path, clip: recordings.IndexEntry, params: FramesParams) -> NDArray[Any]:
    """Make a clip's frames, as testing does."""
    columns, size = recordings.read_columns(place / clip.path)
    region = Region(0, 0, size.width, size.height)
    made = np.zeros(params.shape(region), np.uint8 if params.binary else np.float32)
    fill_frames(made, *columns, size, params, region)
    return made
