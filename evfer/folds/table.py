"""The published format of a fold file: `subject;sequence;label;fold0;fold1;...`, 1 is test.

The published loader reads ten columns of folds. A plan of fewer is therefore written with its folds
over and over, column k being fold k modulo their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evfer.csv_files import read_cells
from evfer.errors import RecordingError
from evfer.folds.plan import FoldPlan

__all__ = ["FoldRow", "count_folds", "fold_lines", "is_of_folds", "read_rows", "require_both_parts"]

_COLUMNS = 10  # as many as the published loader reads


@dataclass(frozen=True)
class FoldRow:
    """One line of a fold file.

    Args:
        line: its number in the file, from 1.
        subject: first column.
        sequence: second column.
        label: third column, the label's code.
        flags: whether the clip is tested, one a fold.
    """

    line: int
    subject: str
    sequence: int
    label: int
    flags: tuple[bool, ...]

    @property
    def name(self) -> str:
        """The clip as the file spells it."""
        return f"{self.subject};{self.sequence:03d}"


def read_rows(path: Path) -> list[FoldRow]:
    """Read a fold file's rows, whatever set they belong to; it has at least one.

    Raises:
        RecordingError: naming the line that does not fit the format.
    """
    rows: list[FoldRow] = []
    names: set[str] = set()
    for number, fields in read_cells(path, "a fold file", RecordingError):
        if not rows and fields[0].casefold() == "subject":
            continue
        where = f"{path}, line {number}"
        n_folds = len(rows[0].flags) if rows else len(fields) - 3
        if n_folds < 1 or len(fields) != n_folds + 3 or not set(fields[3:]) <= {"0", "1"}:
            raise RecordingError(
                f"{where}: {';'.join(fields)[:80]}",
                expected="subject;sequence;label and one 0 or 1 a fold",
            )
        if not (fields[1].isdecimal() and fields[2].isdecimal()):
            raise RecordingError(
                f"{where}: sequence {fields[1]}, label {fields[2]}", expected="whole numbers"
            )
        flags = tuple(flag == "1" for flag in fields[3:])
        row = FoldRow(number, fields[0], int(fields[1]), int(fields[2]), flags)
        if row.name in names:
            raise RecordingError(
                f"{where}: clip {row.name} stands twice", expected="one line a clip"
            )
        names.add(row.name)
        rows.append(row)
    if not rows:
        raise RecordingError(f"{path}: no line", expected="one line a clip")
    return rows


def count_folds(rows: Sequence[FoldRow]) -> int:
    """Count a fold file's folds: its columns, less those that repeat the first ones in turn."""
    n_columns = len(rows[0].flags)
    if n_columns != _COLUMNS:
        return n_columns
    return next(n for n in range(1, n_columns + 1) if is_of_folds(rows, n))


def is_of_folds(rows: Sequence[FoldRow], n_folds: int) -> bool:
    """Tell whether a fold file may hold so many folds: whether all further columns repeat them."""
    columns = list(zip(*(row.flags for row in rows), strict=True))
    repeated = all(column == columns[k % n_folds] for k, column in enumerate(columns))
    return n_folds <= len(columns) and repeated


def require_both_parts(path: Path, tests: Sequence[Sequence[int]], n_clips: int) -> None:
    """Make sure that each fold has clips to test and clips to train on.

    Raises:
        RecordingError: naming the fold that has not.
    """
    for fold, test in enumerate(tests):
        if not 0 < len(test) < n_clips:
            raise RecordingError(
                f"{path}: fold {fold} has {len(test)} test clips of {n_clips}",
                expected="some to test and some to train",
            )


def fold_lines(plan: FoldPlan, named: Iterable[tuple[str, int, int]]) -> str:
    """Write a plan in the published format, sorted by subject and sequence.

    Args:
        plan: the folds.
        named: subject, sequence and label to write, one a clip of the plan, in its order.
    """
    tested = [set(split.test) for split in plan.splits]
    columns = [tested[k % len(tested)] for k in range(max(_COLUMNS, len(tested)))]
    rows = []
    for i, (subject, sequence, label) in enumerate(named):
        flags = ";".join(str(int(i in test)) for test in columns)
        rows.append((subject, sequence, f"{subject};{sequence:03d};{label};{flags}\n"))
    return "".join(line for _, _, line in sorted(rows))
