"""How frames are made between frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evfer.errors import ConfigError, UnknownNameError

__all__ = ["METHODS", "InterpolationParams", "Method"]

Method = Literal["none", "linear", "flow", "superslomo"]

METHODS = {
    "none": "the frames as they are",
    "linear": "fades from frame to frame",
    "flow": "moves the picture along its optical flow",
}
"""The methods of this version and what they do."""


@dataclass(frozen=True, kw_only=True)
class InterpolationParams:
    """Settings of the interpolation.

    Args:
        method: one of `METHODS`.
        factor: steps from one frame to the next, at least 1, for every pair; "auto" chooses
            them pair by pair so that nothing moves more than a pixel a step. Has no effect on
            method "none".
        max_factor: the most that "auto" may choose.

    Raises:
        UnknownNameError: for a method that does not exist.
        ConfigError: for "superslomo", which is yet to come, and for numbers out of range.
    """

    method: Method = "flow"
    factor: int | Literal["auto"] = "auto"
    max_factor: int = 32

    def __post_init__(self) -> None:
        if self.method == "superslomo":
            raise ConfigError(
                'interpolation method "superslomo", which this version does not have yet',
                expected="one of " + ", ".join(METHODS),
                hint='Choose "flow", which needs no weights',
            )
        if self.method not in METHODS:
            raise UnknownNameError("interpolation method", str(self.method), METHODS)
        if self.factor != "auto" and not _is_positive(self.factor):
            raise ConfigError(
                f"factor = {self.factor!r}", expected='a whole number of at least 1, or "auto"'
            )
        if not _is_positive(self.max_factor):
            raise ConfigError(
                f"max_factor = {self.max_factor!r}", expected="a whole number of at least 1"
            )


def _is_positive(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
