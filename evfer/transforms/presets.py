"""Names for augmentations and sets of them, as `--eda` and studies take them.

    hflip+noise                          names, in any order
    noise(severity=0.1)+crop             with settings
    best_common, fig6_B, code_default    published sets
    common(hflip+polflip)                one of the 32 subsets of the five common augmentations
    common_paper(hflip+polflip)          likewise, as the paper's words describe them

Where the paper's words and its code differ, each reading has a name: `READINGS`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from typing import Any

from evfer import config
from evfer.errors import ConfigError, UnknownNameError
from evfer.transforms.drop import DropEvent, DropEventByArea, DropEventByTime, EventDrop
from evfer.transforms.mirror import RandomMirror, RandomMirrorEvents
from evfer.transforms.noise import UniformNoise
from evfer.transforms.space import RandomFlipLR, RandomResizedCrop, RandomScale, RandomShift
from evfer.transforms.time import RandomFlipPolarity, RandomTimeReversal

__all__ = [
    "AUGMENTATIONS",
    "COMMON",
    "PRESETS",
    "READINGS",
    "common",
    "common_subsets",
    "parse_names",
]

AUGMENTATIONS: dict[str, type[Any]] = {
    "hflip": RandomFlipLR,
    "noise": UniformNoise,
    "reverse": RandomTimeReversal,
    "polflip": RandomFlipPolarity,
    "eventdrop": EventDrop,
    "drop_events": DropEvent,
    "drop_time": DropEventByTime,
    "drop_area": DropEventByArea,
    "mirror_events": RandomMirrorEvents,
    "shift": RandomShift,
    "scale": RandomScale,
    "crop": RandomResizedCrop,
    "mirror": RandomMirror,
}
"""Names of the augmentations, in the order in which a preset or `--eda` applies them."""

READINGS: dict[str, tuple[str, dict[str, Any], str]] = {
    "reverse_code": ("reverse", {"invert_polarity": True}, "backwards, ON and OFF swapped"),
    "reverse_paper": ("reverse", {"invert_polarity": False}, "backwards, polarities as they are"),
    "polflip_code": ("polflip", {"scope": "event", "p": 0.2}, "each event's polarity apart"),
    "polflip_paper": ("polflip", {"scope": "clip", "p": 0.5}, "all polarities of a clip or none"),
    "crop_code": ("crop", {"isotropic": False}, "a rectangle of any shape from 3:4 to 4:3"),
    "crop_isotropic": ("crop", {"isotropic": True}, "a rectangle of the picture's own shape"),
    "mirror_code": ("mirror", {}, "after cropping, about the middle of the frame"),
    "mirror_paper": ("mirror_events", {}, "before cropping, about the middle of the sensor"),
}
"""What differs between the paper's words and its code: augmentation, settings, meaning.

