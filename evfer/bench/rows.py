"""Result rows: one JSON object a line of `rows.jsonl`, appended the moment a fold ends.

One type, one strict writer and one patient reader. Reading never changes the file: the writer
alone mends a last line that a crash cut short.
"""

from __future__ import annotations

import functools
import io
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evfer import config
from evfer.bench.row_fields import (
    ConfusionCounts,
    Epoch,
    FieldReader,
    Leak,
    Prediction,
    RowEnergy,
    contradictions,
    count_confusion,
    parse_energy,
    widen_confusion,
)
from evfer.errors import DataError, RecordingError
from evfer.files import append_line, whole_file
from evfer.locks import folder_lock

__all__ = [
    "KEY_FIELDS",
    "ROW_FORMAT",
    "ResultRow",
    "RowWriter",
    "StoredRows",
    "read_rows",
    "row_key",
]

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

_TELLING = ("model", "accuracy", "confusion", "predictions")
"""A line without any of these is no result."""


def row_key(row: Mapping[str, Any]) -> str:
    """Give the digest of what names a result.

    Args:
        row: a `ResultRow`, or a mapping with the fields of `KEY_FIELDS`.
    """
    # a network of one's own is named by its structure too, in rows that tell it
    structure = [row["structure_sha256"]] if row.get("structure_sha256") else []
    return config.digest([row.get(name) for name in KEY_FIELDS] + structure)


