"""Where labels come from: the data set's own files, or the fold file that Spiking-FER published.

The fold file travels with Spiking-FER's code, not with evfer; a user gives the path of a copy. The
two sources are never mixed: a reader takes all labels, and which clips there are, from one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from evfer.csv_files import read_cells
from evfer.datasets.base import LABEL_CODES
from evfer.datasets.published import PublishedId
from evfer.datasets.tree import name_some
from evfer.errors import ConfigError, SourceError

__all__ = ["LabelSource", "check_label_options", "read_fold_labels", "warn_missing"]

LabelSource = Literal["official", "published"]

_FORMAT = "subject;sequence;label;fold0;... as Spiking-FER publishes, such as S005;001;5;0;1"


def check_label_options(labels: str, fold_file: str) -> None:
    """Make sure that the options `labels` and `fold_file` of a reader go together.

    Raises:
        ConfigError: if one is given without the other.
    """
    if labels == "published" and not fold_file:
        raise ConfigError(
            'dataset.labels = "published" without a fold file',
            expected="dataset.fold_file, the path of your copy",
            hint="The fold files come with the code of Spiking-FER (Barchid/spiking-fer on GitHub)",
        )
    if labels != "published" and fold_file:
        raise ConfigError(
            f"dataset.fold_file = {fold_file} with the official labels",
            expected='dataset.labels = "published" beside it',
        )


def read_fold_labels(path: Path) -> dict[PublishedId, int]:
    """Read the labels of a published fold file.

    Args:
        path: the file, `subject;sequence;label;fold0;...`, without a header.

    Returns:
        Label codes by subject and sequence, in the file's order.

    Raises:
        SourceError: naming the line that cannot be used.
    """
    if not path.is_file():
        raise SourceError(f"{path}: no such file", expected=_FORMAT, hint="Check dataset.fold_file")
    found: dict[PublishedId, int] = {}
    for number, row in read_cells(path, _FORMAT, SourceError):
        where = f"{path}, line {number}: {';'.join(row)[:60]}"
        fits = len(row) >= 3 and re.fullmatch(r"S\d{3}", row[0]) and row[1].isdecimal()
        if not fits or row[2] not in map(str, LABEL_CODES.values()):
            raise SourceError(where, expected=_FORMAT)
        key = PublishedId(row[0], int(row[1]))
        if key in found:
            raise SourceError(where, expected="each clip once")
        found[key] = int(row[2])
    if not found:
        raise SourceError(f"{path}: an empty file", expected=_FORMAT)
    return found


def warn_missing(rows: Mapping[PublishedId, int], there: Iterable[PublishedId]) -> tuple[str, ...]:
    """Name the published clips that a copy of the data set lacks, in at most one sentence."""
    missing = sorted(set(rows) - set(there))
    if not missing:
        return ()
    listed = name_some([f"{row.subject};{row.sequence:03d}" for row in missing])
    return (f"published clips that are not here ({len(missing)} of {len(rows)}): {listed}",)
