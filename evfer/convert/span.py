"""Which frames of a clip are converted: all, those up to the apex, or those that a table names.

The benchmark's clips run from a neutral face to the apex of its expression. Some data sets end
their clips there; others go on, hold the expression or let it fall again. A set's card says
which part the benchmark takes; a table of one's own can say it clip by clip:

    clip,first,last
    S001/104,0,37
    F01/Joy/forward,12,40

`clip` is a clip's id here or in its data set, `first` and `last` are frames, counted from 0, both
included. Clips that the table does not name are cut as their data set's card says.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from evfer.csv_files import read_cells
from evfer.datasets import cards
from evfer.datasets.base import Clip
from evfer.datasets.tree import name_some
from evfer.errors import ConfigError, UnknownNameError, VideoError
from evfer.faces.pixels import Frame
from evfer.video import FrameSource

__all__ = [
    "ClipParams",
    "Part",
    "check_frames",
    "given",
    "read_table",
    "resolve",
    "shaping",
    "warn_unknown",
]

_COLUMNS = "a CSV file with the columns clip, first and last"


@dataclass(frozen=True)
class ClipParams:
    """What part of a clip is converted, as a recipe's section [clip] gives it.

    Args:
        range: "auto", what the data set's card says; "full", the whole clip; "to-apex", up to
            the first frame that shows the expression at its height; or the path of a table, see
            above.
        frames: first and last frame of single clips, by clip id or native id, whatever `range`
            says of the others; a table's lines end up here.

    Raises:
        ConfigError: if a first and last frame are not 0 or more and in this order.
    """

    range: str = "auto"
    frames: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for clip, pair in self.frames.items():
            fault = _fault(pair)
            if fault:
                raise ConfigError(f'clip.frames."{clip}" = {pair!r}', expected=fault)


@dataclass(frozen=True, eq=False)
class Part:
    """Some of a clip's frames, as a source of frames whose times start at 0.

    Args:
        whole: the clip's frames.
        first: number of the first frame.
        last: number of the last one.
    """

    whole: FrameSource
    first: int
    last: int

    @property
    def times_s(self) -> NDArray[np.float64]:
        """Times of the frames in seconds, shape (n,)."""
        times = np.asarray(self.whole.times_s, np.float64)[self.first : self.last + 1]
        return times - times[0]

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __iter__(self) -> Iterator[Frame]:
        # the frames behind the last are not decoded
        return islice(iter(self.whole), self.first, self.last + 1)


def resolve(params: ClipParams, dataset: str) -> ClipParams:
    """Put in what the card and the table say, so that neither is needed any more.

    Args:
        params: the settings.
        dataset: the data set's name; one without a card takes whole clips.

    Returns:
        Settings whose `range` is "full" or "to-apex", for clips that `frames` does not name.

    Raises:
        UnknownNameError: if `range` is neither a known word nor a file.
        ConfigError: if the table cannot be used; the message names its line.
    """
    if params.range in get_args(cards.Range):
        return params
    card = cards.find(dataset)
    usual = card.range if card else "full"
    table: Mapping[str, tuple[int, int]] = {}
    if params.range != "auto":
        path = Path(params.range)
        if not path.is_file():
            raise UnknownNameError(
                "value of clip.range",
                params.range,
                ("auto", *get_args(cards.Range)),
                hint="" if not path.suffix else f"There is no file {path} either",
            )
        table = read_table(path)
    return dataclasses.replace(params, range=usual, frames={**params.frames, **table})


def given(params: ClipParams, clip: Clip) -> tuple[int, int] | None:
    """Give the first and last frame that a clip's line names, or None if it has none."""
    for name in (clip.clip_id, clip.native_id):
        if name in params.frames:
            first, last = params.frames[name]
            return int(first), int(last)
    return None


def shaping(params: ClipParams, clip: Clip | None = None) -> dict[str, Any]:
    """Give what shapes a clip's recording, as plain data: never the path of a table.

    Args:
        params: the settings, resolved.
        clip: whose recording; by default any that has no line of its own.
    """
    frames = given(params, clip) if clip else None
    if frames is None:
        return {"range": params.range}
    return {"range": "frames", "first": frames[0], "last": frames[1]}


def warn_unknown(params: ClipParams, clips: Iterable[Clip]) -> tuple[str, ...]:
    """Name the clips with given frames that are not in the source, in at most one sentence."""
    known = {name for clip in clips for name in (clip.clip_id, clip.native_id)}
    unknown = sorted(set(params.frames) - known)
    if not unknown:
        return ()
    return (f"{len(unknown)} clips whose frames are given are not here: {name_some(unknown)}",)


def check_frames(frames: tuple[int, int], n_frames: int, clip: Clip) -> None:
    """Make sure that a clip has the frames that its line names.

    Raises:
        VideoError: if it is too short.
    """
    if frames[1] >= n_frames:
        raise VideoError(
            f"{clip.native_id}: frames {frames[0]} to {frames[1]} are asked for",
            expected=f"at most {n_frames - 1}, the last of its {n_frames} frames, counted from 0",
            hint="Correct its line in the table of clip.range",
        )


def read_table(path: Path) -> dict[str, tuple[int, int]]:
    """Read the first and last frame of clips from a table; see above.

    Args:
        path: CSV with the columns clip (or clip_id), first (or first_frame) and last (or
            last_frame), as an index.csv has them; others are passed over.

    Raises:
        ConfigError: if it cannot be read, a column is missing, a number is none, or a clip has
            two lines; the message names the file and line.
    """
    lines = read_cells(path, _COLUMNS, ConfigError)
    header = [cell.casefold() for cell in lines[0][1]] if lines else []
    places = []
    for names in (("clip", "clip_id"), ("first", "first_frame"), ("last", "last_frame")):
        found = [header.index(name) for name in names if name in header]
        if not found:
            raise ConfigError(f"{path}, line 1: no column {names[0]}", expected=_COLUMNS)
        places.append(found[0])
    result: dict[str, tuple[int, int]] = {}
    seen: dict[str, int] = {}
    for number, line in lines[1:]:
        cells = [line[place] if place < len(line) else "" for place in places]
        clip, pair = cells[0], tuple(int(c) if c.isdecimal() else -1 for c in cells[1:])
        fault = "the id of a clip" if not clip else _fault(pair)
        if fault:
            raise ConfigError(f"{path}, line {number}: {','.join(cells)}", expected=fault)
        if clip in seen:
            raise ConfigError(
                f"{path}, line {number}: a second line for {clip}",
                expected=f"one line a clip; the first is line {seen[clip]}",
            )
        seen[clip], result[clip] = number, (pair[0], pair[1])
    return result


def _fault(pair: object) -> str:
    """Say what a first and last frame should be, or nothing if they can be used."""
    words = "first and last frame, whole numbers from 0 on, the last behind the first"
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        return words
    if not all(isinstance(frame, int) and not isinstance(frame, bool) for frame in pair):
        return words
    return "" if 0 <= pair[0] < pair[1] else words
