"""Configuration: TOML into frozen dataclasses, overrides, canonical digests.

A recipe is data. Defaults live in the dataclasses and nowhere else; a key that no dataclass has
is an error that names the nearest one.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import tomllib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import tomli_w

from evfer.errors import ConfigError, UnknownNameError

__all__ = [
    "build",
    "canonical_json",
    "check_types",
    "differences",
    "digest",
    "find_shipped",
    "list_shipped",
    "merge",
    "parse_overrides",
    "read_toml",
    "to_dict",
    "to_toml",
]

T = TypeVar("T")


def find_shipped(folder: str, name: str) -> Path:
    """Find a recipe or card, by path or by the name of one that evfer ships.

    Args:
        folder: "pipelines" or "manifests".
        name: a path to a TOML file, or a shipped file's name without its ending.

    Returns:
        The file's path.

    Raises:
        UnknownNameError: if there is neither such a file nor such a shipped name.
    """
    path = Path(name)
    if path.suffix == ".toml" and path.is_file():
        return path
    shipped = _shipped_folder(folder) / f"{name.removesuffix('.toml')}.toml"
    if shipped.is_file() and path.name == name:
        return shipped
    kind = "recipe" if folder == "pipelines" else "data set card"
    raise UnknownNameError(kind, name, list_shipped(folder))


def list_shipped(folder: str) -> list[str]:
    """Name the TOML files that evfer ships in "pipelines" or "manifests"."""
    return sorted(path.stem for path in _shipped_folder(folder).glob("*.toml"))


def _shipped_folder(folder: str) -> Path:
    package = Path(__file__).parent
    # a wheel carries the folders inside the package, a working copy beside it
    inside = package / folder
    return inside if inside.is_dir() else package.parent / folder


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: if it is missing or not TOML; the message names the file and line.
    """
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", expected="a readable TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}", expected="TOML") from error


def parse_overrides(assignments: Iterable[str]) -> dict[str, Any]:
    """Turn `--set` flags into a nested mapping.

    Args:
        assignments: texts such as `emulator.pos_thres=0.3`. The value is read as TOML; a value
            that is no TOML counts as text, so quotes may be left away.

    Raises:
        ConfigError: if a text has no "=" or no key.

    Examples:
        >>> parse_overrides(["emulator.pos_thres=0.3", "interpolation.method=none"])
        {'emulator': {'pos_thres': 0.3}, 'interpolation': {'method': 'none'}}
    """
    result: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        parts = key.strip().split(".")
        if not equals or not all(parts):
            raise ConfigError(
                f'--set "{assignment}"', expected="key=value, such as emulator.pos_thres=0.3"
            )
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text.strip()
        for part in reversed(parts):
            value = {part: value}
        result = merge(result, value)
    return result


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one nested mapping over another; neither is changed."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            result[key] = merge(below, value)
        else:
            result[key] = value
    return result


def build(cls: type[T], values: Mapping[str, Any], where: str = "") -> T:
    """Build a frozen dataclass, and the dataclasses inside it, from a nested mapping.

    Args:
        cls: a dataclass whose fields are numbers, texts, flags, dataclasses, mappings, or
            tuples and unions of those.
        values: what a TOML file holds; missing keys take the dataclass's defaults.
        where: dotted place of `values` in the whole, for messages.

    Raises:
        UnknownNameError: for a key that `cls` does not have.
        ConfigError: for a value of the wrong type, or that the dataclass itself refuses.
    """
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    arguments = {}
    for key, value in values.items():
        place = f"{where}.{key}" if where else key
        if key not in fields:
            known = [f"{where}.{name}" if where else name for name in fields]
            raise UnknownNameError("recipe key", place, known)
        arguments[key] = _convert(hints[key], value, place)
    missing = [
        name
        for name, field in fields.items()
        if name not in arguments
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"no value for {where + '.' if where else ''}{missing[0]}")
    return cls(**arguments)


