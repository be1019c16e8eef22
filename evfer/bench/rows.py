"""Result rows on disk: one JSON object a line, appended the moment a fold ends."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evfer import config
from evfer.errors import RecordingError
from evfer.files import append_line, write_text

__all__ = ["KEY_FIELDS", "ROW_FORMAT", "Row", "append_row", "forget", "open_rows", "row_key"]

Row = dict[str, Any]
"""One fold's result; `FoldJob.naming` and `run_fold` give its fields."""

ROW_FORMAT = 1

KEY_FIELDS = (
    "recipe_sha256",
    "folds_sha256",
    "data_fingerprint",
    "labels_sha256",
    "model_sha256",
    "seed",
    "fold",
    "model",
)
"""Fields that together name a result: where all are the same, the fold need not run again."""


def row_key(row: Mapping[str, Any]) -> str:
    """Give the digest of what names a result."""
    return config.digest([row.get(name) for name in KEY_FIELDS])


def open_rows(path: Path) -> list[Row]:
    """Read a run's rows, and mend a last line that a crash cut short.

    Args:
        path: `rows.jsonl`; it need not exist.

    Returns:
        The rows; lines that are no JSON objects are passed over, and their folds run again.

    Raises:
        RecordingError: if the file cannot be read.
        OutputError: if it cannot be mended.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror}", expected="a run's rows") from error
    if text and not text.endswith("\n"):
        *whole, last = text.split("\n")
        # what was cut short would otherwise swallow the next row
        text = "".join(f"{line}\n" for line in (*whole, *([last] if _parse(last) else [])))
        write_text(path, text)
    found = (_parse(line) for line in text.splitlines())
    return [row for row in found if row is not None]


def append_row(path: Path, row: Row) -> None:
    """Append one row and force it to disk."""
    append_line(path, json.dumps(row, ensure_ascii=False, allow_nan=False))


def forget(path: Path, rows: Sequence[Row], keys: Iterable[str]) -> list[Row]:
    """Take results out of a run.

    Args:
        path: `rows.jsonl`.
        rows: what it holds.
        keys: of the results to take out; see `row_key`.

    Returns:
        The rows that stay.
    """
    unwanted = set(keys)
    stay = [row for row in rows if row_key(row) not in unwanted]
    if len(stay) < len(rows):
        lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in stay)
        write_text(path, "".join(f"{line}\n" for line in lines))
    return stay


def _parse(line: str) -> Row | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
