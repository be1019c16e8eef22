"""What MMI's small XML files say: a clip's emotion and which side of the face it shows.

    session.xml    <track view="0" .../>                     0 front, 1 profile, 2 both side by side
    S001-103.xml   <Metatag Name="Emotion" Value="4"/>       1 to 6; larger values are other states

The files come from an archive that users hand on, so none is trusted: entities, by which a small
file can grow without bounds or name others, are refused, and nothing outside is ever loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias
from xml.parsers import expat

from evfer.datasets.base import SkipKind, expression
from evfer.errors import SourceError

__all__ = ["EMOTIONS", "Emotion", "Shown", "read_elements", "read_emotion", "read_view"]

Shown: TypeAlias = Literal["frontal", "profile", "dual", "unknown"]

EMOTIONS: Mapping[int, str] = {
    1: "anger",
    2: "disgust",
    3: "fear",
    4: "happy",
    5: "sadness",
    6: "surprise",
}
"""MMI's values of `Emotion`, which are not the shared codes."""

_VIEWS: Mapping[str, Shown] = {"0": "frontal", "1": "profile", "2": "dual"}
_LARGEST = 2**20  # bytes; the real files have a few thousand

Element: TypeAlias = tuple[str, Mapping[str, str]]


@dataclass(frozen=True)
class Emotion:
    """A clip's label, or why it has none.

    Args:
        name: the shared name of the expression; empty if there is none.
        reason: why there is none.
        kind: what kind of reason.
    """

    name: str = ""
    reason: str = ""
    kind: SkipKind = "unlabelled"


def read_elements(path: Path) -> tuple[Element, ...]:
    """Read an XML file's elements in order, each as its name and attributes.

    Returns:
        Names of elements and attributes in small letters, without a prefix.

    Raises:
        SourceError: if the file cannot be read, is no XML, is too large or declares entities.
    """
    elements: list[Element] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        elements.append((_plain(tag), {_plain(key): value for key, value in attributes.items()}))

    def refuse(*_: object) -> None:
        raise SourceError(
            f"{path}: declares entities", expected="plain XML", hint="Is it the original file?"
        )

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EntityDeclHandler = refuse
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise SourceError(f"{path}: larger than 1 MiB", expected="a small XML file")
        parser.Parse(content, True)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}", expected="an XML file") from error
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise SourceError(f"{path}: no XML ({error})", expected="a whole XML file") from error
    return tuple(elements)


def _plain(name: str) -> str:
    return name.rpartition(":")[2].casefold()


def read_view(path: Path) -> Shown:
    """Give the view that a `session.xml` names first.

    Raises:
        SourceError: see `read_elements`.
    """
    views = [
        values["view"] for tag, values in read_elements(path) if tag == "track" and "view" in values
    ]
    return _VIEWS.get(views[0].strip(), "unknown") if views else "unknown"


def read_emotion(path: Path) -> Emotion:
    """Give the label that a clip's own XML file holds; it is found by its name, not its place."""
    try:
        elements = read_elements(path)
    except SourceError as error:
        reason = error.found.replace(str(path), path.name, 1)
        return Emotion(reason=reason, kind="unreadable")
    values = {
        values.get("value", "").strip()
        for tag, values in elements
        if tag == "metatag" and values.get("name", "").strip().casefold() == "emotion"
    }
    if not values - {""}:
        return Emotion(reason=f"no Emotion in {path.name}: a display of other movements")
    answers = {_interpret(value) for value in values - {""}}
    if len(answers) > 1:
        listed = " and ".join(sorted(values - {""}))
        return Emotion(reason=f"two emotions in {path.name}: {listed}", kind="doubled")
    (answer,) = answers
    if answer in EMOTIONS.values():
        return Emotion(answer)
    reason = f"Emotion {answer} in {path.name} is none of 1 to 6"
    return Emotion(reason=reason, kind="deselected" if answer.isdecimal() else "odd")


def _interpret(value: str) -> str:
    """Give the shared name of an emotion, or the value as written if it stands for none."""
    try:
        number = float(value)
    except ValueError:
        return expression(value) or value[:40]
    return EMOTIONS.get(int(number), value) if number.is_integer() else value
