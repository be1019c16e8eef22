"""One table for every purpose: CSV, JSON, Markdown, LaTeX, and rows of the page."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from evfer.report.say.sentences import interval, percent, points, probability

__all__ = [
    "MODEL",
    "PLACE",
    "Column",
    "Kind",
    "Table",
    "show",
    "to_csv",
    "to_json",
    "to_latex",
    "to_markdown",
]

Kind = Literal[
    "text",
    "share",
    "points",
    "whole",
    "number",
    "energy",
    "probability",
    "flag",
    "interval",
    "gap",
    "stated",
]
"""What a column holds: "share" 0 to 1 and shown in percent, "points" a difference of shares,
"interval" two shares, "gap" two differences, "energy" millijoules, "stated" a
number as its source states it."""

_DASH = "\N{EN DASH}"
_PAIRS = ("interval", "gap")
_PLACES = ("set", "protocol", "settings")
"""Columns that a caption says once where all rows share them."""
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""What texts begin with that spreadsheets run."""


@dataclass(frozen=True)
class Column:
    """A column.

    Args:
        key: its name in CSV and JSON; pairs become `<key>_low` and `<key>_high`.
        title: its name for people; empty for one that only files hold.
        kind: what it holds.
    """

    key: str
    title: str = ""
    kind: Kind = "text"


MODEL = Column("model", "model")
PLACE = (Column("set", "set"), Column("protocol", "protocol"))
"""Columns that most tables begin with."""


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        name: file name without ending.
        title: what it holds.
        columns: its columns.
        rows: a cell a column; None where a value is not known.
        main: whether it is also written as Markdown and LaTeX.
        note: what a reader has to know, in a sentence.
        brief: keys of the columns in Markdown and LaTeX, which have to fit a page; empty for all
            that people see.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    main: bool = False
    note: str = ""
    brief: tuple[str, ...] = ()

    @property
    def shown(self) -> list[int]:
        """Numbers of the columns that people see."""
        return [i for i, column in enumerate(self.columns) if column.title]

    @property
    def printed(self) -> list[int]:
        """Numbers of the columns in Markdown and LaTeX: no place that all rows share."""
        if not self.brief:
            return self.shown
        same = {
            column.key
            for i, column in enumerate(self.columns)
            if column.key in _PLACES and len({row[i] for row in self.rows}) < 2
        }
        wanted = {*self.brief, *_PLACES} - same
        return [i for i in self.shown if self.columns[i].key in wanted]


def show(value: Any, kind: Kind) -> str:
    """Write a cell for people; a dash where its value is not known.

    Examples:
        >>> show(0.123, "share"), show(None, "share"), show(True, "flag"), show(21.854, "energy")
        ('12.3%', '–', 'yes', '21.9')
    """
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return _DASH
    match kind:
        case "share":
            return percent(value)
        case "points":
            return points(value)
        case "interval":
            return interval(value)
        case "gap":
            return f"{points(value[0])} to {points(value[1])}"
        case "whole":
            return f"{value:,.0f}"
        case "number":
            return f"{value:.3g}"
        case "stated":
            return f"{value:,.2f}"
        case "energy":
            return _energy(value)
        case "probability":
            return probability(value).removeprefix("= ")
        case "flag":
            return "yes" if value else "no"
        case _:
            return str(value)


def _energy(millijoules: float) -> str:
    # three digits that count, and whole numbers never in powers of ten
    if millijoules >= 100:
        return f"{millijoules:,.0f}"
    return f"{millijoules:.3g}" if millijoules >= 1e-4 or not millijoules else f"{millijoules:.1e}"


def to_csv(table: Table) -> str:
    """Write a table as CSV, every number unrounded.

    A text that a spreadsheet would run as a formula (it begins with =, +, -, @, a tab or a
    carriage return) gets an apostrophe in front, and carriage returns become line feeds; JSON
    holds texts as they are.
    """
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_keys(table))
    # None becomes an empty cell
    writer.writerows([_disarm(value) for value in row] for row in _flat_rows(table))
    return buffer.getvalue()


