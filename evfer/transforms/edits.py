"""What augmentations do to events, drawn but not yet done.

An augmentation draws an edit from a clip's summary; edits of several augmentations are then done
together, by whatever does it fastest: here with NumPy, in the loader with one compiled loop, on a
GPU with tensors. All take the same draws and so give the same events.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evfer.events import Columns, SensorSize

__all__ = [
    "ClipSummary",
    "DropBox",
    "DropMask",
    "DropSpan",
    "Edit",
    "EditPlan",
    "FlipX",
    "Insert",
    "PointEdits",
    "Reverse",
    "SwapPolarity",
]


@dataclass(frozen=True)
class ClipSummary:
    """What an augmentation may know of a clip when it draws.

    Args:
        n: number of events.
        first: time of the first, microseconds; 0 without events.
        last: time of the last.
        sensor_size: the sensor.
    """

    n: int
    first: int
    last: int
    sensor_size: SensorSize

    @staticmethod
    def of(columns: Columns, sensor_size: SensorSize) -> ClipSummary:
        """Read a clip's summary."""
        t = columns.t
        ends = (int(t[0]), int(t[-1])) if len(t) else (0, 0)
        return ClipSummary(len(t), *ends, sensor_size)


@dataclass(frozen=True)
class FlipX:
    """x becomes width - 1 - x."""


@dataclass(frozen=True)
class Reverse:
    """t becomes the last time less t, and the order turns round.

    Args:
        invert_polarity: swap ON and OFF too.
    """

    invert_polarity: bool


@dataclass(frozen=True, eq=False)
class SwapPolarity:
    """ON becomes OFF and OFF ON, for all events or for those of a mask, bool, shape (n,)."""

    mask: NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False)
class Insert:
    """More events, sorted by time; each comes after those of its own instant."""

    events: Columns


@dataclass(frozen=True, eq=False)
class DropMask:
    """Events whose mask is True go; bool, shape (n,)."""

    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class DropSpan:
    """Events from `start` to `end` microseconds go, both included."""

    start: float
    end: float


@dataclass(frozen=True)
class DropBox:
    """Events inside a rectangle go; `right` and `bottom` are the first pixels outside it."""

    left: int
    top: int
    right: int
    bottom: int


Drop = DropMask | DropSpan | DropBox
Edit = FlipX | Reverse | SwapPolarity | Insert | Drop


@dataclass(frozen=True, eq=False)
class PointEdits:
    """Edits that change each event by itself, as one.

    Args:
        flip: whether x becomes width - 1 - x.
        sign: t becomes sign * t + offset; where it is -1, the order turns round as well.
        offset: microseconds.
        swap: whether polarities swap.
        mask: events whose polarity swaps once more, bool, in the order before, or None.
    """

    flip: bool = False
    sign: int = 1
    offset: int = 0
    swap: bool = False
    mask: NDArray[np.bool_] | None = None

    @property
    def still(self) -> bool:
        """Whether nothing changes."""
        moved = self.flip or self.swap or self.sign < 0 or self.offset != 0
        return not moved and self.mask is None

    def then(self, edit: FlipX | Reverse | SwapPolarity, last: int) -> PointEdits:
        """Add an edit; `last` is the last time as it is now."""
        if isinstance(edit, FlipX):
            return replace(self, flip=not self.flip)
        if isinstance(edit, Reverse):
            swap = self.swap ^ edit.invert_polarity
            return replace(self, sign=-self.sign, offset=last - self.offset, swap=swap)
        if edit.mask is None:
            return replace(self, swap=not self.swap)
        mask = edit.mask if self.sign > 0 else edit.mask[::-1]
        return replace(self, mask=mask if self.mask is None else self.mask ^ mask)

    def __call__(self, columns: Columns, width: int) -> Columns:
        """Do it; columns that do not change are not copied."""
        x, y, p, t = columns
        if self.flip:
            x = (width - 1 - x).astype(x.dtype, copy=False)
        if self.mask is not None:
            p = p ^ self.mask
        if self.swap:
            p = ~p
        if self.sign < 0:
            t = (self.offset - t).astype(t.dtype, copy=False)
        elif self.offset:
            t = (t.astype(np.int64) + self.offset).astype(t.dtype)
        edited = Columns(x, y, p, t)
        return edited.take(slice(None, None, -1)) if self.sign < 0 else edited


@dataclass(frozen=True, eq=False)
class EditPlan:
    """Edits that can be done in one walk over a clip.

    Args:
        before: changes of the clip's own events.
        insert: events to add, or None.
        after: changes of them all.
        drop: what to leave out at the end, or None; a mask is in the order at the end.
    """

    before: PointEdits = PointEdits()
    insert: Columns | None = None
    after: PointEdits = PointEdits()
    drop: Drop | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing changes."""
        return self.insert is None and self.drop is None and self.before.still and self.after.still

    def then(self, edit: Edit, summary: ClipSummary) -> tuple[EditPlan, ClipSummary | None]:
        """Add an edit, after which there is neither an insertion before nor a drop.

        Args:
            edit: the edit.
            summary: the clip's summary as it is now.

        Returns:
            The longer plan and the summary after it; None after a drop, as only doing it tells.
        """
        if isinstance(edit, Drop):
            return replace(self, drop=edit), None
        if isinstance(edit, Insert):
            times = edit.events.t
            ends = (int(times[0]), int(times[-1])) if len(times) else (summary.first, summary.last)
            if summary.n:
                ends = min(summary.first, ends[0]), max(summary.last, ends[1])
            summary = ClipSummary(
                n=summary.n + len(times),
                first=ends[0],
                last=ends[1],
                sensor_size=summary.sensor_size,
            )
            return replace(self, insert=edit.events), summary
        if self.insert is None:
            longer = replace(self, before=self.before.then(edit, summary.last))
        else:
            longer = replace(self, after=self.after.then(edit, summary.last))
        if isinstance(edit, Reverse) and summary.n:
            summary = replace(summary, first=0, last=summary.last - summary.first)
        return longer, summary

    def __call__(self, columns: Columns, sensor_size: SensorSize) -> Columns:
        """Do it with NumPy; columns that do not change are not copied."""
        columns = self.before(columns, sensor_size.width)
        if self.insert is not None:
            columns = _merge(columns, self.insert)
        return _drop(self.after(columns, sensor_size.width), self.drop)


def _merge(columns: Columns, more: Columns) -> Columns:
    # where each new event lands: after all old ones of its time, and after earlier new ones
    positions = np.searchsorted(columns.t, more.t, side="right") + np.arange(len(more.t))
    is_new = np.zeros(len(columns.t) + len(more.t), bool)
    is_new[positions] = True
    merged = []
    for old, new in zip(columns, more, strict=True):
        column = np.empty(len(is_new), old.dtype)
        column[~is_new] = old
        column[positions] = new
        merged.append(column)
    return Columns(*merged)


def _drop(columns: Columns, drop: Drop | None) -> Columns:
    if drop is None:
        return columns
    if isinstance(drop, DropMask):
        return columns.take(~drop.mask)
    if isinstance(drop, DropSpan):
        first = np.searchsorted(columns.t, drop.start, side="left")
        after = np.searchsorted(columns.t, drop.end, side="right")
        return Columns(*(np.concatenate([c[:first], c[after:]]) for c in columns))
    x, y = columns.x, columns.y
    inside = (x >= drop.left) & (x < drop.right) & (y >= drop.top) & (y < drop.bottom)
    return columns.take(~inside)
