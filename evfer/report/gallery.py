"""Which figures a report draws, under names that are short, plain and each only once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from evfer.report.diagnostics import (
    anytime_figure,
    calibration_figure,
    energy_figure,
    subject_figure,
)
from evfer.report.drawing import Figure, seats
from evfer.report.figures import confusion_figure, curve_figure, score_figure
from evfer.report.looking import Looks, look_figure
from evfer.report.studies import AugmentationStudy, holds_only_studies
from evfer.report.study_figures import effects_figure, sets_figure, steps_figure
from evfer.report.summary import Arena, Group

__all__ = ["ArenaFigures", "Gallery", "StudyFigures", "draw_all"]

_MOST_ARENAS = 12
_MOST_EACH = 6
"""Groups of an arena that get a confusion matrix and learning curves of their own."""
_MOST_OWN = 24
"""Such figures in all; drawing one takes a third of a second."""


@dataclass(frozen=True)
class ArenaFigures:
    """An arena's figures; those of its own for each of the best groups."""

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
        arenas: of each arena.
        studies: of each study.
        looks: where networks fired.
        notes: what was left out, in sentences.
    """

    arenas: tuple[ArenaFigures, ...]
    studies: tuple[StudyFigures, ...] = ()
    looks: tuple[Figure, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def all(self) -> list[Figure]:
        """Every figure."""
        found = [figure for arena in self.arenas for figure in arena.all]
        found += [figure for study in self.studies for figure in study.all]
        return [*found, *self.looks]


def draw_all(
    arenas: Sequence[Arena], studies: Sequence[AugmentationStudy], looks: Looks
) -> Gallery:
    """Draw every figure.

    Args:
        arenas: what was tested.
        studies: sets of augmentations compared.
        looks: what networks did on a few clips.
    """
    names, colours = _Names(), seats(arenas)
    notes = []
    if len(arenas) > _MOST_ARENAS:
        notes.append(f"Figures are of the first {_MOST_ARENAS} of {len(arenas)} data sets.")
    left = _MOST_OWN
    drawn, skipped = [], 0
    for arena in arenas[:_MOST_ARENAS]:
        where = (arena.set_name, arena.protocol)
        own = _own_figures(arena, studies)[: min(_MOST_EACH, left)]
        skipped += len(arena.groups) - len(own)
        left -= len(own)

        def name(kind: str, place: tuple[str, str] = where) -> str:
            return names.take(kind, *place)

        drawn.append(
            ArenaFigures(
                None  # the study's own figure shows all of them
                if holds_only_studies(arena, studies)
                else score_figure(arena, name("accuracy"), colours),
                _each(own, "confusion", confusion_figure, arena, names),
                _each(own, "curves", curve_figure, arena, names),
                anytime_figure(arena, name("anytime"), colours),
                subject_figure(arena, name("subjects"), colours),
                calibration_figure(arena, name("calibration"), colours),
                energy_figure(arena, name("energy"), colours),
            )
        )
    if skipped:
        notes.append(
            f"{skipped} sets of results that are not among the best have no confusion matrix and "
            "no learning curves here; the tables beside this page hold their numbers."
        )
    drawn += [ArenaFigures()] * (len(arenas) - len(drawn))
    return Gallery(
        tuple(drawn),
        tuple(_study(study, names) for study in studies[:_MOST_ARENAS]),
        tuple(
            look_figure(arena, group, shown, names.take("spikes", arena.set_name, group.name))
            for arena, group, shown in looks.found
        ),
        tuple(notes),
    )


def _own_figures(arena: Arena, studies: Sequence[AugmentationStudy]) -> list[Group]:
    """Give the groups that get figures of their own: of each study only its best variant."""
    hidden = {
        variant.group.name
        for study in studies
        if study.arena is arena
        for variant in study.variants[1:]
    }
    return [group for group in arena.groups if group.name not in hidden]


def _each(
    groups: Iterable[Group],
    kind: str,
    draw: Callable[[Group, str, str], Figure | None],
    arena: Arena,
    names: _Names,
) -> tuple[Figure, ...]:
    found = (
        draw(group, arena.name, names.take(kind, arena.set_name, arena.protocol, group.name))
        for group in groups
        if kind != "confusion" or group.confusion.sum()
    )
    return tuple(figure for figure in found if figure)


def _study(study: AugmentationStudy, names: _Names) -> StudyFigures:
    where = (study.arena.set_name, study.arena.protocol, study.model)
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