@dataclass(frozen=True, eq=False)
class ResultRow(Mapping[str, Any]):
    """One fold's result.

    As a mapping it is the line as stored, with the fields that this evfer does not know. Its
    attributes are what evfer knows, read with patience: texts are empty and numbers None where
    the line does not say.

    Attributes:
        stored: the line's fields.
        run: the run that it names, or the one whose folder it lies in.
        epochs_run: epochs that were trained, where training may end early.
        ece: expected calibration error.
        anytime: accuracy had each clip ended after its step 1, 2, ...; empty for networks that
            decide once, and where the row does not say.
        energy: what a clip costs; None where the row does not say.
        energy_note: why it does not.
        labels_sha256: digest of who shows what in the set.
        model_sha256: digest of the network's source where it is not evfer's.
        split_kind: how the folds were made, such as "strict".
        split_seed: what they were drawn by.
        confusion: counts, rows true, columns predicted; empty where not known.
        problems: what in this row could not be used, in words.
    """

    stored: Mapping[str, Any] = field(repr=False)
    run: str
    dataset: str
    set_name: str
    model: str
    recipe: str
    recipe_sha256: str
    protocol: str
    folds_sha256: str
    data_fingerprint: str
    labels_sha256: str
    model_sha256: str
    selected_on: str
    device: str
    precision: str
    fold: int | None
    n_folds: int | None
    seed: int | None
    split_kind: str
    split_seed: int | None
    selected_epoch: int | None
    epochs: int | None
    epochs_run: int | None
    n_train: int | None
    n_test: int | None
    parameters: int | None
    accuracy: float | None
    accuracy_last: float | None
    accuracy_best: float | None
    uar: float | None
    macro_f1: float | None
    chance: float | None
    majority: float | None
    collapsed: bool | None
    train_seconds: float | None
    test_seconds: float | None
    ece: float | None
    anytime: tuple[float, ...]
    energy: RowEnergy | None
    energy_note: str
    classes: tuple[str, ...]
    confusion: ConfusionCounts
    predictions: tuple[Prediction, ...] = field(repr=False)
    curve: tuple[Epoch, ...] = field(repr=False)
    leak: Leak
    versions: Mapping[str, str]
    machine: Mapping[str, str]
    problems: tuple[str, ...]

    def __getitem__(self, name: str) -> Any:
        return self.stored[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.stored)

    def __len__(self) -> int:
        return len(self.stored)

    @functools.cached_property
    def key(self) -> str:
        """Digest of what names the result; empty where that cannot be, as with a seed of NaN."""
        try:
            return row_key(self.stored)
        except ValueError:
            return ""

    @property
    def validation_accuracy(self) -> float | None:
        """The accuracy that chose the epoch, if people held out chose it."""
        if self.selected_on != "inner_validation":
            return None
        scores = (e.validation_accuracy for e in self.curve if e.epoch == self.selected_epoch)
        return next(scores, None)

    def score(self, measure: str) -> float | None:
        """Give one of the scores "accuracy", "uar" and "macro_f1"."""
        scores = {"accuracy": self.accuracy, "uar": self.uar, "macro_f1": self.macro_f1}
        return scores[measure]

    @classmethod
    def parse(cls, stored: Mapping[str, Any], run: str) -> ResultRow:
        """Make a row of a line's fields; nothing in them is an error.

        Args:
            stored: the fields.
            run: the run's name, for rows that do not name it.
        """
        problems: list[str] = []
        fields = FieldReader(stored, problems)
        version = stored.get("format")
        if isinstance(version, int) and version > ROW_FORMAT:
            problems.append(f"it has format {version}, newer than this evfer knows.")
        classes, predictions = fields.names("classes"), fields.predictions("predictions")
        confusion = fields.confusion("confusion")
        n_classes = max(
            [len(classes), len(confusion)]
            + [max(item.label, item.prediction) + 1 for item in predictions]
        )
        classes += tuple(f"class {index}" for index in range(len(classes), n_classes))
        if confusion:
            confusion = widen_confusion(confusion, n_classes)
        elif predictions:
            confusion = count_confusion(predictions, n_classes)
        accuracy, split = fields.share("accuracy"), fields.table("split")
        problems += contradictions(accuracy, confusion, predictions)
        return cls(
            stored=stored,
            run=fields.text("run") or run,
            dataset=fields.text("dataset"),
            set_name=fields.text("set") or fields.text("dataset") or "unnamed set",
            model=fields.text("model") or "unnamed model",
            recipe=fields.text("recipe"),
            recipe_sha256=fields.text("recipe_sha256"),
            protocol=fields.text("protocol") or "unnamed protocol",
            folds_sha256=fields.text("folds_sha256"),
            data_fingerprint=fields.text("data_fingerprint"),
            labels_sha256=fields.text("labels_sha256"),
            model_sha256=fields.text("model_sha256"),
            selected_on=fields.text("selected_on"),
            device=fields.text("device"),
            precision=fields.text("precision"),
            fold=fields.whole("fold"),
            n_folds=fields.whole("n_folds"),
            seed=fields.whole("seed"),
            split_kind=split.text("kind"),
            split_seed=split.whole("seed"),
            selected_epoch=fields.whole("selected_epoch"),
            epochs=fields.whole("epochs"),
            epochs_run=fields.whole("epochs_run"),
            n_train=fields.whole("n_train"),
            n_test=fields.whole("n_test"),
            parameters=fields.whole("parameters"),
            accuracy=accuracy,
            accuracy_last=fields.share("accuracy_last"),
            accuracy_best=fields.share("accuracy_best"),
            uar=fields.share("uar"),
            macro_f1=fields.share("macro_f1"),
            chance=fields.share("chance"),
            majority=fields.share("majority"),
            collapsed=fields.flag("collapsed"),
            train_seconds=fields.number("train_seconds"),
            test_seconds=fields.number("test_seconds"),
            ece=fields.share("ece"),
            anytime=fields.shares("anytime"),
            energy=parse_energy(stored.get("energy")),
            energy_note=fields.text("energy_note"),
            classes=classes,
            confusion=confusion,
            predictions=predictions,
            curve=fields.curve("curve"),
            leak=fields.leak("leak"),
            versions=fields.texts("versions"),
            machine=fields.texts("machine"),
            problems=tuple(problems),
        )


@dataclass(frozen=True)
class StoredRows:
    """What a `rows.jsonl` holds.

    Args:
        rows: in the order in which they were written.
        problems: what could not be used, in words.
        n_damaged: lines that are no result rows.
    """

    rows: tuple[ResultRow, ...] = ()
    problems: tuple[str, ...] = ()
    n_damaged: int = 0


def read_rows(path: Path, run: str = "") -> StoredRows:
    """Read a run's rows; the file is left as it is.

    Args:
        path: `rows.jsonl`; where it is missing there are no rows.
        run: the run's name, for rows that do not name it and for messages; by default that of
            the folder.

    Raises:
        RecordingError: if the file cannot be read.
    """
    run = run or path.parent.name
    rows: list[ResultRow] = []
    problems: list[str] = []
    n_damaged = 0
    lines = _read_lines(path)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"run {run}, line {number}"
        row = _parse(line, run)
        if isinstance(row, str):
            # a line end is written with its line, so a last line without one was cut
            cut = number == len(lines) and not line.endswith(b"\n")
            problems.append(f"{where}: {_CUT if cut else row}; it is left out.")
            n_damaged += 1
        else:
            rows.append(row)
            problems += [f"{where}: {problem}" for problem in row.problems]
    return StoredRows(tuple(rows), tuple(problems), n_damaged)


