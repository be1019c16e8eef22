"""Landmarks from elsewhere: tables and folders of 68 points per frame.

With them the face stage needs neither dlib nor its weights. The points must have the numbers of
iBUG 300-W and be in pixels of the source frames, (0, 0) being the centre of the top left one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evfer.csv_files import read_cells
from evfer.errors import RecordingError
from evfer.files import write_text

__all__ = ["read_landmarks", "write_landmarks"]

_COLUMNS = [f"{axis}_{point}" for axis in "xy" for point in range(68)]
_FORMATS = (
    "a CSV file with columns x_0 ... x_67 and y_0 ... y_67 (as OpenFace writes), or one of 136 "
    "numbers a line (x and y of each point in turn), or a folder with a text file per frame of "
    "68 lines (x and y)"
)


def read_landmarks(path: Path) -> NDArray[np.float64]:
    """Read the 68 points of every frame of one clip.

    Args:
        path: a CSV file with a header that names x_0 ... x_67 and y_0 ... y_67, one line per
            frame in order (a column "frame" is checked, a column "success" of 0 means no face,
            others are passed over); or a CSV file without header, 136 numbers a line: x and y of
            point 0, x and y of point 1, and so on; or a folder of text files, one per frame by
            name, of 68 lines each: x and y.

    Returns:
        Shape (n, 68, 2), float64; NaN in frames without a face.

    Raises:
        RecordingError: if the file is missing or none of these; the message names the line.
    """
    try:
        if path.is_dir():
            files = sorted(file for file in path.iterdir() if file.suffix.lower() == ".txt")
            frames = [_read_points(file) for file in files]
        else:
            frames = _read_table(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RecordingError(f"{path}: {reason}", expected=_FORMATS) from error
    if not frames:
        raise RecordingError(f"{path} holds no landmarks", expected=_FORMATS)
    return np.stack(frames)


def write_landmarks(path: Path, points: NDArray[np.float64]) -> None:
    """Write the 68 points of every frame as a CSV file that `read_landmarks` reads.

    Args:
        path: the file to make.
        points: shape (n, 68, 2), pixels, written to a ten-thousandth; NaN where there is no face.

    Raises:
        OutputError: if the file cannot be written.
    """
    lines = [",".join(["frame", "success", *_COLUMNS])]
    for index, frame in enumerate(points):
        known = bool(np.isfinite(frame).all())
        numbers = [f"{value:.4f}" if known else "nan" for value in frame.T.ravel()]
        lines.append(",".join([str(index), str(int(known)), *numbers]))
    write_text(path, "\n".join(lines) + "\n")


def _read_points(path: Path) -> NDArray[np.float64]:
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if len(rows) != 68 or any(len(row) != 2 for row in rows):
        raise RecordingError(f"{path} has {len(rows)} lines", expected="68 lines of x and y")
    return _numbers([text for row in rows for text in row], str(path)).reshape(68, 2)


def _read_table(path: Path) -> list[NDArray[np.float64]]:
    lines = read_cells(path, _FORMATS, RecordingError)
    if not lines:
        return []
    header = lines[0][1]
    if _is_number(header[0]):
        return [_plain_line(row, f"{path}, line {number}") for number, row in lines]
    missing = [name for name in _COLUMNS if name not in header]
    if missing:
        raise RecordingError(f"{path} has no column {missing[0]}", expected=_FORMATS)
    frames: list[NDArray[np.float64]] = []
    first = 0
    for number, row in lines[1:]:
        where = f"{path}, line {number}"
        if len(row) != len(header):
            raise RecordingError(f"{where} has {len(row)} cells", expected=f"{len(header)}")
        cells = dict(zip(header, row, strict=True))
        if "frame" in cells:
            frame = int(_numbers([cells["frame"]], where)[0])
            first = frame if not frames else first
            if frame != first + len(frames):
                raise RecordingError(
                    f"{where} is of frame {frame}", expected=f"frame {first + len(frames)}"
                )
        values = _numbers([cells[name] for name in _COLUMNS], where).reshape(2, 68).T
        if "success" in cells and _numbers([cells["success"]], where)[0] == 0:
            values = np.full((68, 2), np.nan)
        frames.append(values)
    return frames


def _plain_line(row: list[str], where: str) -> NDArray[np.float64]:
    if len(row) != 136:
        raise RecordingError(f"{where} has {len(row)} cells", expected="136 numbers")
    return _numbers(row, where).reshape(68, 2)


def _is_number(text: str) -> bool:
    try:
        _number(text)
    except ValueError:
        return False
    return True


def _numbers(cells: list[str], where: str) -> NDArray[np.float64]:
    for cell in cells:
        if not _is_number(cell):
            raise RecordingError(f'{where} has "{cell}"', expected="a number")
    return np.array([_number(cell) for cell in cells])


def _number(text: str) -> float:
    # a comma in a cell is a spreadsheet's decimal point
    return float(text.replace(",", ".") or "nan")
