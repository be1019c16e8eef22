"""Find one's way in folders that others have unpacked, copied and renamed.

Archives unpack into folders of their own name, disks ignore the case of letters, systems leave
litter, and links may lead round in circles. These helpers live with all that: they only list
folders and read names, and open no picture.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from evfer.errors import SourceError
from evfer.video import IMAGE_SUFFIXES, natural_key

__all__ = [
    "Copy",
    "Frames",
    "Listing",
    "choose_copy",
    "find_anchors",
    "find_frames",
    "is_litter",
    "list_folder",
    "locate",
    "name_some",
    "the_one",
    "walk",
    "warn_gaps",
]

_LITTER = frozenset({"__macosx", "thumbs.db", "desktop.ini", "$recycle.bin", "lost+found"})
_LEVELS_DOWN = 3
_LEVELS_UP = 2
_NAMED = 5
"""As many things as a sentence names before it counts the rest."""


def is_litter(name: str) -> bool:
    """Tell whether a file or folder was left by a system rather than by people.

    Examples:
        >>> [is_litter(name) for name in ("Thumbs.db", "._001.png", "S005")]
        [True, True, False]
    """
    return name.startswith(".") or name.casefold() in _LITTER


@dataclass(frozen=True)
class Listing:
    """What lies in a folder, without litter, each kind in the order of the numbers in the names.

    Args:
        folders: folders, and links to such.
        files: everything else.
    """

    folders: tuple[Path, ...]
    files: tuple[Path, ...]


def list_folder(folder: Path) -> Listing:
    """List a folder.

    Raises:
        SourceError: if it may not be read, or is gone.
    """
    folders: list[Path] = []
    files: list[Path] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not is_litter(entry.name):
                    (folders if _is_folder(entry) else files).append(folder / entry.name)
    except OSError as error:
        raise SourceError(
            f"{folder}: {error.strerror or error}", expected="a folder that can be listed"
        ) from error
    return Listing(_in_order(folders), _in_order(files))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _in_order(paths: Iterable[Path]) -> tuple[Path, ...]:
    # the name itself comes last, since two names may differ in case alone
    return tuple(sorted(paths, key=lambda path: (natural_key(path.name), path.name)))


def walk(
    top: Path,
    depth: int,
    *,
    leave: Collection[Path] = (),
    stop: Callable[[Listing], bool] | None = None,
) -> Iterator[tuple[Path, Listing]]:
    """List a folder and those below it, level by level, each once, whatever links there are.

    Args:
        top: where to start.
        depth: levels below `top`.
        leave: folders that are left out, with all below them.
        stop: tells from what lies in a folder that it is not to be entered.

    Yields:
        A folder and what lies in it; folders that may not be read are passed over.
    """
    seen = {_place(path) for path in leave}
    level = [top]
    for _ in range(depth + 1):
        below: list[Path] = []
        for folder in level:
            place = _place(folder)
            if place in seen:
                continue
            seen.add(place)
            try:
                listing = list_folder(folder)
            except SourceError:
                continue
            yield folder, listing
            if stop is None or not stop(listing):
                below.extend(listing.folders)
        level = below


def _place(path: Path) -> str:
    """Give what tells a folder from every other, by whatever links one came."""
    return os.path.normcase(os.path.realpath(path))


def find_anchors(
    given: Path,
    is_anchor: Callable[[Listing], bool],
    *,
    down: int = _LEVELS_DOWN,
    beside: str = "",
) -> tuple[Path, ...]:
    """Find the folder that a data set's layout hangs on, from one somewhere near it.

    Args:
        given: the folder that the user named.
        is_anchor: tells the folder by what lies in it.
        down: levels to search below.
        beside: a pattern of names of the folders that stand beside it, such as one of labels;
            from there the search starts above.

    Returns:
        All such folders below, none inside another; failing that, the one up to two levels
        above, if there is one.
    """
    found = _search(given, is_anchor, down)
    above = [given.joinpath(*[".."] * k) for k in range(1, _LEVELS_UP + 1)]
    for folder in above if not found else ():
        if is_anchor(_list_anyway(folder)):
            return (folder,)
    for child, folder in zip((given, *above), above, strict=False) if beside else ():
        name = os.path.basename(os.path.realpath(child))
        if not found and re.fullmatch(beside, name, re.IGNORECASE):
            found = _search(folder, is_anchor, down)
    return found


def _search(top: Path, is_anchor: Callable[[Listing], bool], down: int) -> tuple[Path, ...]:
    walked = walk(top, down, stop=is_anchor)
    return tuple(folder for folder, listing in walked if is_anchor(listing))


def _list_anyway(folder: Path) -> Listing:
    try:
        return list_folder(folder)
    except SourceError:
        return Listing((), ())


def the_one(found: Collection[Path], given: Path, what: str, hint: str) -> Path:
    """Take the only one of several folders, or stop and name them.

    Args:
        found: one folder or more.
        given: the folder that the user named.
        what: what each of them is, such as "folders of sequences".
        hint: what the user can do.

    Raises:
        SourceError: if there are several.
    """
    if len(found) > 1:
        listed = name_some(sorted(locate(path, given) for path in found))
        raise SourceError(f"{given}: {len(found)} {what}: {listed}", expected="one", hint=hint)
    return next(iter(found))


def locate(path: Path, source: Path) -> str:
    """Give a path from the source on, with forward slashes; it may lead upwards.

    Examples:
        >>> locate(Path("data/CK+/../x"), Path("data/CK+")), locate(Path("data"), Path("data"))
        ('../x', '.')
    """
    return path.relative_to(source).as_posix()


@dataclass(frozen=True)
class Frames:
    """A clip's pictures.

    Args:
        files: the pictures, in the order of the integers in their names.
        numbers: those integers.
        strangers: pictures in the same folder that are no frames, by their names.
    """

    files: tuple[Path, ...]
    numbers: tuple[int, ...]
    strangers: tuple[Path, ...] = ()

    @property
    def repeated(self) -> tuple[Path, Path] | None:
        """The first two files of one number, if there are such."""
        for k in range(1, len(self.files)):
            if self.numbers[k] == self.numbers[k - 1]:
                return self.files[k - 1], self.files[k]
        return None

    @property
    def gap(self) -> tuple[int, int] | None:
        """The first two numbers that do not follow each other, if there are such."""
        for before, after in zip(self.numbers, self.numbers[1:], strict=False):
            if after > before + 1:
                return before, after
        return None


def find_frames(files: Iterable[Path], pattern: str = r".*?(\d+)") -> Frames:
    r"""Pick a clip's pictures and put them in the order of the integers in their names.

    Args:
        files: files of one folder.
        pattern: what a frame's whole name before its ending looks like, in any case of its
            letters; the first group is the integer.

    Returns:
        The frames. Numbers may start anywhere and have gaps.

    Examples:
        >>> names = ["10.jpeg", "9.JPG", "cover.jpg", "notes.txt"]
        >>> frames = find_frames(map(Path, names), r"(\d+)")
        >>> [str(f) for f in frames.files], frames.numbers, [str(f) for f in frames.strangers]
        (['9.JPG', '10.jpeg'], (9, 10), ['cover.jpg'])
    """
    fits = re.compile(pattern, re.IGNORECASE)
    numbered, strangers = [], []
    for path in files:
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        match = fits.fullmatch(path.stem)
        if match:
            numbered.append((int(match[1]), path.name, path))
        else:
            strangers.append(path)
    numbered.sort()
    return Frames(
        tuple(path for _, _, path in numbered),
        tuple(number for number, _, _ in numbered),
        tuple(sorted(strangers)),
    )


def warn_gaps(gaps: Mapping[str, tuple[int, int]]) -> tuple[str, ...]:
    """Say in one sentence, or none, which clips have gaps in the numbers of their frames.

    Args:
        gaps: for a clip's name, the two numbers around its first gap.
    """
    if not gaps:
        return ()
    listed = name_some([f"{name} ({a}, then {b})" for name, (a, b) in gaps.items()])
    return (
        f"clips with gaps in the numbers of their frames ({len(gaps)}): {listed}; "
        "the frames are taken to follow each other evenly all the same",
    )


def name_some(names: Collection[str]) -> str:
    """List a few names and count the rest.

    Examples:
        >>> name_some([f"S{k}" for k in range(7)])
        'S0, S1, S2, S3, S4 and 2 more'
    """
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(list(names)[:_NAMED]) + more


@dataclass(frozen=True)
class Copy:
    """The folder that counts of several that claim to be one clip, or None, and why."""

    folder: Path | None
    reason: str = ""


def choose_copy(folders: Collection[Path], digest: Callable[[Path], str]) -> Copy:
    """Choose among folders that claim to be the same clip.

    Args:
        folders: one or more.
        digest: gives the same text for folders that hold the same; called only for several.

    Returns:
        The first folder, if all hold the same.
    """
    ordered = sorted(folders)
    if len(ordered) == 1:
        return Copy(ordered[0])
    listed = " and ".join(f"{path.parent.name}/{path.name}" for path in ordered)
    if len({digest(path) for path in ordered}) == 1:
        return Copy(ordered[0], f"{listed} hold the same; the first counts")
    return Copy(None, f"{listed} claim to be the same and differ; none is taken")
