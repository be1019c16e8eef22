"""Prove that a converted set is whole, and the same as another lab's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from evfer import config
from evfer.errors import ConfigError, EvferError, RecordingError, UnreadableError
from evfer.files import sha256_file
from evfer.recordings.file import verify_recording
from evfer.recordings.index import IndexEntry, fingerprint_text, read_fingerprint, read_index

__all__ = ["Verification", "verify_set"]

_NO_MATTER = ("name", "about", "interpolation.device", "interpolation.weights")
"""Keys of a recipe that shape no recording; weights count by what they hold."""


@dataclass(frozen=True)
class Verification:
    """What a check of a set found.

    Args:
        n_clips: clips that the index lists.
        fingerprint: the set's fingerprint, from digests recomputed now.
        damaged: clip and reason, for each recording that is not what the index says.
        differing: clips whose events differ from the other lab's.
        only_here: clips that the other lab does not have.
        only_there: clips that are missing here.
        unlisted: recordings in the folder that the index does not name.
        unreadable: clip and reason, for each recording that the system does not hand out.
        n_empty: clips without an event, which the index lists.
        reasons: what the two labs did or used differently, as far as their `conversion.toml`
            say; only where something differs.
    """

    n_clips: int
    fingerprint: str
    damaged: tuple[tuple[str, str], ...]
    differing: tuple[str, ...] = ()
    only_here: tuple[str, ...] = ()
    only_there: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    unreadable: tuple[tuple[str, str], ...] = ()
    n_empty: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged and nothing differs."""
        return not (
            self.damaged or self.unreadable or self.differing or self.only_here or self.only_there
        )


def verify_set(
    folder: Path,
    against: Path | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Recompute every digest of a set and compare.

    Args:
        folder: the set's folder.
        against: another lab's `fingerprint.txt`, or the folder that holds it. A `conversion.toml`
            beside it tells why clips differ.
        on_progress: called with (done, total) after each recording.

    Raises:
        SourceError: if the folder holds no index.
        RecordingError: if `against` is no fingerprint file.
    """
    if against is not None and against.is_dir():
        against = against / "fingerprint.txt"
    theirs = read_fingerprint(against) if against else None
    entries = read_index(folder)
    ours: dict[str, str] = {}
    damaged, unreadable = [], []
    for number, entry in enumerate(entries, 1):
        try:
            ours[entry.clip_id] = _check(folder, entry)
        except UnreadableError as error:
            unreadable.append((entry.clip_id, str(error)))
        except EvferError as error:
            damaged.append((entry.clip_id, str(error)))
        if on_progress:
            on_progress(number, len(entries))
    fingerprint = fingerprint_text(ours.items())[1]
    known = {folder / entry.path for entry in entries}
    unlisted = tuple(
        sorted(str(p.relative_to(folder)) for p in folder.glob("*/[!.]*.h5") if p not in known)
    )
    whole = Verification(
        len(entries),
        fingerprint,
        tuple(damaged),
        unlisted=unlisted,
        unreadable=tuple(unreadable),
        n_empty=sum(not entry.n_events for entry in entries),
    )
    if theirs is None or against is None:
        return whole
    listed = {entry.clip_id for entry in entries}
    found = dataclasses.replace(
        whole,
        differing=tuple(sorted(c for c in ours if c in theirs and ours[c] != theirs[c])),
        only_here=tuple(sorted(listed - set(theirs))),
        only_there=tuple(sorted(set(theirs) - listed)),
    )
    if not (found.differing or found.only_here or found.only_there):
        return found
    return dataclasses.replace(found, reasons=_reasons(folder, against.parent))


def _reasons(here: Path, there: Path) -> tuple[str, ...]:
    """Say what two conversions did or used differently."""
    records = []
    for folder in (here, there):
        path = folder / "conversion.toml"
        try:
            records.append(config.read_toml(path))
        except ConfigError as error:
            return (f"Why is not known: {error.found}; it names the recipe and the versions",)
    own, other = ({"dataset": r.get("dataset"), **r.get("recipe", {})} for r in records)
    told = [
        f"recipe: {key} is {_spell(new)} here, {_spell(old)} there"
        for key, old, new in config.differences(other, own)
        if key not in _NO_MATTER
    ]
    own, other = (r.get("versions", {}) for r in records)
    told += [
        f"version: {key} {_spell(new)} here, {_spell(old)} there"
        for key, old, new in config.differences(other, own)
    ]
    return tuple(told) or ("Recipe and versions are the same: the sources may differ",)


def _spell(value: object) -> str:
    return "missing" if value is None else str(value)


def _check(folder: Path, entry: IndexEntry) -> str:
    path = folder / entry.path
    digest = verify_recording(path)
    if digest != entry.events_sha256 or sha256_file(path) != entry.file_sha256:
        raise RecordingError(
            f"{path}: the file is whole, but not the one that index.csv lists",
            hint="Convert again to renew the index",
        )
    return digest