A name without ending is the code's reading. No probability is published for the paper's reading
of polflip; 0.5 is evfer's choice.
"""

COMMON = ("hflip", "noise", "reverse", "polflip", "crop")
"""The five common augmentations whose 32 subsets the Spiking-FER study compares."""

PRESETS: dict[str, tuple[str, ...]] = {
    "none": (),
    "best_common": ("hflip", "noise", "crop"),
    "fig6_A": ("hflip", "noise", "crop"),
    "fig6_B": ("hflip", "noise", "crop", "eventdrop"),
    "fig6_C": ("hflip", "noise", "crop", "eventdrop", "mirror"),
    "code_default": ("hflip", "noise", "crop", "reverse", "mirror", "eventdrop"),
}
"""Named sets of augmentations, each with its default settings."""

_ITEM = re.compile(r"([^()]*?)(?:\((.*)\))?")
_FAMILIES = {"common": "code", "common_paper": "paper"}


def common(names: Iterable[str], reading: str = "code") -> str:
    """Give the name of a subset of the five common augmentations.

    Args:
        names: names out of `COMMON`, in any order; none at all is a subset too.
        reading: "code" or "paper", where the two differ.

    Raises:
        UnknownNameError: for a name that is not among the five, or another reading.

    Examples:
        >>> common(["noise", "hflip"])
        'common(hflip+noise)'
    """
    families = {of: family for family, of in _FAMILIES.items()}
    if reading not in families:
        raise UnknownNameError("reading", reading, families)
    subset = set(names)
    for name in subset - set(COMMON):
        raise UnknownNameError("common augmentation", name, COMMON)
    return f"{families[reading]}({'+'.join(name for name in COMMON if name in subset)})"


def common_subsets(reading: str = "code") -> tuple[str, ...]:
    """Give the names of all 32 subsets of the common augmentations, the smallest first."""
    return tuple(
        common(subset, reading)
        for size in range(len(COMMON) + 1)
        for subset in itertools.combinations(COMMON, size)
    )


def parse_names(text: str) -> tuple[dict[str, Any], ...]:
    """Read names of augmentations, as `--eda` takes them.

    Args:
        text: a preset's name, or names with commas or plus signs between them, in any order,
            each with settings in parentheses if they differ from its own; nothing at all, or
            "none", means no augmentation.

    Returns:
        One table each, with the settings that are not defaults, in the order in which they act.

    Raises:
        UnknownNameError: for a name that does not exist.
        ConfigError: for parentheses or settings that cannot be read, or an augmentation that is
            named twice.

    Examples:
        >>> parse_names("crop,hflip")
        ({'name': 'hflip'}, {'name': 'crop'})
        >>> parse_names("common_paper(polflip)")
        ({'name': 'polflip', 'scope': 'clip', 'p': 0.5},)
    """
    items = _split(text)
    name, arguments = _take_apart(items[0] if len(items) == 1 else "")
    if name in PRESETS and arguments is None:
        return _in_order([(item, {}) for item in PRESETS[name]])
    if name in _FAMILIES and arguments is not None:
        return _in_order(_common(arguments, _FAMILIES[name]))
    return _in_order([_read(item) for item in items])


def _split(text: str) -> list[str]:
    """Cut at plus signs and commas that stand outside parentheses."""
    items, depth = [""], 0
    for letter in text:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth < 0 or depth > 1:
            break
        if letter in "+," and not depth:
            items.append("")
        else:
            items[-1] += letter
    if depth:
        raise ConfigError(
            f'augmentations "{text}"',
            expected="parentheses that match, one inside none other",
            hint="Write hflip+noise(severity=0.1), or common(hflip+noise)",
        )
    return [item.strip() for item in items if item.strip()]


def _take_apart(item: str) -> tuple[str, str | None]:
    match = _ITEM.fullmatch(item)
    if match is None:
        raise ConfigError(f'augmentation "{item}"', expected="a name, or name(setting=value)")
    return match[1].strip(), match[2]


def _common(arguments: str, reading: str) -> list[tuple[str, dict[str, Any]]]:
    augmentations = []
    for name in _split(arguments):
        if name not in COMMON:
            raise UnknownNameError("common augmentation", name, COMMON)
        kind, settings, _ = READINGS.get(f"{name}_{reading}", (name, {}, ""))
        # the code's settings are the defaults, and stay unsaid
        augmentations.append((kind, settings if reading == "paper" else {}))
    return augmentations


def _read(item: str) -> tuple[str, dict[str, Any]]:
    name, arguments = _take_apart(item)
    kind, settings, _ = READINGS.get(name, (name, {}, ""))
    if kind not in AUGMENTATIONS:
        known = [*AUGMENTATIONS, *READINGS, *PRESETS, *_FAMILIES]
        raise UnknownNameError("augmentation", name, known)
    return kind, {**settings, **_settings(name, arguments)}


def _settings(name: str, arguments: str | None) -> dict[str, Any]:
    if not (arguments or "").strip():
        return {}
    # a comma inside brackets, as in area=[0.5,1], belongs to the value
    parts = re.split(r",(?![^\[]*\])", arguments or "")
    settings = config.parse_overrides(part.strip() for part in parts)
    if "name" in settings:
        raise ConfigError(f'"name" as a setting of {name}', expected="the settings of its class")
    return settings


def _in_order(augmentations: Iterable[tuple[str, dict[str, Any]]]) -> tuple[dict[str, Any], ...]:
    settings_of: dict[str, dict[str, Any]] = {}
    for name, settings in augmentations:
        if settings_of.get(name, settings) != settings:
            raise ConfigError(f'the augmentation "{name}" twice, with other settings')
        settings_of[name] = settings
    return tuple(
        {"name": name, **settings_of[name]} for name in AUGMENTATIONS if name in settings_of
    )
