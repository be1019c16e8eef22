"""What a data set is to the rest of evfer, and the labels all of them share."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from evfer.errors import EvferError, SourceError, VideoError
from evfer.files import as_text
from evfer.formats import EventSource
from evfer.video import FrameSource

__all__ = [
    "EXPRESSIONS",
    "LABEL_CODES",
    "Clip",
    "Dataset",
    "SkipKind",
    "Skipped",
    "Survey",
    "expression",
    "open_frames",
    "require_folder",
]

EXPRESSIONS = ("happy", "fear", "surprise", "anger", "disgust", "sadness")
"""The six expressions in the order of the published codes 1 to 6."""

LABEL_CODES = {
    name: code
    for code, name in enumerate(
        (*EXPRESSIONS, "contempt", "neutral", "pride", "embarrassment", "none"), start=1
    )
}
"""Label names and codes; those above 6 are evfer's own."""

_SYNONYMS = {
    "joy": "happy", "happiness": "happy", "smile": "happy", "smiling": "happy",
    "angry": "anger", "sad": "sadness", "afraid": "fear", "fearful": "fear",
    "disgusted": "disgust", "surprised": "surprise", "embarrass": "embarrassment",
    "embarrassed": "embarrassment", "proud": "pride",
}  # fmt: skip


@dataclass(frozen=True)
class Clip:
    """One clip of a data set: a person showing one expression.

    Args:
        subject: the person, as the recordings' folder is named.
        sequence: number of the clip among the person's.
        label: the label's code.
        label_name: the label in words.
        locator: where the data set finds the frames, relative to the source.
        native_id: the clip's name in the source.
        fps: frames a second, or None where the file says it.
        person: the person as the source spells them, where that is not `subject`.
    """

    subject: str
    sequence: int
    label: int
    label_name: str
    locator: str
    native_id: str
    fps: float | None = None
    person: str = ""

    def __post_init__(self) -> None:
        # names that are no text, such as Latin-1 bytes of old archives, cannot be stored in tables
        # and attributes; the locator keeps them, since it has to find the frames
        for name in ("subject", "label_name", "native_id", "person"):
            object.__setattr__(self, name, as_text(getattr(self, name)))

    @property
    def clip_id(self) -> str:
        """`<subject>/<sequence, 3 digits>`, unique in the set."""
        return f"{self.subject}/{self.sequence:03d}"


SkipKind = Literal["unlabelled", "unreadable", "doubled", "deselected", "odd"]
"""Why something is no clip: without a label, damaged, there twice, of a part that was not asked
for, or something else."""


@dataclass(frozen=True)
class Skipped:
    """Something in the source that is no clip, and why."""

    path: str
    reason: str
    kind: SkipKind = "odd"


@dataclass(frozen=True)
class Survey:
    """What a source holds: clips, and what was passed over.

    Args:
        clips: the clips, sorted by subject and sequence.
        skipped: what is no clip, and why.
        warnings: what looks wrong without costing a clip, in sentences.
        layout: which layout was recognised, and where; for the reader of a table.
    """

    clips: tuple[Clip, ...]
    skipped: tuple[Skipped, ...] = ()
    warnings: tuple[str, ...] = ()
    layout: str = ""


@runtime_checkable
class Dataset(Protocol):
    """A reader of one data set's layout.

    Implementations are plain objects that survive pickling, since worker processes get a copy.
    """

    @property
    def name(self) -> str:
        """What the user writes after --dataset."""
        ...

    @property
    def set_name(self) -> str:
        """Name of the set's folder, ending in DVS."""
        ...

    @property
    def needs_source(self) -> bool:
        """Whether the clips come from a folder on disk."""
        ...

    def survey(self, source: Path | None) -> Survey:
        """List the clips under a source folder, sorted by subject and sequence.

        Raises:
            SourceError: if the folder is missing or not laid out as expected.
        """
        ...

    def open(self, clip: Clip, source: Path | None) -> FrameSource | EventSource:
        """Open a clip's frames, or read the events of one that an event camera recorded.

        Raises:
            VideoError: if its frames cannot be read.
            RecordingError: if its events cannot be read.
        """
        ...

    def source_digest(self, clip: Clip, source: Path | None) -> str:
        """Give a digest of everything that shapes the clip's recording, without decoding it.

        That is the bytes of its files, the frame rate asked for, and options of the reader. Of
        event recordings a property `reading`, an `evfer.formats.ReadParams`, may say how they
        are read; it stays out of the digest.
        """
        ...


def expression(word: str) -> str | None:
    """Give the shared name of an expression, or None for a word that is not one.

    Examples:
        >>> expression("Happiness"), expression("waving")
        ('happy', None)
    """
    plain = unicodedata.normalize("NFKC", word).strip().casefold()
    plain = _SYNONYMS.get(plain, plain)
    return plain if plain in LABEL_CODES else None


def open_frames(dataset: Dataset, clip: Clip, source: Path | None) -> FrameSource:
    """Open a clip's frames, where it has any.

    Raises:
        VideoError: if they cannot be read, or the clip is an event camera's recording.
    """
    opened = dataset.open(clip, source)
    if isinstance(opened, EventSource):
        raise VideoError(
            f"{clip.native_id}: a recording of an event camera, which has no frames",
            expected="a video or pictures",
        )
    return opened


def require_folder(source: Path | None, layout: str, hint: str = "") -> Path:
    """Make sure that a source folder is there and can be listed.

    Args:
        source: the folder given by the user.
        layout: what it should look like, for the message.
        hint: where to get the data.

    Raises:
        SourceError: if it is missing, no folder, or may not be read.
    """
    error: EvferError | None = None
    if source is None:
        error = SourceError("no source folder given", expected=layout, hint=hint)
    elif not source.is_dir():
        found = "not a folder" if source.exists() else "no such folder"
        error = SourceError(f"{source}: {found}", expected=layout, hint=hint)
    else:
        try:
            next(source.iterdir(), None)
        except OSError as reason:
            error = SourceError(f"{source}: {reason.strerror}", expected=layout, hint=hint)
    if error:
        raise error
    assert source is not None
    return source
