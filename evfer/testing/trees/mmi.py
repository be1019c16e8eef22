"""A miniature copy of MMI: sessions with their XML files, clips lying down and side by side."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evfer.events import SensorSize
from evfer.heads import make_person, plan_clip, render_frames
from evfer.testing.trees.base import Tree, draw, encode, write_bytes, write_video

__all__ = ["TREE", "draw_turned"]

_PAL = SensorSize(720, 576)
_LYING = SensorSize(576, 720)
_NEW = SensorSize(720, 480)
_HALF = SensorSize(360, 480)
_PROFILE_DEG = 80.0
_ARCHIVE = "mmi-facial-expression-database_download_2019-05-13_03_06_41"


@dataclass(frozen=True)
class _Session:
    """A session: number, clip, its Emotion or None, its view or None, how its picture is stored."""

    number: int
    sid: str
    emotion: str | None
    view: int | None
    stored: str
    person: int = 0
    shows: str = "happy"
    units: bool = False
    suffix: str = ".avi"


_SESSIONS = (
    _Session(1, "S001-001", None, 0, "upright", units=True),
    _Session(1767, "S001-103", "4", 0, "cw", 0, "happy", units=True, suffix=".AVI"),
    _Session(1768, "S001-116", "6", 0, "upright", 0, "surprise"),
    _Session(1770, "S002-099", "1", 0, "ccw", 1, "anger"),
    _Session(1771, "S002-113", "5", 0, "180", 1, "sadness"),
    _Session(1800, "S003-010", "1", 2, "left", 2, "anger"),
    _Session(1801, "S003-011", "3", 2, "right", 2, "fear"),
    _Session(1802, "S003-012", "5", 1, "profile", 2, "sadness"),
    _Session(1803, "S003-013", "7", 0, "upright", 2, "happy"),
    _Session(1804, "S004-002", "2", None, "lying-cw", 3, "disgust"),
)
_STILL = 2200

_VARIANTS = {
    "plain": "a folder with Sessions inside, stills and other states among them",
    "archive": "in a folder of the archive's name, the source two above it",
    "sessions": "the source is the folder of sessions itself",
    "one-session": "the source is one session, a level too deep",
    "capitals": "all names in capitals",
    "litter": "with what systems leave behind, and empty folders",
}
_FAULTS = {
    "flat": "clips and labels in one folder, without any session.xml",
    "mpeg": "clips as MPEG files",
    "doubled": "one clip in two sessions, with one label",
    "two-labels": "one clip in two sessions, with two labels",
    "two-emotions": "a label file with two numbers",
    "words": "labels in words, and one that is none",
    "entities": "a label file that declares entities",
    "broken-xml": "a label file and a session.xml that are cut short",
    "no-label": "a clip without its label file",
    "no-face": "a clip without a face",
    "empty-video": "a clip of no bytes",
    "laughter": "the MAHNOB laughter database, which has the same names",
    "two-archives": "two archives side by side",
    "nothing": "sessions without an emotion",
}


def _make(folder: Path, variant: str, frames: int) -> Path:
    if variant == "flat":
        for session in _SESSIONS:
            if session.view != 1:
                _write_clip(folder / "clips", session, frames)
        return folder
    if variant == "two-archives":
        for name in ("first", "second"):
            _write_session(folder / name / "Sessions", _SESSIONS[2], frames)
        return folder
    if variant == "laughter":
        _write_session(folder / "Sessions", _SESSIONS[0], frames)
        write_bytes(folder / "Sessions/1/S001-001_mic.wav", "RIFF")
        return folder
    if variant == "nothing":
        for session in (_SESSIONS[0], _SESSIONS[8]):
            _write_session(folder / "Sessions", session, frames)
        return folder
    archive = folder / _ARCHIVE if variant == "archive" else folder
    sessions = archive / "Sessions"
    for session in _SESSIONS:
        changed = session
        if variant == "mpeg":
            changed = dataclasses.replace(session, suffix=".mpg")
        elif variant == "words" and session.emotion:
            word = {"4": "Happiness", "6": "surprised", "1": "flummoxed"}.get(session.emotion)
            changed = dataclasses.replace(session, emotion=word or session.emotion)
        _write_session(sessions, changed, frames)
    still = sessions / str(_STILL)
    write_bytes(still / "S005-001.jpg", encode(draw(4, "happy", 2, _LYING)[1], ".jpg"))
    write_bytes(still / "S005-001.xml", _label("4"))
    write_bytes(still / "session.xml", _session(0, "S005-001.jpg"))
    if variant in _CHANGES:
        _CHANGES[variant](sessions)
    if variant == "capitals":
        _capitalise(folder)
        sessions = folder / "SESSIONS"
    elif variant == "litter":
        _litter(folder)
    return {
        "sessions": sessions,
        "one-session": sessions / "1767",
    }.get(variant, folder)


def _write_session(sessions: Path, session: _Session, frames: int) -> None:
    folder = sessions / str(session.number)
    _write_clip(folder, session, frames)
    if session.view is not None:
        write_bytes(folder / "session.xml", _session(session.view, session.sid + session.suffix))
    if session.units:
        write_bytes(folder / f"{session.sid}-oao_aucs.xml", _units(frames))


def _write_clip(folder: Path, session: _Session, frames: int) -> None:
    write_bytes(folder / f"{session.sid}.xml", _label(session.emotion))
    codec = "PIM1" if session.suffix.lower() == ".mpg" else "XVID"
    path = folder / (session.sid + session.suffix)
    write_video(
        path, _draw_stored(session.stored, session.person, session.shows, frames), 25, codec
    )


@functools.lru_cache(maxsize=16)
def _draw_stored(stored: str, person: int, label: str, n_frames: int) -> NDArray[np.uint8]:
    """Draw a clip from neutral to apex and back, as the database stores it."""
    rise = (n_frames + 1) // 2 + 1 if n_frames > 2 else 2
    if stored in ("left", "right", "profile"):
        front = draw(person, label, rise, _HALF)
        side = draw_turned(person, label, rise, _PROFILE_DEG)
        if stored == "profile":
            margin = ((0, 0), (0, 0), (180, 180), (0, 0))
            whole = np.pad(side, margin, mode="edge")
        else:
            pair = (front, side) if stored == "left" else (side, front)
            whole = np.concatenate(pair, axis=2)
    elif stored == "upright":
        whole = draw(person, label, rise, _NEW)
    elif stored == "180":
        whole = draw(person, label, rise, _PAL)[:, ::-1, ::-1]
    else:  # named by the turn that sets the picture upright
        whole = np.rot90(draw(person, label, rise, _LYING), -1 if stored == "ccw" else 1, (1, 2))
    back = whole[::-1][1:]
    return np.ascontiguousarray(np.concatenate([whole, back])[:n_frames])


def draw_turned(person: int, label: str, n_frames: int, degrees: float) -> NDArray[np.uint8]:
    """Draw what a second camera sees, one that stands by some degrees to the side.

    Returns:
        Shape (n, 480, 360, 3), see `draw`.
    """
    who = make_person(0, person)
    plan = plan_clip(who, label, 0, n_frames, n_frames)
    turn = dataclasses.replace(plan.yaw_deg, start=degrees)
    drawn = render_frames(who, dataclasses.replace(plan, yaw_deg=turn), _HALF.width)
    high = (_HALF.height - _HALF.width) // 2
    return np.pad(np.stack(list(drawn)), ((0, 0), (high, high), (0, 0), (0, 0)), mode="edge")


def _label(emotion: str | None) -> str:
    tag = f'<Metatag Name="Emotion" Value="{emotion}"/>' if emotion is not None else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<Metadata>\n'
        '  <Metatag Name="Subject" Value="1"/>\n'
        f"  {tag}\n"
        '  <Metatag Name="Gender" Value="2"/>\n</Metadata>\n'
    )


def _session(view: int, filename: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<session>\n'
        f'  <track filename="{filename}" view="{view}">\n'
        f'    <annotation filename="{Path(filename).stem}.xml"/>\n'
        "  </track>\n</session>\n"
    )


def _units(frames: int) -> str:
    return (
        '<?xml version="1.0"?>\n<Annotation>\n  <ActionUnit Number="12">\n'
        f'    <Marker Frame="1" Type="onset"/><Marker Frame="{frames // 2 + 1}" Type="apex"/>\n'
        "  </ActionUnit>\n</Annotation>\n"
    )


_BOMB = (
    '<?xml version="1.0"?>\n<!DOCTYPE m [<!ENTITY a "4"><!ENTITY b "&a;&a;">]>\n'
    '<m><Metatag Name="Emotion" Value="&b;"/></m>\n'
)


def _copy_clip(sessions: Path, emotion: str) -> None:
    first, again = sessions / "1768", sessions / "1900"
    for name in ("S001-116.avi", "session.xml"):
        write_bytes(again / name, (first / name).read_bytes())
    write_bytes(again / "S001-116.xml", _label(emotion))


def _blank_clip(sessions: Path) -> None:
    frames = np.full((8, _PAL.height, _PAL.width, 3), 90, np.uint8)
    write_video(sessions / "1768/S001-116.avi", frames, 25, "XVID")


def _break_files(sessions: Path) -> None:
    for name in ("1768/S001-116.xml", "1770/session.xml"):
        path = sessions / name
        path.write_bytes(path.read_bytes()[:90])


_CHANGES = {
    "doubled": lambda sessions: _copy_clip(sessions, "6"),
    "two-labels": lambda sessions: _copy_clip(sessions, "2"),
    "two-emotions": lambda sessions: write_bytes(
        sessions / "1768/S001-116.xml",
        _label("6").replace("</Metadata>", '<Metatag Name="Emotion" Value="4"/></Metadata>'),
    ),
    "entities": lambda sessions: write_bytes(sessions / "1768/S001-116.xml", _BOMB),
    "broken-xml": _break_files,
    "no-label": lambda sessions: (sessions / "1768/S001-116.xml").unlink(),
    "no-face": _blank_clip,
    "empty-video": lambda sessions: write_bytes(sessions / "1768/S001-116.avi"),
}


def _capitalise(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), key=lambda path: -len(path.parts)):
        path.rename(path.with_name(path.name.upper()))


def _litter(folder: Path) -> None:
    sessions = folder / "Sessions"
    places: Mapping[str, bytes] = {
        "Sessions/.DS_Store": b"\0",
        "Sessions/1767/Thumbs.db": b"\0",
        "Sessions/1767/._S001-103.AVI": b"\0",
        "__MACOSX/Sessions/1767/._S001-103.avi": b"\0",
        "Sessions/1767/.~lock.S001-103.xml#": b"",
        "Sessions/readme.txt": b"selected on the site",
    }
    for name, content in places.items():
        write_bytes(folder / name, content)
    (sessions / "9999").mkdir()


TREE = Tree(_VARIANTS, _FAULTS, _make)
