"""Prophesee's files: `.raw` in EVT 2.0, 2.1 and 3.0, and `.dat`.

Decoded here, since of the packages that do so expelliarmus 1.1 hangs on files that are cut short
and counts the time of EVT 3.0 wrongly, and faery 0.7 takes a sensor of 1280 x 720 where the header
names none. They serve as the tests' second opinion.

Source:
    The vendor's tables of word types, docs.prophesee.ai, "EVT 2.0 Format", "EVT 2.1 Format",
    "EVT 3.0 Format", "RAW File Format", "DAT File Format".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evfer.errors import RecordingError
from evfer.events import Events, SensorSize
from evfer.formats.assemble import EventSource, ReadParams, assemble, check_count, parse_size
from evfer.formats.evt import Columns, Decoder, Evt2, Evt3, Evt21

__all__ = ["encode_evt2", "read_dat", "read_header", "read_raw"]

_BLOCK_BYTES = 1 << 19
_HEADER_BYTES = 1 << 16
_DAT_CD_TYPES = (0x00, 0x0C)

_SENSORS = {
    "genx320": SensorSize(320, 320),
    "imx636": SensorSize(1280, 720),
    "gen4": SensorSize(1280, 720),
    "gen3": SensorSize(640, 480),
}
"""What a header's words of the sensor mean where it has no line of its geometry.

Source:
    The vendor's pages of its sensors, docs.prophesee.ai: Gen3 and Gen3.1 have 640 x 480 pixels,
    Gen4, Gen4.1 and IMX636 1280 x 720, GenX320 320 x 320.
"""


@dataclass(frozen=True)
class _Header:
    """A header's lines, and where the data begin."""

    values: Mapping[str, str] = field(default_factory=dict)
    end: int = 0


def read_header(path: Path) -> SensorSize | None:
    """Give the sensor's size that a `.raw` or `.dat` file's header names, or None."""
    return _size(_header(path))


def read_raw(path: Path, params: ReadParams) -> EventSource:
    """Read a `.raw` file.

    Raises:
        RecordingError: if its header does not name the encoding, or the events are wrong.
    """
    header = _header(path)
    name, order = _encoding(path, header)
    decoder = _decoder(name)
    word = np.dtype({"EVT2": "u4", "EVT21": "u8", "EVT3": "u2"}[name])
    word = word.newbyteorder(">" if order == "big" else "<")
    parts, count, rest = [], 0, 0
    for words, left in _blocks(path, header.end, word):
        rest += left
        if order == "legacy" and word.itemsize == 8:
            # this sensor sends each half on its own, the upper one first
            words = words << np.uint64(32) | words >> np.uint64(32)
        part = decoder.decode(words.astype(words.dtype.newbyteorder("=")))
        count += len(part["t"])
        check_count(path, count)
        parts.append(part)
    said = {"format": f"Prophesee {name}"}
    if decoder.dropped:
        said["before_first_time"] = f"{decoder.dropped} events without a time or place left away"
    if rest:
        said["trailing_bytes"] = f"{rest} bytes of a word that was cut short left away"
    return assemble(path, _joined(parts), _size(header), params, unit="us", remarks=said)