def _disarm(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    # the writer leaves a carriage return unquoted, which readers take for a row's end
    plain = value.replace("\r", "\n")
    return f"'{plain}" if value.startswith(_FORMULAS) else plain


def to_json(table: Table) -> str:
    """Write a table as JSON: a list of objects, null where a value is not known."""
    keys = _keys(table)
    # a line each: indented JSON is written by Python alone, at a tenth of the speed
    encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
    lines = [encode(dict(zip(keys, map(_plain, row), strict=True))) for row in _flat_rows(table)]
    return "[\n " + ",\n ".join(lines) + "\n]\n" if lines else "[]\n"


def _keys(table: Table) -> list[str]:
    found: list[str] = []
    for column in table.columns:
        pair = column.kind in _PAIRS
        found += [f"{column.key}_low", f"{column.key}_high"] if pair else [column.key]
    return found


def _flat_rows(table: Table) -> Iterable[Sequence[Any]]:
    """Give the rows with each pair as two cells."""
    pairs = [i for i, column in enumerate(table.columns) if column.kind in _PAIRS]
    if not pairs:
        return table.rows
    return (_flat(row, pairs) for row in table.rows)


def _flat(row: Sequence[Any], pairs: Sequence[int]) -> list[Any]:
    cells = list(row)
    for i in reversed(pairs):
        cells[i : i + 1] = row[i] or (None, None)
    return cells


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        # JSON has no infinity, and a test of scores that differ alike gives one
        return None if math.isnan(value) else str(value)
    return value


def to_markdown(table: Table) -> str:
    """Write what a page has room for of a table as Markdown."""
    shown = [table.columns[i] for i in table.printed]
    rules = ("---" if column.kind == "text" else "--:" for column in shown)
    lines = [
        "| " + " | ".join(_mark(column.title) for column in shown) + " |",
        "| " + " | ".join(rules) + " |",
    ]
    for row in table.rows:
        cells = (_mark(show(row[i], table.columns[i].kind)) for i in table.printed)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _mark(text: str) -> str:
    for mark in "\\|`*_<>[]":
        text = text.replace(mark, "\\" + mark)
    return " ".join(text.split())


_TEXT_WIDTH = 345.0
"""Points: how wide the text of LaTeX's article is."""
_LETTER = 4.9
"""Points of a small letter or digit of its font."""
_BETWEEN = 6.0
"""Points between two columns."""
_LATIN_END = 0x180
"""First letter beyond those that pdfLaTeX typesets without further packages."""
_TEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",  # after a line's end it would be that line's extra height
    "]": "{]}",
    "`": r"\textasciigrave{}",  # this and the next join with their neighbours to other signs
    "'": r"\textquotesingle{}",
    "\x00": "{}",
    "\N{REPLACEMENT CHARACTER}": "?",
    "\N{MINUS SIGN}": "$-$",
    "\N{EN DASH}": "--",
    "…": r"\ldots{}",
    "±": r"$\pm$",
}


def to_latex(table: Table) -> str:
    r"""Write what a page has room for of a table as LaTeX, with the rules of the package booktabs.

    It is as wide as the text of an article at most, where no single word is too long for that:
    headings and long texts are broken into lines.
    """
    shown = [table.columns[i] for i in table.printed]
    cells = [[show(row[i], table.columns[i].kind) for i in table.printed] for row in table.rows]
    heads = [
        textwrap.wrap(column.title, 10, break_long_words=False, break_on_hyphens=False)
        if column.kind != "text"
        else [column.title]
        for column in shown
    ]
    lines = [
        # in a setting of its own, so that nothing after it is small
        r"{\small\setlength{\tabcolsep}{3pt}\begin{tabular}{" + _layout(shown, heads, cells) + "}",
        "\\toprule",
        " & ".join(map(_stack, heads)) + r" \\",
        "\\midrule",
    ]
    lines += [" & ".join(map(_tex, row)) + r" \\" for row in cells]
    text = "\n".join([*lines, "\\bottomrule", "\\end{tabular}}", ""])
    return (
        "% \\usepackage{array,booktabs}, and \\usepackage[T1]{fontenc} for quotation marks\n"
        f"% engine: {_engine(text)}\n{text}"
    )


def _stack(lines: Sequence[str]) -> str:
    words = [_tex(line) for line in lines]
    return words[0] if len(words) == 1 else r"\shortstack[r]{" + r"\\".join(words) + "}"


def _layout(
    columns: Sequence[Column], heads: Sequence[Sequence[str]], cells: Sequence[Sequence[str]]
) -> str:
    """Say how columns are laid out: texts in lines of their share of the room, if it is too little.

    Lengths are guessed from numbers of letters, since only the engine knows its font.
    """
    wide, least = [], []
    for i, head in enumerate(heads):
        texts = [*head, *(row[i] for row in cells)]
        wide.append(_LETTER * max(map(len, texts), default=0))
        words = [word for text in texts for word in re.split(r"(?<=-)|\s", text)]
        least.append(_LETTER * max(map(len, words), default=0))
    texts_at = [i for i, column in enumerate(columns) if column.kind == "text"]
    room = _TEXT_WIDTH - _BETWEEN * len(columns)
    room -= sum(wide) - sum(wide[i] for i in texts_at)
    if sum(wide[i] for i in texts_at) <= room:
        return "".join("l" if column.kind == "text" else "r" for column in columns)
    spare = max(0.0, room - sum(least[i] for i in texts_at))
    asked = sum(wide[i] - least[i] for i in texts_at) or 1.0
    found = ["r"] * len(columns)
    for i in texts_at:
        points = least[i] + spare * (wide[i] - least[i]) / asked
        found[i] = rf">{{\raggedright\arraybackslash}}p{{{points:.0f}pt}}"
    return "".join(found)


def _tex(text: str) -> str:
    # marks that steer the direction of text have no width, and no glyph in any font
    shown = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")
    plain = " ".join(shown.split()).replace("--", "-\x00-").replace("--", "-\x00-")
    return "".join(_TEX.get(letter, letter) for letter in plain)


def _engine(text: str) -> str:
    """Say which engine typesets the letters of a text."""
    if all(ord(letter) < _LATIN_END for letter in text):
        return "pdfLaTeX and all others"
    return "LuaLaTeX or XeLaTeX, with a font that has all of these letters"
