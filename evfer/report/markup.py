"""Tables as HTML: rows that can be read without scripts, and more of them for the page's own."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from evfer.report.table import Column, Table, show

__all__ = ["MOST_ROWS", "table_html"]

MOST_ROWS = 200
"""Rows that stand in the page as HTML; a script shows the others when they are asked for."""


def table_html(
    table: Table,
    *,
    hide: Sequence[str] = (),
    seats: Mapping[str, int] | None = None,
    rows: Sequence[tuple[Any, ...]] | None = None,
    label: str = "",
) -> Markup:
    """Write a table as HTML.

    Args:
        table: the table.
        hide: keys of columns to leave out.
        seats: colours of the names in the column "model".
        rows: the rows to show, if not all.
        label: what it holds, for those who cannot see it; by default the table's title.

    Returns:
        HTML in which every text is escaped.
    """
    rows = table.rows if rows is None else rows
    numbers = [i for i in table.shown if table.columns[i].key not in hide]
    columns = [table.columns[i] for i in numbers]
    name = html.escape(label or table.title)
    parts = [f'<div class="table"><div class="scroll"><table class="stack" aria-label="{name}">']
    parts.append("<thead><tr>")
    parts += (f"<th{_class(c)}>{html.escape(c.title)}</th>" for c in columns)
    parts.append("</tr></thead><tbody>")
    for row in rows[:MOST_ROWS]:
        parts.append("<tr>")
        parts += (
            _cell(c, row[i], n == 0, seats)
            for n, (i, c) in enumerate(zip(numbers, columns, strict=True))
        )
        parts.append("</tr>")
    parts.append("</tbody></table></div>")
    if len(rows) > MOST_ROWS:
        parts.append(_rest(columns, numbers, rows))
    return Markup("".join([*parts, "</div>"]))


def _class(column: Column) -> str:
    return "" if column.kind == "text" else ' class="number"'


def _cell(column: Column, value: Any, first: bool, seats: Mapping[str, int] | None) -> str:
    text = html.escape(show(value, column.kind))
    if first:
        seat = (seats or {}).get(value) if column.key == "model" else None
        swatch = "" if seat is None else f'<span class="swatch series-{seat}"></span>'
        return f'<th scope="row"><span>{swatch}{text}</span></th>'
    key = _key(column, value)
    sort = f' data-key="{key}"' if isinstance(key, float | int) else ""
    strong = " strong" if column.key == "accuracy" else ""
    number = "" if column.kind == "text" else f' class="number{strong}"'
    return f'<td{number}{sort} data-name="{html.escape(column.title)}">{text}</td>'


def _key(column: Column, value: Any) -> float | int | str:
    """Give what a cell is sorted by: a number, or the text that is shown."""
    if isinstance(value, tuple) and value:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return ""
    return value


def _rest(
    columns: Sequence[Column], numbers: Sequence[int], rows: Sequence[tuple[Any, ...]]
) -> str:
    """Write the rows beyond the first ones as data; each cell a text, or a text and its number."""
    cells = []
    for row in rows[MOST_ROWS:]:
        line: list[Any] = []
        for i, column in zip(numbers, columns, strict=True):
            text, key = show(row[i], column.kind), _key(column, row[i])
            line.append(text if key == "" else [text, key])
        cells.append(line)
    # "<" would end the block, whatever stands before it
    data = json.dumps(cells, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    more = f"{len(rows) - MOST_ROWS:,} more rows are in the table beside this page."
    return (
        f'<p class="note more">{more}</p>'
        f'<script type="application/json" class="rest">{data}</script>'
    )