def read_dat(path: Path, params: ReadParams) -> EventSource:
    """Read a `.dat` file of version 2.

    Raises:
        RecordingError: if it is of another version or holds other events.
    """
    header = _header(path)
    version = header.values.get("version", "")
    if version != "2":
        raise RecordingError(
            f"{path}: DAT version {version or 'not named'}", expected="a line % Version 2"
        )
    with path.open("rb") as file:
        file.seek(header.end)
        kind = file.read(2)
    if len(kind) < 2 or kind[0] not in _DAT_CD_TYPES or kind[1] != 8:
        raise RecordingError(
            f"{path}: events of type and size {tuple(kind)}",
            expected="contrast events (type 0 or 12) of 8 bytes",
        )
    record = np.dtype([("t", "<u4"), ("word", "<u4")])
    parts: list[Columns] = []
    rest = 0
    check_count(path, (path.stat().st_size - header.end - 2) // 8)
    for records, left in _blocks(path, header.end + 2, record):
        rest += left
        word = records["word"]
        parts.append(
            {
                "t": records["t"].astype(np.int64),
                "x": (word & 0x3FFF).astype(np.int16),
                "y": (word >> 14 & 0x3FFF).astype(np.int16),
                "p": (word >> 28 & 1).astype(np.bool_),
            }
        )
    said = {"format": "Prophesee DAT"}
    if rest:
        said["trailing_bytes"] = f"{rest} bytes of an event that was cut short left away"
    return assemble(path, _joined(parts), _size(header), params, unit="us", remarks=said)


def encode_evt2(events: Events, size: SensorSize) -> bytes:
    """Write events as a `.raw` file of EVT 2.0.

    Args:
        events: `EVENT_DTYPE`, sorted by time, shape (n,).
        size: the sensor; the format reaches to 2048 x 2048.

    Raises:
        RecordingError: if the sensor is too large for the format.
    """
    if max(size.width, size.height) > 2048:
        raise RecordingError(
            f"a sensor of {size.width} x {size.height}", expected="at most 2048 x 2048 in EVT 2.0"
        )
    times = events["t"].astype(np.uint64)
    high = (times >> np.uint64(6)).astype(np.uint32)
    word = (events["p"].astype(np.uint32) << 28) | ((times & np.uint64(63)).astype(np.uint32) << 22)
    word |= (events["x"].astype(np.uint32) << 11) | events["y"].astype(np.uint32)
    # one word of the time's upper bits before each event for which they change
    changes = np.flatnonzero(np.diff(high, prepend=np.uint32(0)) != 0)
    if len(high):
        changes = np.union1d(changes, [0])
    words = np.insert(word, changes, (np.uint32(8) << np.uint32(28)) | high[changes])
    head = (
        f"% evt 2.0\n% format EVT2;height={size.height};width={size.width}\n"
        f"% geometry {size.width}x{size.height}\n% end\n"
    )
    return head.encode() + words.astype("<u4").tobytes()


def _header(path: Path) -> _Header:
    """Read the lines that begin with "%", up to `% end` or the first that does not."""
    with path.open("rb") as file:
        start = file.read(_HEADER_BYTES)
    values: dict[str, str] = {}
    end = 0
    while start[end : end + 1] == b"%":
        stop = start.find(b"\n", end)
        line = start[end : stop + 1]
        # data may begin with the byte of "%" too; a header's line has words in it
        if stop < 0 or not re.fullmatch(rb"%[ -~\t]*\r?\n", line):
            break
        end = stop + 1
        key, _, value = line.decode("ascii")[1:].strip().partition(" ")
        if key.casefold() == "end":
            break
        values[key.casefold()] = value.strip()
    return _Header(values, end)


def _fields(header: _Header) -> tuple[str, dict[str, str]]:
    name, *pairs = header.values.get("format", "").split(";")
    split = (pair.partition("=") for pair in pairs)
    return name.strip().upper(), {key.strip(): value.strip() for key, _, value in split}


def _size(header: _Header) -> SensorSize | None:
    fields = _fields(header)[1]
    values = header.values
    for text in (
        values.get("geometry", ""),
        f"{fields.get('width')}x{fields.get('height')}",
        f"{values.get('width')}x{values.get('height')}",
    ):
        if found := parse_size(text):
            return found
    named = " ".join(
        (
            values.get("sensor_name", ""),
            values.get("plugin_name", ""),  # each is written for one kind of sensor
            f"gen{values.get('sensor_generation', values.get('generation', ''))}",
        )
    ).casefold()
    return next((size for word, size in _SENSORS.items() if word in named), None)


def _encoding(path: Path, header: _Header) -> tuple[str, str]:
    name, fields = _fields(header)
    if not name:
        name = {"2.0": "EVT2", "2.1": "EVT21", "3.0": "EVT3"}.get(header.values.get("evt", ""), "")
    order = fields.get("endianness", "little")
    if name not in ("EVT2", "EVT21", "EVT3") or order not in ("little", "big", "legacy"):
        found = f"encoding {name} {order}" if name else "no encoding named"
        raise RecordingError(
            f"{path}: {found} in the header",
            expected="a line % evt 2.0, 2.1 or 3.0, or % format EVT2, EVT21 or EVT3",
            hint="Is it a Prophesee recording? Export it anew with the vendor's tools",
        )
    return name, order


def _decoder(name: str) -> Decoder:
    if name == "EVT3":
        return Evt3()
    return Evt2() if name == "EVT2" else Evt21()


def _blocks(path: Path, start: int, word: np.dtype[Any]) -> Iterator[tuple[NDArray[Any], int]]:
    """Give a file's words, a few megabytes at a time, and the bytes left over at its end."""
    with path.open("rb") as file:
        file.seek(start)
        while block := file.read(_BLOCK_BYTES):
            whole = len(block) - len(block) % word.itemsize
            yield np.frombuffer(block[:whole], word), len(block) - whole


def _joined(parts: list[Columns]) -> Columns:
    if not parts:
        return {name: np.zeros(0, np.int64) for name in ("t", "x", "y", "p")}
    return {name: np.concatenate([part[name] for part in parts]) for name in ("t", "x", "y", "p")}