def _convert(hint: Any, value: Any, place: str) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        for choice in inner:
            try:
                return _convert(choice, value, place)
            except ConfigError:
                continue
    elif origin is typing.Literal:
        if value in inner:
            return value
        raise UnknownNameError(f"value of {place}", str(value), [str(name) for name in inner])
    elif dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if isinstance(value, Mapping):
            return build(hint, value, place)
    elif origin is tuple:
        if isinstance(value, list | tuple):
            if len(inner) == 2 and inner[1] is Ellipsis:
                return tuple(_convert(inner[0], item, place) for item in value)
            if len(inner) == len(value):
                return tuple(_convert(h, v, place) for h, v in zip(inner, value, strict=True))
    elif origin in (dict, Mapping) or hint in (dict, Mapping):
        if isinstance(value, Mapping):
            return dict(value)
    elif hint is Any:
        return value
    elif hint is type(None):
        if value is None or value == "none":
            return None
    elif hint is float:
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    elif hint is int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    elif isinstance(hint, type) and isinstance(value, hint):
        return value
    raise ConfigError(f"{place} = {value!r}", expected=f"a value of type {_spell(hint)}")


def check_types(params: Any, where: str) -> None:
    """Refuse fields of a parameters' class that are of another type than it says.

    Numbers of NumPy count as numbers. Values and names are left to the class.

    Args:
        params: an instance of a dataclass.
        where: what it belongs to, such as "frames", for the message.

    Raises:
        ConfigError: naming the first field that is wrong.
    """
    for name, hint, kinds in _checked_fields(type(params)):  # type: ignore[arg-type]
        value = getattr(params, name)
        if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0:
            value = value.item()
        if not kinds or (value is None and type(None) in typing.get_args(hint)):
            continue
        if isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool)):
            continue
        found = f"{where}.{name} = {value!r}"[:120]
        raise ConfigError(found, expected=f"a value of type {_spell(hint)}")


@functools.cache
def _checked_fields(cls: type[Any]) -> tuple[tuple[str, Any, tuple[type, ...]], ...]:
    """Give each field's name, its type, and the classes that a value may be of; none for any."""
    plain = {int: (int,), float: (int, float), bool: (bool,), str: (str,)}
    fields = []
    for name, hint in typing.get_type_hints(cls).items():
        kinds: list[type] = []
        for choice in typing.get_args(hint) if _is_union(hint) else (hint,):
            if typing.get_origin(choice) is typing.Literal:
                kinds += [str, int]
            elif choice in plain:
                kinds += plain[choice]
            elif choice is not type(None):
                kinds = []
                break
        fields.append((name, hint, tuple(kinds)))
    return tuple(fields)


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _spell(hint: Any) -> str:
    if isinstance(hint, type) and not typing.get_args(hint):
        return {
            "str": "text",
            "float": "finite number",
            "int": "whole number",
            "bool": "true or false",
        }.get(hint.__name__, hint.__name__)
    return str(hint).replace("typing.", "")


def to_dict(config: Any) -> dict[str, Any]:
    """Give every setting of a dataclass as plain nested data, defaults included."""
    return typing.cast(dict[str, Any], _plain(dataclasses.asdict(config)))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return value.as_posix()
    return value


def canonical_json(value: Any) -> str:
    """Write plain data as JSON with sorted keys and no blanks: one text for one value."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """Give the SHA-256 of a dataclass's or plain value's canonical JSON, as hexadecimal."""
    plain = to_dict(value) if dataclasses.is_dataclass(value) else value
    return hashlib.sha256(canonical_json(plain).encode()).hexdigest()


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Name the settings in which two nested mappings differ.

    Returns:
        (dotted key, value before, value now), sorted by key; None where there is no such key.

    Examples:
        >>> differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 3, "c": 2}, "d": True})
        [('a.b', 1, 3), ('d', None, True)]
    """
    old, new = dict(_flatten(_plain(before))), dict(_flatten(_plain(now)))
    keys = sorted(old.keys() | new.keys())
    return [(key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)]


def _flatten(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def to_toml(value: Any) -> str:
    """Write a dataclass or mapping as TOML; settings that are None become "none"."""
    plain = to_dict(value) if dataclasses.is_dataclass(value) else _plain(value)
    return tomli_w.dumps(_name_none(plain))


def _name_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _name_none(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_name_none(item) for item in value]
    return "none" if value is None else value
