"""How frames are made between frames."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, get_args

from evfer.config import check_types
from evfer.errors import ConfigError, UnknownNameError
from evfer.interpolation.weights import weights_sha256

__all__ = ["METHODS", "InterpolationParams", "Method"]

Method = Literal["none", "linear", "flow", "superslomo"]
Compat = Literal["v2e", "corrected"]
Device = Literal["auto", "cpu", "cuda"]
Timing = Literal["exact", "v2e"]

_MOST = 1000  # steps a pair; v2e's own frames lie hardly closer

METHODS = {
    "none": "the frames as they are",
    "linear": "fades from frame to frame",
    "flow": "moves the picture along its optical flow",
    "superslomo": "two networks, as in v2e; needs their weights",
}
"""The methods of this version and what they do."""


@dataclass(frozen=True, kw_only=True)
class InterpolationParams:
    """Settings of the interpolation.

    Args:
        method: one of `METHODS`.
        factor: steps from one frame to the next, at least 1, for every pair; "auto" chooses
            them pair by pair so that nothing moves more than half a pixel a step. Has no
            effect on method "none".
        max_factor: the most that "auto" may choose; v2e knows no limit, so that it has no
            effect with compat "v2e".
        times: "exact" keeps each given frame at its own time and puts made ones between; "v2e"
            gives made ones only, each taken half a step later than its time says, stretched
            over the clip, and at least 2 a pair. Has no effect on method "none".
        weights: file of the networks' weights; if empty, the file that the environment variable
            EVFER_SLOMO_WEIGHTS names. As all that follow, for method "superslomo" only.
        compat: "v2e" makes each picture as v2e does on a CPU today, its faults included;
            "corrected" makes it without them, see `superslomo_torch`.
        batch_size: pictures that go through a network at once. With compat "v2e" pairs of one
            batch share their automatic factor, so that it shapes the result; otherwise it does
            not, and only a GPU uses it.
        device: where the networks run; "auto" takes a GPU if there is one. Rounding differs
            from device to device, which may move a pixel by a grey level.

    Raises:
        UnknownNameError: for a name that does not exist.
        ConfigError: for numbers out of range, and a factor of 1 with times "v2e".
    """

    method: Method = "flow"
    factor: int | Literal["auto"] = "auto"
    max_factor: int = 32
    times: Timing = "exact"
    weights: str = ""
    compat: Compat = "corrected"
    batch_size: int = 8
    device: Device = "auto"

    def __post_init__(self) -> None:
        check_types(self, "interpolation")
        _check_name("interpolation method", self.method, METHODS)
        _check_name("value of times", self.times, get_args(Timing))
        _check_name("value of compat", self.compat, get_args(Compat))
        _check_name("value of device", self.device, get_args(Device))
        if self.factor != "auto" and not (_is_positive(self.factor) and self.factor <= _MOST):
            raise ConfigError(
                f"factor = {self.factor!r}", expected=f'a whole number from 1 to {_MOST}, or "auto"'
            )
        for name in ("max_factor", "batch_size"):
            if not _is_positive(getattr(self, name)):
                raise ConfigError(
                    f"{name} = {getattr(self, name)!r}", expected="a whole number of at least 1"
                )
        if self.factor == 1 and self.times == "v2e" and self.method != "none":
            raise ConfigError(
                'factor = 1 with times = "v2e"',
                expected='at least 2, as in v2e, or "auto"',
                hint='Choose method "none" to make no frames',
            )

    @property
    def shaping(self) -> dict[str, Any]:
        """The settings that shape the frames, as plain data; weights by their SHA-256.

        Settings that only say where and how fast to compute are left out, and so are those
        that the method does not use.

        Raises:
            MissingExtra: if the method needs weights and none are given.
            ConfigError: if the given weights cannot be read.
        """
        names = ["method", "factor", "max_factor"]
        if self.method != "none" and self.times != "exact":
            names.append("times")
        settings = {name: getattr(self, name) for name in names}
        if self.method == "superslomo":
            settings |= {"compat": self.compat, "weights_sha256": weights_sha256(self.weights)}
            if self.compat == "v2e":
                settings["batch_size"] = self.batch_size
        return settings


def _check_name(kind: str, name: object, known: Collection[str]) -> None:
    if name not in known:
        raise UnknownNameError(kind, str(name), known)


def _is_positive(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