class RowWriter:
    """Adds to a run's rows and takes away from them, in turns with other processes.

    Args:
        path: `rows.jsonl`. A last line that a crash cut short is mended or taken away, since it
            would swallow the next.

    Raises:
        RecordingError: if the file cannot be read.
        OutputError: if it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file_id, self._n_read = 0, 0
        with folder_lock(path.parent):
            self._mend()

    def read_new(self) -> list[ResultRow]:
        """Give the rows that were written since the last call, by this process or another."""
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_ino != self._file_id or status.st_size < self._n_read:
                    self._file_id, self._n_read = status.st_ino, 0  # another file in its place
                file.seek(self._n_read)
                content = file.read()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _unreadable(self._path, error) from error
        lines = content[: content.rfind(b"\n") + 1]  # what is being written comes next time
        self._n_read += len(lines)
        parsed = (_parse(line, self._path.parent.name) for line in lines.splitlines())
        return [row for row in parsed if isinstance(row, ResultRow)]

    def append(self, row: ResultRow) -> None:
        """Append one row and force it to disk.

        Raises:
            DataError: if the row holds a number that is not finite, or does not name its result.
            OutputError: if it cannot be written; the file is then as before.
        """
        missing = [name for name in KEY_FIELDS if name not in row]
        if missing:
            raise DataError(
                f"a row of {row.model} without {missing[0]}", expected=", ".join(KEY_FIELDS)
            )
        if wrong := _find_non_finite(row.stored):
            raise DataError(
                f"a row of {row.model}, fold {row.fold}, with {wrong}", expected="finite numbers"
            )
        with folder_lock(self._path.parent):
            self._mend()
            append_line(self._path, _encode(row.stored))

    def forget(self, keys: Iterable[str]) -> None:
        """Take results out; all other lines stay as they are.

        Args:
            keys: of the results to take out; see `ResultRow.key`.

        Raises:
            OutputError: if the file cannot be written; it is then as before.
        """
        unwanted = set(keys)
        with folder_lock(self._path.parent):
            lines = _read_lines(self._path)
            kept = [line for line in lines if _key(line) not in unwanted]
            if len(kept) < len(lines):
                with whole_file(self._path) as part:
                    part.write_bytes(b"".join(kept))

    def _mend(self) -> None:
        if not self._path.exists() or not self._path.stat().st_size:
            return
        with self._path.open("rb") as file:  # files of studies are large: only their end is read
            file.seek(-1, io.SEEK_END)
            if file.read() == b"\n":
                return
        lines = _read_lines(self._path)
        whole = not isinstance(_parse(lines[-1], ""), str)
        with whole_file(self._path) as part:
            part.write_bytes(b"".join(lines[:-1]) + (lines[-1] + b"\n" if whole else b""))


_CUT = "the last line is cut short"


def _read_lines(path: Path) -> list[bytes]:
    """Give a file's lines with their ends; other marks than the Unix one end no line."""
    try:
        content = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise _unreadable(path, error) from error
    return io.BytesIO(content).readlines()


def _unreadable(path: Path, error: OSError) -> RecordingError:
    return RecordingError(f"{path}: {error.strerror}", expected="a run's rows")


def _parse(line: bytes, run: str) -> ResultRow | str:
    """Give a line's row, or why it holds none."""
    try:
        stored = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        return f"not JSON ({error})"
    if not isinstance(stored, dict) or not any(stored.get(name) for name in _TELLING):
        return "not a result row"
    return ResultRow.parse(stored, run)


def _key(line: bytes) -> str | None:
    row = _parse(line, "")
    return None if isinstance(row, str) else row.key


def _encode(stored: Mapping[str, Any]) -> str:
    line = json.dumps(dict(stored), ensure_ascii=False, allow_nan=False)
    try:
        line.encode("utf-8")
    except UnicodeEncodeError:  # a name of bytes that are no text
        return json.dumps(dict(stored), allow_nan=False)
    return line


def _find_non_finite(value: Any, name: str = "") -> str:
    """Name the first number that JSON cannot hold; empty where there is none."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"{name} = {value}"
    inside: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        inside = value.items()
    elif isinstance(value, list | tuple):
        inside = enumerate(value)
    texts = (_find_non_finite(item, f"{name}.{key}" if name else str(key)) for key, item in inside)
    return next(filter(None, texts), "")
