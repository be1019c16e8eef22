"""The part of a sensor's plane that fills a frame."""

from __future__ import annotations

from dataclasses import dataclass

from evfer.errors import ConfigError

__all__ = ["Region"]


@dataclass(frozen=True)
class Region:
    """A rectangle of sensor pixels that is read as one whole frame.

    Cropping, shifting and scaling choose a region; framing then spreads it over the frame's
    cells. One region for all frames of a clip, so nothing moves that did not move before, and
    no holes appear where the picture grows. A region may reach over the sensor's border: what
    lies outside is empty.

    Args:
        left: first column, pixels; may be negative.
        top: first row, pixels; may be negative.
        width: columns.
        height: rows.
        fills: width and height of the frame where `frames.size` says none; None for the region's
            own. Regions of an augmentation differ from clip to clip, frames of a batch do not.
    """

    left: int
    top: int
    width: int
    height: int
    fills: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ConfigError(
                f"a region of {self.width} x {self.height} pixels", expected="at least 1 x 1"
            )
