"""A converted set as a tonic data set. The only module of evfer that imports tonic (GPL-3.0)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tonic.dataset import Dataset as TonicDataset

from evfer import folds, recordings
from evfer.errors import ConfigError, RecordingError
from evfer.events import EVENT_DTYPE

__all__ = ["FerDVS"]


class FerDVS(TonicDataset):
    """Event recordings of facial expressions, under tonic's contract.

    `ds[i]` gives `(events, target)`: a structured array of `evfer.EVENT_DTYPE`, shape (n,),
    sorted by time in microseconds, and a class index into `ds.classes`. tonic's transforms,
    slicers and caches take it as it is; no file stays open, so it can be pickled to workers.

    Args:
        save_to: the data folder; the recordings lie in `<save_to>/FerDVS/<Set>`.
        dataset: the set's name, such as "ck+" or "demo".
        fold: fold of the set's plan (`folds.csv`), or None for every clip.
        train: the fold's training part, or else its test part; without a fold it says nothing.
        transform: applied to the events.
        target_transform: applied to the target.
        transforms: applied to both, instead of the other two.

    Raises:
        SourceError: if the set has not been converted.
        ConfigError: if the plan has no such fold.
        RecordingError: if the plan does not fit the set, or a recording is damaged.

    Source:
        tonic's data set contract, https://tonic.readthedocs.io.
    """

    dtype = EVENT_DTYPE
    ordering = EVENT_DTYPE.names

    def __init__(
        self,
        save_to: str | Path,
        dataset: str,
        fold: int | None = None,
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        transforms: Callable[[Any, Any], Any] | None = None,
    ) -> None:
        super().__init__(
            str(save_to),
            transform=transform,
            target_transform=target_transform,
            transforms=transforms,
        )
        folder = recordings.find_set(Path(save_to), dataset)
        entries = recordings.read_index(folder)
        self.folder_name = folder.name
        self.fold = fold
        self.train = train
        self.classes: tuple[str, ...] = recordings.class_names(entries)
        if fold is not None:
            plan = folds.read(folder, entries)
            if not 0 <= fold < len(plan.splits):
                raise ConfigError(f"fold {fold}", expected=f"0 to {len(plan.splits) - 1}")
            split = plan.splits[fold]
            chosen = {plan.clip_ids[i] for i in (split.train if train else split.test)}
            entries = [entry for entry in entries if entry.clip_id in chosen]
        self.entries = tuple(entries)
        self.data = [str(folder / entry.path) for entry in entries]
        self.targets = [self.classes.index(entry.label_name) for entry in entries]
        self.sensor_size: tuple[int, int, int] = (
            recordings.sensor_size(Path(self.data[0])).tonic if self.data else (0, 0, 2)
        )

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, item: int) -> tuple[Any, Any]:
        recording = recordings.read(Path(self.data[item]))
        if recording.sensor_size.tonic != self.sensor_size:
            raise RecordingError(
                f"{self.data[item]}: a sensor of {recording.sensor_size.tonic[:2]}",
                expected=f"{self.sensor_size[:2]}, as of the set's first recording",
                hint="Convert the set anew with one size, such as by --set dataset.crop",
            )
        events: NDArray[np.void] = recording.events
        target = self.targets[item]
        if self.transforms is not None:
            return self.transforms(events, target)
        return (
            events if self.transform is None else self.transform(events),
            target if self.target_transform is None else self.target_transform(target),
        )

    def _check_exists(self) -> bool:
        return all(Path(path).is_file() for path in self.data)
