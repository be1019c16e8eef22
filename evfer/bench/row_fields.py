"""Fields of a result row, read with patience.

Rows may come from an older or newer evfer, from a run that was killed, or from someone else: a
field that is missing or makes no sense is left out and told about, and never stops a reader.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from evfer.pictures.text import shorten

__all__ = [
    "ConfusionCounts",
    "Epoch",
    "FieldReader",
    "Leak",
    "Prediction",
    "RowEnergy",
    "contradictions",
    "count_confusion",
    "parse_energy",
    "widen_confusion",
]

_LONGEST_NAME = 200
_MOST_STEPS = 1000
_MOST_CLASSES = 1000
"""A class index beyond this is damage, and would ask for a matrix that fills the memory."""

ConfusionCounts = tuple[tuple[int, ...], ...]
"""Rows true, columns predicted."""


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
    """What slipped from training into testing: shares from 0 to 1, None where not said.

    `alike` are groups of people on both sides of a fold who may be one, by their names.
    """

    subject_overlap: float | None = None
    never_tested: float | None = None
    multiply_tested: float | None = None
    test_chose: tuple[str, ...] | None = None
    alike: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class RowEnergy:
    """What a clip costs, in millijoules; None where a row does not say.

    A row's field `energy` is `evfer.energy.EnergyReport.summary()`: means over the clips of its
    fold.

    Attributes:
        clips: clips that were counted.
        dense_macs: products of a dense computation of all steps.
        macs: multiply-accumulations that happen.
        acs: accumulations that happen.
        rate_per_step: spikes a neuron and step.
        rate_total: spikes a neuron and clip.
        full_mj: everything that happens, whole numbers as several accumulations.
        full_mac_mj: the same, with one multiply-accumulation for each whole number.
        memory_mj: reading weights.
        paper_ann_mj: the paper's formula, network without spikes.
        paper_snn_mj: the paper's formula, spiking network.
        legacy_ann_mj: the published development code's formula, network without spikes.
        legacy_snn_mj: the same, spiking network.
        dense_ann_mj: every product of a network without spikes.
        sparse_ann_mj: its products with inputs that are not zero.
        int8_ann_mj: every product, in 8-bit whole numbers.
        twin: the network without spikes that those are of; empty for the layers of its own.
    """

    clips: float | None = None
    dense_macs: float | None = None
    macs: float | None = None
    acs: float | None = None
    rate_per_step: float | None = None
    rate_total: float | None = None
    full_mj: float | None = None
    full_mac_mj: float | None = None
    memory_mj: float | None = None
    paper_ann_mj: float | None = None
    paper_snn_mj: float | None = None
    legacy_ann_mj: float | None = None
    legacy_snn_mj: float | None = None
    dense_ann_mj: float | None = None
    sparse_ann_mj: float | None = None
    int8_ann_mj: float | None = None
    twin: str = ""


_ENERGY_NUMBERS = tuple(name for name in RowEnergy.__dataclass_fields__ if name != "twin")
_ENERGY_TABLES = {"paper": ("ann_mj", "snn_mj"), "legacy": ("ann_mj", "snn_mj")}
_ENERGY_BASELINES = ("dense_ann_mj", "sparse_ann_mj", "int8_ann_mj")


class FieldReader:
    """A mapping read with patience; what cannot be used becomes a sentence of `problems`."""

    def __init__(self, stored: Mapping[str, Any], problems: list[str]) -> None:
        self.stored, self.problems = stored, problems

    def text(self, name: str) -> str:
        """Give a text or a number as text; else an empty one."""
        value = self.stored.get(name)
        known = isinstance(value, str) or _number(value) is not None
        return _text(value) if known else ""

    def texts(self, name: str) -> dict[str, str]:
        """Give a table of texts."""
        value = self.stored.get(name)
        if not isinstance(value, Mapping):
            return {}
        return {_text(key): _text(item) for key, item in value.items()}

    def names(self, name: str) -> tuple[str, ...]:
        """Give a list of names."""
        return tuple(_text(item) for item in self.items(name))

    def number(self, name: str) -> float | None:
        """Give a finite number."""
        value = self.stored.get(name)
        number = _number(value)
        if number is None and value is not None:
            self.problems.append(f'{name} is "{shorten(str(value), 40)}", no finite number.')
        return number

    def share(self, name: str) -> float | None:
        """Give a number from 0 to 1."""
        number = self.number(name)
        if number is not None and not 0 <= number <= 1:
            self.problems.append(f"{name} is {number:g}, no share from 0 to 1.")
            return None
        return number

    def shares(self, name: str) -> tuple[float, ...]:
        """Give numbers from 0 to 1; none where one of them cannot be read."""
        shares = [_share(item) for item in self.items(name)[:_MOST_STEPS]]
        # with one step missing, the others would stand in the wrong place
        return tuple(share for share in shares if share is not None) if None not in shares else ()

    def whole(self, name: str) -> int | None:
        """Give a whole number."""
        number = _number(self.stored.get(name))
        ok = number is not None and number == int(number) and abs(number) < 2**53
        return int(number) if ok and number is not None else None

    def flag(self, name: str) -> bool | None:
        """Give whether something is so."""
        value = self.stored.get(name)
        return value if isinstance(value, bool) else None

    def items(self, name: str) -> Sequence[Any]:
        """Give a list's items as they are."""
        value = self.stored.get(name)
        return value if isinstance(value, list) else ()

    def table(self, name: str) -> FieldReader:
        """Give a reader of a table inside."""
        value = self.stored.get(name)
        return FieldReader(value if isinstance(value, dict) else {}, self.problems)

    def confusion(self, name: str) -> ConfusionCounts:
        """Give a square of counts; empty where it is none."""
        value = self.stored.get(name)
        if value is None or value == []:
            return ()
        if not _is_square(value):
            self.problems.append("its confusion matrix is not a square of counts.")
            return ()
        return tuple(tuple(row) for row in value)

    def predictions(self, name: str) -> tuple[Prediction, ...]:
        """Give what was said about test clips."""
        read = [_prediction(item) for item in self.items(name)]
        unusable = read.count(None)
        if unusable:
            self.problems.append(f"{unusable} of its predictions cannot be read.")
        return tuple(item for item in read if item is not None)

    def curve(self, name: str) -> tuple[Epoch, ...]:
        """Give the epochs of a training."""
        names = ("train_loss", "train_accuracy", "validation_accuracy")
        numbered = [
            (_number(item.get("epoch")), item)
            for item in self.items(name)
            if isinstance(item, dict)
        ]
        return tuple(
            Epoch(int(epoch), *(_number(item.get(name)) for name in names))
            for epoch, item in numbered
            if epoch is not None
        )

    def leak(self, name: str) -> Leak:
        """Give what slipped into testing."""
        value = self.stored.get(name)
        if not isinstance(value, dict):
            return Leak()
        chose, alike = value.get("test_chose"), value.get("alike")
        return Leak(
            _share(value.get("subject_overlap")),
            _share(value.get("never_tested")),
            _share(value.get("multiply_tested")),
            tuple(_text(item) for item in chose) if isinstance(chose, list) else None,
            tuple(
                tuple(_text(name) for name in group)
                for group in (alike if isinstance(alike, list) else ())
                if isinstance(group, list)
            ),
        )


