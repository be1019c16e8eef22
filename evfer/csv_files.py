"""Tables that people hand in: CSV as spreadsheets write it, whatever divides it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from evfer.errors import DataError, EvferError

__all__ = ["read_cells"]

_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))


def read_cells(
    path: Path, expected: str = "CSV in UTF-8", error: type[EvferError] = DataError
) -> list[tuple[int, list[str]]]:
    """Read the lines of a table as cells, without blanks around them.

    Semicolons divide it if the first line has any, else commas or tabs, whichever it has more of.

    Args:
        path: the file, in UTF-8 or UTF-16.
        expected: what it should be, for the message.
        error: kind of error to raise.

    Returns:
        Number of the line, from 1, and its cells; lines without any text, and columns
        without any at the end, are left out.

    Raises:
        EvferError: of that kind, naming line and byte, if it is in another encoding.
    """
    try:
        text = _decode(path, path.read_bytes(), expected, error)
        lines = io.StringIO(text, newline=None)
        first = next((line for line in lines if line.strip()), "")
        lines.seek(0)
        # numbers may have decimal commas where semicolons divide them
        divider = ";" if ";" in first else max(",\t", key=first.count)
        reader = csv.reader(lines, delimiter=divider)
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except (OSError, csv.Error) as reason:
        said = getattr(reason, "strerror", None) or reason
        raise error(f"{path}: {said}", expected=expected) from reason
    filled = [max((k for k, cell in enumerate(cells, 1) if cell), default=0) for _, cells in rows]
    width = max(filled, default=0)
    return [(number, cells[:width]) for number, cells in rows if any(cells)]


def _decode(path: Path, data: bytes, expected: str, error: type[EvferError]) -> str:
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\0" in data[:2]:  # UTF-16 without a mark
        encoding = "utf-16-be" if data[0] == 0 else "utf-16-le"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as reason:
        before = data[: reason.start]
        line = before.count(b"\n") + 1
        column = reason.start - before.rfind(b"\n")
        byte = data[reason.start]
        raise error(
            f"{path}, line {line}: byte {column} is 0x{byte:02X}, which is no UTF-8 (in Latin-1 "
            f"it is {bytes([byte]).decode('latin-1')!r})",
            expected=expected,
            hint=f'Save it as "CSV UTF-8", or run: iconv -f LATIN1 -t UTF-8 {path.name} > new.csv',
        ) from reason
