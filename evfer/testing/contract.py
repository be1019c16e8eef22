"""The contract of a data set's reader, as a check that authors of plug-ins can run."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import numpy as np

from evfer.datasets.base import Clip, Dataset, Survey
from evfer.errors import EventsError, SourceError
from evfer.events import validate
from evfer.formats import EventSource

__all__ = ["check_dataset"]

_MEMBERS = "name, set_name, needs_source, survey, open, source_digest"


def check_dataset(dataset: Dataset, source: Path | None = None) -> Survey:
    """Check that a reader keeps the contract of `evfer.datasets.base.Dataset`.

    Args:
        dataset: the reader.
        source: a source that it can read; None for sets without one.

    Returns:
        What the reader found, for further checks of one's own.

    Raises:
        AssertionError: if it breaks the contract; the message says how.
    """
    _require(isinstance(dataset, Dataset), f"{dataset!r} lacks one of {_MEMBERS}")
    _require(
        re.fullmatch(r"[a-z0-9+_-]+", dataset.name),
        f'name "{dataset.name}" is not of small letters, digits, + - _',
    )
    _require(
        re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*DVS", dataset.set_name),
        f'set_name "{dataset.set_name}" is not of letters and digits, ending in DVS',
    )
    _check_missing(dataset)
    survey = dataset.survey(source)
    _require(_copy(dataset).survey(source) == survey, "survey: another answer from a pickled copy")
    _check_survey(survey)
    for clip in survey.clips[:3]:
        _check_clip(dataset, clip, source)
    return survey


def _require(holds: object, complaint: str) -> None:
    # no assert statement, which python -O leaves out
    if not holds:
        raise AssertionError(complaint)


def _copy(dataset: Dataset) -> Dataset:
    try:
        copy: Dataset = pickle.loads(pickle.dumps(dataset))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise AssertionError(f"cannot be pickled, as worker processes need it: {error}") from error
    return copy


def _check_missing(dataset: Dataset) -> None:
    if not dataset.needs_source:
        return
    for missing in (None, Path("no such folder anywhere")):
        try:
            dataset.survey(missing)
        except SourceError:
            continue
        raise AssertionError(f"survey({missing}): expected a SourceError")


def _check_survey(survey: Survey) -> None:
    _require(survey.clips, "survey: no clip")
    places = [(clip.subject, clip.sequence) for clip in survey.clips]
    _require(places == sorted(places), "survey: clips not sorted by subject and sequence")
    _require(len({*places}) == len(places), "survey: two clips of one subject and sequence")
    subjects = {clip.subject for clip in survey.clips}
    _require(
        len({subject.casefold() for subject in subjects}) == len(subjects),
        "survey: subjects that differ in case alone share a folder on some systems",
    )
    names = {clip.label: clip.label_name for clip in survey.clips}
    for clip in survey.clips:
        where = f"clip {clip.clip_id}"
        fit = re.fullmatch(r"[A-Za-z0-9_-]+", clip.subject)
        _require(fit, f"{where}: the subject is no folder name")
        _require(1 <= clip.sequence <= 999_999, f"{where}: sequence {clip.sequence}")
        _require(clip.label >= 1, f"{where}: label {clip.label}")
        _require(names[clip.label] == clip.label_name, f"{where}: label {clip.label} has two names")
        _require(clip.native_id, f"{where}: no native_id")
        _require(not Path(clip.locator).is_absolute(), f"{where}: the locator is absolute")
        _require(clip.fps is None or clip.fps > 0, f"{where}: fps {clip.fps}")


def _check_clip(dataset: Dataset, clip: Clip, source: Path | None) -> None:
    where = f"clip {clip.clip_id}"
    digest = dataset.source_digest(clip, source)
    _require(digest, f"{where}: no source_digest")
    _require(digest == dataset.source_digest(clip, source), f"{where}: source_digest changes")
    frames = dataset.open(clip, source)
    if isinstance(frames, EventSource):
        _check_events(frames, where)
        return
    times_s = np.asarray(frames.times_s)
    _require(
        times_s.shape == (len(frames),), f"{where}: {times_s.shape} times, {len(frames)} frames"
    )
    _require(not (np.diff(times_s) <= 0).any(), f"{where}: times do not rise")
    sizes = set()
    for number in (1, 2):
        count = 0
        for frame in frames:
            _require(frame.dtype == np.uint8, f"{where}: frames of {frame.dtype}")
            grey_or_colour = frame.ndim == 2 or frame.shape[2:] == (3,)
            _require(grey_or_colour, f"{where}: frames of shape {frame.shape}")
            sizes.add(frame.shape[:2])
            count += 1
        _require(count == len(frames), f"{where}: {count} of {len(frames)} frames, pass {number}")
    _require(len(sizes) == 1, f"{where}: frames of several sizes {sorted(sizes)}")


def _check_events(found: EventSource, where: str) -> None:
    try:
        validate(found.events, found.sensor_size)
    except EventsError as error:
        raise AssertionError(f"{where}: {error}") from error
    _require(len(found.events), f"{where}: no event")
    _require(found.duration_us > 0, f"{where}: a length of {found.duration_us} us")
