"""Which figures a report draws, under names that are short, plain and each only once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from evfer.report.draw.diagnostics import (
    anytime_figure,
    calibration_figure,
    energy_figure,
    subject_figure,
)
from evfer.report.draw.drawing import Figure, colour_of
from evfer.report.draw.figures import confusion_figure, curve_figure, score_figure
from evfer.report.draw.spike_maps import SpikeMaps, spike_figure
from evfer.report.draw.study_figures import effects_figure, sets_figure, steps_figure
from evfer.report.read.comparison import Comparison
from evfer.report.read.setting import Setting
from evfer.report.read.studies import AugmentationStudy, holds_only_studies

__all__ = ["ComparisonFigures", "Gallery", "StudyFigures", "draw_all"]

_MOST_COMPARISONS = 12
_MOST_EACH = 6
"""Settings of a comparison that get a confusion matrix and learning curves of their own."""
_MOST_OWN = 24
"""Such figures in all; drawing one takes a third of a second."""


@dataclass(frozen=True)
class ComparisonFigures:
    """An comparison's figures; those of its own for each of the best settings."""

    scores: Figure | None = None
    confusion: tuple[Figure, ...] = ()
    curves: tuple[Figure, ...] = ()
    anytime: Figure | None = None
    subjects: Figure | None = None
    calibration: Figure | None = None
    energy: Figure | None = None

    @property
    def all(self) -> list[Figure]:
        """Every figure."""
        single = (self.scores, self.anytime, self.subjects, self.calibration, self.energy)
        return [*(figure for figure in single if figure), *self.confusion, *self.curves]


@dataclass(frozen=True)
class StudyFigures:
    """A study's figures."""

    sets: Figure
    effects: Figure | None
    steps: Figure | None

    @property
    def all(self) -> list[Figure]:
        """Every figure."""
        return [figure for figure in (self.sets, self.effects, self.steps) if figure]


@dataclass(frozen=True)
class Gallery:
    """Every figure of a report.

    Args:
        comparisons: of each comparison.
        studies: of each study.
        spike_maps: where networks fired.
        notes: what was left out, in sentences.
    """

    comparisons: tuple[ComparisonFigures, ...]
    studies: tuple[StudyFigures, ...] = ()
    spike_maps: tuple[Figure, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def all(self) -> list[Figure]:
        """Every figure."""
        found = [figure for comparison in self.comparisons for figure in comparison.all]
        found += [figure for study in self.studies for figure in study.all]
        return [*found, *self.spike_maps]


def draw_all(
    comparisons: Sequence[Comparison], studies: Sequence[AugmentationStudy], spike_maps: SpikeMaps
) -> Gallery:
    """Draw every figure.

    Args:
        comparisons: what was tested.
        studies: sets of augmentations compared.
        spike_maps: what networks did on a few clips.
    """
    names, colours = _Names(), colour_of(comparisons)
    notes = []
    if len(comparisons) > _MOST_COMPARISONS:
        notes.append(
            f"Figures are of the first {_MOST_COMPARISONS} of {len(comparisons)} data sets."
        )
    left = _MOST_OWN
    drawn, skipped = [], 0
    for comparison in comparisons[:_MOST_COMPARISONS]:
        where = (comparison.set_name, comparison.protocol)
        own = _own_figures(comparison, studies)[: min(_MOST_EACH, left)]
        skipped += len(comparison.settings) - len(own)
        left -= len(own)

        def name(kind: str, place: tuple[str, str] = where) -> str:
            return names.take(kind, *place)

        drawn.append(
            ComparisonFigures(
                None  # the study's own figure shows all of them
                if holds_only_studies(comparison, studies)
                else score_figure(comparison, name("accuracy"), colours),
                _each(own, "confusion", confusion_figure, comparison, names),
                _each(own, "curves", curve_figure, comparison, names),
                anytime_figure(comparison, name("anytime"), colours),
                subject_figure(comparison, name("subjects"), colours),
                calibration_figure(comparison, name("calibration"), colours),
                energy_figure(comparison, name("energy"), colours),
            )
        )
    if skipped:
        notes.append(
            f"{skipped} sets of results that are not among the best have no confusion matrix and "
            "no learning curves here; the tables beside this page hold their numbers."
        )
    drawn += [ComparisonFigures()] * (len(comparisons) - len(drawn))
    return Gallery(
        tuple(drawn),
        tuple(_study(study, names) for study in studies[:_MOST_COMPARISONS]),
        tuple(
            spike_figure(
                comparison, setting, shown, names.take("spikes", comparison.set_name, setting.name)
            )
            for comparison, setting, shown in spike_maps.found
        ),
        tuple(notes),
    )


def _own_figures(comparison: Comparison, studies: Sequence[AugmentationStudy]) -> list[Setting]:
    """Give the settings that get figures of their own: of each study only its best variant."""
    hidden = {
        variant.setting.name
        for study in studies
        if study.comparison is comparison
        for variant in study.variants[1:]
    }
    return [setting for setting in comparison.settings if setting.name not in hidden]


def _each(
    settings: Iterable[Setting],
    kind: str,
    draw: Callable[[Setting, str, str], Figure | None],
    comparison: Comparison,
    names: _Names,
) -> tuple[Figure, ...]:
    found = (
        draw(
            setting,
            comparison.name,
            names.take(kind, comparison.set_name, comparison.protocol, setting.name),
        )
        for setting in settings
        if kind != "confusion" or setting.confusion.sum()
    )
    return tuple(figure for figure in found if figure)


def _study(study: AugmentationStudy, names: _Names) -> StudyFigures:
    where = (study.comparison.set_name, study.comparison.protocol, study.model)
    return StudyFigures(
        sets_figure(study, names.take("augmentations", *where)),
        effects_figure(study, names.take("effects", *where)),
        steps_figure(study, names.take("steps", *where)),
    )


class _Names:
    """File names from names in the data: short, plain and each only once."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    def take(self, *words: str) -> str:
        plain = [re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-")[:32] for word in words]
        base = name = "-".join(word for word in plain if word)
        number = 2
        while name in self.taken:
            name, number = f"{base}-{number}", number + 1
        self.taken.add(name)
        return name
