"""Cards: what is known of a data set before anybody looks at it, from `manifests/<name>.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from evfer import config
from evfer.errors import ConfigError

__all__ = ["Card", "Published", "Range", "find", "find_by_set"]

Range = Literal["full", "to-apex"]


@dataclass(frozen=True)
class Published:
    """What the fold file of Spiking-FER holds for a data set.

    Args:
        clips: its rows.
        subjects: people among them.
        drawn: number of rows the folds were drawn over, `clips` plus those deleted later.
        deleted: position of the row that was deleted after the draw, or -1.
        counts: rows a label.
        note: how its ids meet the data set's own, in a sentence.
    """

    clips: int
    subjects: int
    drawn: int
    deleted: int = -1
    counts: Mapping[str, int] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Card:
    """A data set's card.

    Args:
        name: what the user writes after --dataset.
        set: name of the set's folder.
        title: the full name.
        about: a line for `evfer list`.
        layout: what the source looks like, a tree over several lines.
        access: where one asks for the data.
        licence: under what terms it is lent.
        citation: what to cite.
        labels: label names, in the order of their codes.
        counts: clips a label in a whole copy; empty where nobody can know.
        clips: clips in a whole copy, or 0.
        subjects: people in a whole copy, or 0.
        fps: frames a second, or 0 where each clip says it.
        range: what part of a clip the benchmark takes.
        recipe: the recipe for benching that fits the set, or nothing for the model's own.
        published: what the published folds hold, or None.
    """

    name: str
    set: str
    title: str
    about: str
    layout: str
    access: str
    licence: str = ""
    citation: str = ""
    labels: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    clips: int = 0
    subjects: int = 0
    fps: float = 0.0
    range: Range = "full"
    recipe: str = ""
    published: Published | None = None


def find(name: str) -> Card | None:
    """Read a data set's card, or give None for a set that ships without one."""
    try:
        values = config.read_toml(config.find_shipped("manifests", name))
    except ConfigError:
        return None
    return config.build(Card, values, "card")


def find_by_set(set_name: str) -> Card | None:
    """Find the card of a set by the name of its folder."""
    cards = map(find, config.list_shipped("manifests"))
    return next((card for card in cards if card and card.set == set_name), None)
