"""Result rows as they lie on disk, read with patience.

Rows may come from an older or newer evfer, from a run that was killed, or from someone else: a
field that is missing or makes no sense is left out and told about, and never stops the report.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from evfer.pictures.drawing import shorten
from evfer.report.energy import RowEnergy, parse_energy

__all__ = ["Epoch", "FoldRow", "Leak", "Prediction", "parse_row", "read_rows"]

_KNOWN_FORMAT = 1
_LONGEST_NAME = 200
_MOST_STEPS = 1000
_MOST_CLASSES = 1000
"""A class index beyond this is damage, and would ask for a matrix that fills the memory."""


class Prediction(NamedTuple):  # there are many, and dataclasses take thrice as long to make
    """What a model said about one test clip; classes are indices, `confidence` 0 to 1."""

    clip_id: str
    subject: str
    label: int
    prediction: int
    confidence: float | None

    @property
    def right(self) -> bool:
        """Whether the model named the true class."""
        return self.label == self.prediction


class Epoch(NamedTuple):
    """One epoch of training; None where the row does not say."""

    epoch: int
    train_loss: float | None
    train_accuracy: float | None
    validation_accuracy: float | None


@dataclass(frozen=True)
class Leak:
    """What slipped from training into testing: shares from 0 to 1, None where not said."""

    subject_overlap: float | None = None
    never_tested: float | None = None
    multiply_tested: float | None = None
    test_chose: tuple[str, ...] | None = None


@dataclass(frozen=True)
class FoldRow:
    """One fold's result; texts are empty and numbers None where the row does not say.

    Attributes:
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

    run: str
    place: str
    dataset: str
    set_name: str
    model: str
    recipe: str
    recipe_sha256: str
    protocol: str
    folds_sha256: str
    data_fingerprint: str
    selected_on: str
    device: str
    precision: str
    fold: int | None
    n_folds: int | None
    seed: int | None
    selected_epoch: int | None
    epochs: int | None
    n_train: int | None
    n_test: int | None
    parameters: int | None
    accuracy: float | None
    uar: float | None
    macro_f1: float | None
    chance: float | None
    majority: float | None
    collapsed: bool | None
    train_seconds: float | None
    test_seconds: float | None
    ece: float | None = None
    anytime: tuple[float, ...] = ()
    energy: RowEnergy | None = None
    energy_note: str = ""
    labels_sha256: str = ""
    model_sha256: str = ""
    split_kind: str = ""
    split_seed: int | None = None
    classes: tuple[str, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    predictions: tuple[Prediction, ...] = ()
    curve: tuple[Epoch, ...] = ()
    leak: Leak = Leak()
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


_TELLING = ("model", "accuracy", "confusion", "predictions")
"""A row without any of these says nothing that a report could show."""


def read_rows(path: Path, run: str) -> tuple[list[FoldRow], list[str]]:
    """Read a run's rows.

    Args:
        path: a `rows.jsonl`.
        run: the run's name, for rows that do not name it and for messages.

    Returns:
        The rows, and what could not be used, in words.
    """
    rows: list[FoldRow] = []
    problems: list[str] = []
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = f"run {run}, line {number}"
        try:
            found = json.loads(line.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            # a line end is written with its line, so a last line without one was cut
            cut = number == len(lines)
            what = "the last line is cut short" if cut else f"not JSON ({error})"
            problems.append(f"{place}: {what}; it is left out.")
            continue
        if not isinstance(found, dict) or not any(found.get(name) for name in _TELLING):
            problems.append(f"{place}: not a result row; it is left out.")
            continue
        row = parse_row(found, run, place)
        rows.append(row)
        problems += [f"{place}: {problem}" for problem in row.problems]
    return rows, problems


def parse_row(found: Mapping[str, Any], run: str, place: str) -> FoldRow:
    """Make a row of what a line of `rows.jsonl` holds; nothing in it is an error."""
    problems: list[str] = []
    values = _Values(found, problems)
    version = found.get("format")
    if isinstance(version, int) and version > _KNOWN_FORMAT:
        problems.append(f"it has format {version}, newer than this evfer knows.")
    classes = tuple(_text(name) for name in values.items("classes"))
    confusion = _confusion(found.get("confusion"), problems)
    predictions = tuple(_predictions(values.items("predictions"), problems))
    n_classes = max(
        [len(classes), len(confusion)]
        + [max(said.label, said.prediction) + 1 for said in predictions]
    )
    classes += tuple(f"class {index}" for index in range(len(classes), n_classes))
    accuracy = values.share("accuracy")
    made = found.get("split")
    split = _Values(made if isinstance(made, dict) else {}, problems)
    if not confusion and predictions:
        confusion = _count(predictions, n_classes)
    if confusion:
        confusion = _widen(confusion, n_classes)
    problems += _disagreements(accuracy, confusion, predictions)
    return FoldRow(
        run=values.text("run") or run,
        place=place,
        dataset=values.text("dataset"),
        set_name=values.text("set") or values.text("dataset") or "unnamed set",
        model=values.text("model") or "unnamed model",
        recipe=values.text("recipe"),
        recipe_sha256=values.text("recipe_sha256"),
        protocol=values.text("protocol") or "unnamed protocol",
        folds_sha256=values.text("folds_sha256"),
        data_fingerprint=values.text("data_fingerprint"),
        selected_on=values.text("selected_on"),
        device=values.text("device"),
        precision=values.text("precision"),
        fold=values.whole("fold"),
        n_folds=values.whole("n_folds"),
        seed=values.whole("seed"),
        selected_epoch=values.whole("selected_epoch"),
        epochs=values.whole("epochs"),
        n_train=values.whole("n_train"),
        n_test=values.whole("n_test"),
        parameters=values.whole("parameters"),
        accuracy=accuracy,
        uar=values.share("uar"),
        macro_f1=values.share("macro_f1"),
        chance=values.share("chance"),
        majority=values.share("majority"),
        collapsed=found["collapsed"] if isinstance(found.get("collapsed"), bool) else None,
        train_seconds=values.number("train_seconds"),
        test_seconds=values.number("test_seconds"),
        ece=values.share("ece"),
        anytime=_shares(values.items("anytime")),
        energy=parse_energy(found.get("energy")),
        energy_note=values.text("energy_note"),
        labels_sha256=values.text("labels_sha256"),
        model_sha256=values.text("model_sha256"),
        split_kind=split.text("kind"),
        split_seed=split.whole("seed"),
        classes=classes,
        confusion=confusion,
        predictions=predictions,
        curve=tuple(_curve(values.items("curve"))),
        leak=_leak(found.get("leak")),
        versions=_texts(found.get("versions")),
        machine=_texts(found.get("machine")),
        problems=tuple(problems),
    )


class _Values:
    """A mapping read with patience."""

    def __init__(self, found: Mapping[str, Any], problems: list[str]) -> None:
        self.found, self.problems = found, problems

    def text(self, name: str) -> str:
        value = self.found.get(name)
        known = isinstance(value, str) or _number(value) is not None
        return _text(value) if known else ""

    def number(self, name: str) -> float | None:
        value = self.found.get(name)
        number = _number(value)
        if number is None and value is not None:
            self.problems.append(f'{name} is "{shorten(str(value), 40)}", no finite number.')
        return number

    def share(self, name: str) -> float | None:
        number = self.number(name)
        if number is not None and not 0 <= number <= 1:
            self.problems.append(f"{name} is {number:g}, no share from 0 to 1.")
            return None
        return number

    def whole(self, name: str) -> int | None:
        number = _number(self.found.get(name))
        ok = number is not None and number == int(number) and abs(number) < 2**53
        return int(number) if ok and number is not None else None

    def items(self, name: str) -> Sequence[Any]:
        value = self.found.get(name)
        return value if isinstance(value, list) else ()


def _text(value: Any) -> str:
    return _clean(str(value))


@functools.lru_cache(maxsize=65536)
def _clean(text: str) -> str:
    # the names of clips and people come again and again
    return shorten(text, _LONGEST_NAME)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _share(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and 0 <= number <= 1 else None


def _shares(items: Sequence[Any]) -> tuple[float, ...]:
    found = [_share(item) for item in items[:_MOST_STEPS]]
    # with one step missing, the others would stand in the wrong place
    return tuple(share for share in found if share is not None) if None not in found else ()


def _texts(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {}
    return {_text(name): _text(item) for name, item in value.items()}


def _class_index(value: Any) -> int | None:
    ok = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_CLASSES
    return value if ok else None


def _confusion(value: Any, problems: list[str]) -> tuple[tuple[int, ...], ...]:
    if value is None or value == []:
        return ()
    if not _is_square(value):
        problems.append("its confusion matrix is not a square of counts.")
        return ()
    return tuple(tuple(row) for row in value)


def _is_square(value: Any) -> bool:
    if not isinstance(value, list) or len(value) > _MOST_CLASSES:
        return False
    return all(
        isinstance(row, list)
        and len(row) == len(value)
        and all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2**53 for n in row)
        for row in value
    )


def _widen(counts: tuple[tuple[int, ...], ...], size: int) -> tuple[tuple[int, ...], ...]:
    extra = size - len(counts)
    return tuple([*((*row, *(0,) * extra) for row in counts), *((0,) * size,) * extra])


def _count(predictions: Iterable[Prediction], size: int) -> tuple[tuple[int, ...], ...]:
    counts = [[0] * size for _ in range(size)]
    for said in predictions:
        counts[said.label][said.prediction] += 1
    return tuple(tuple(row) for row in counts)


def _predictions(items: Iterable[Any], problems: list[str]) -> Iterable[Prediction]:
    unusable = 0
    for item in items:
        said = item if isinstance(item, dict) else {}
        label, prediction = _class_index(said.get("label")), _class_index(said.get("prediction"))
        if label is None or prediction is None:
            unusable += 1
            continue
        confidence = _share(said.get("confidence"))
        yield Prediction(
            _text(said.get("clip_id", "")),
            _text(said.get("subject", "")),
            label,
            prediction,
            confidence,
        )
    if unusable:
        problems.append(f"{unusable} of its predictions cannot be read.")


def _curve(items: Iterable[Any]) -> Iterable[Epoch]:
    for item in items:
        epoch = _number(item.get("epoch")) if isinstance(item, dict) else None
        if epoch is not None:
            names = ("train_loss", "train_accuracy", "validation_accuracy")
            yield Epoch(int(epoch), *(_number(item.get(name)) for name in names))


def _leak(value: Any) -> Leak:
    if not isinstance(value, dict):
        return Leak()
    chose = value.get("test_chose")
    return Leak(
        _share(value.get("subject_overlap")),
        _share(value.get("never_tested")),
        _share(value.get("multiply_tested")),
        tuple(_text(name) for name in chose) if isinstance(chose, list) else None,
    )


def _disagreements(
    accuracy: float | None,
    confusion: tuple[tuple[int, ...], ...],
    predictions: Sequence[Prediction],
) -> Iterable[str]:
    """Say where a row's own numbers contradict one another."""
    if accuracy is None:
        return
    total = sum(map(sum, confusion))
    if total:
        counted = sum(row[index] for index, row in enumerate(confusion)) / total
        if abs(counted - accuracy) > 1e-6:
            yield f"it states an accuracy of {accuracy:.1%}, its confusion matrix {counted:.1%}."
    if predictions:
        counted = sum(said.right for said in predictions) / len(predictions)
        if abs(counted - accuracy) > 1e-6:
            yield f"it states an accuracy of {accuracy:.1%}, its predictions {counted:.1%}."