def parse_energy(value: Any) -> RowEnergy | None:
    """Read a row's field `energy`; None where it says nothing that can be used."""
    if not isinstance(value, Mapping):
        return None
    flat = dict(value)
    for table, names in _ENERGY_TABLES.items():
        inside = _table(value.get(table))
        flat |= {f"{table}_{name}": inside.get(name) for name in names}
    baselines = _table(value.get("baselines"))
    flat |= {name: baselines.get(name) for name in _ENERGY_BASELINES}
    numbers = {name: _amount(flat.get(name)) for name in _ENERGY_NUMBERS}
    if not any(number is not None for name, number in numbers.items() if name != "clips"):
        return None
    twin = value.get("twin")
    return RowEnergy(**numbers, twin=_text(twin) if isinstance(twin, str) else "")


def count_confusion(predictions: Iterable[Prediction], size: int) -> ConfusionCounts:
    """Count predictions of so many classes."""
    counts = [[0] * size for _ in range(size)]
    for item in predictions:
        counts[item.label][item.prediction] += 1
    return tuple(tuple(row) for row in counts)


def widen_confusion(counts: ConfusionCounts, size: int) -> ConfusionCounts:
    """Add classes without any clip, up to so many."""
    extra = size - len(counts)
    return tuple([*((*row, *(0,) * extra) for row in counts), *((0,) * size,) * extra])


def contradictions(
    accuracy: float | None, confusion: ConfusionCounts, predictions: Sequence[Prediction]
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
        counted = sum(item.right for item in predictions) / len(predictions)
        if abs(counted - accuracy) > 1e-6:
            yield f"it states an accuracy of {accuracy:.1%}, its predictions {counted:.1%}."


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


def _amount(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and number >= 0 else None


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _class_index(value: Any) -> int | None:
    ok = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_CLASSES
    return value if ok else None


def _is_square(value: Any) -> bool:
    if not isinstance(value, list) or len(value) > _MOST_CLASSES:
        return False
    return all(
        isinstance(row, list)
        and len(row) == len(value)
        and all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2**53 for n in row)
        for row in value
    )


def _prediction(item: Any) -> Prediction | None:
    if not isinstance(item, dict):
        return None
    label, prediction = _class_index(item.get("label")), _class_index(item.get("prediction"))
    if label is None or prediction is None:
        return None
    return Prediction(
        _text(item.get("clip_id", "")),
        _text(item.get("subject", "")),
        label,
        prediction,
        _share(item.get("confidence")),
    )
