"""Tables as HTML: rows that can be read without scripts, and more of them for the page's own."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from evfer.report.say.table import Column, Table, show

__all__ = ["MOST_ROWS", "table_html"]

MOST_ROWS = 200
"""Rows that stand in the page as HTML; a script shows the others when they are asked for."""

_MOST_DATA = 1_200_000
"""Letters of such other rows of one table, so that the page stays light."""


def table_html(
    table: Table,
    *,
    hide: Sequence[str] = (),
    colours: Mapping[str, int] | None = None,
    rows: Sequence[tuple[Any, ...]] | None = None,
    label: str = "",
) -> Markup:
    """Write a table as HTML.

    Args:
        table: the table.
        hide: keys of columns to leave out.
        colours: colours of the names in the column "model".
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
            _cell(c, row[i], n == 0, colours)
            for n, (i, c) in enumerate(zip(numbers, columns, strict=True))
        )
        parts.append("</tr>")
    parts.append("</tbody></table></div>")
    if len(rows) > MOST_ROWS:
        parts.append(_rest(table, columns, numbers, rows))
    return Markup("".join([*parts, "</div>"]))


def _class(column: Column) -> str:
    return "" if column.kind == "text" else ' class="number"'


def _cell(column: Column, value: Any, first: bool, colours: Mapping[str, int] | None) -> str:
    text = html.escape(show(value, column.kind))
    if first:
        colour = (colours or {}).get(value) if column.key == "model" else None
        swatch = "" if colour is None else f'<span class="swatch series-{colour}"></span>'
        return f'<th scope="row"><span>{swatch}{text}</span></th>'
    key = _key(value)
    sort = "" if key is None else f' data-key="{key}"'
    strong = " strong" if column.key == "accuracy" else ""
    number = "" if column.kind == "text" else f' class="number{strong}"'
    return f'<td{number}{sort} data-name="{html.escape(column.title)}">{text}</td>'


def _key(value: Any) -> float | None:
    """Give the number that a cell is sorted by; None for texts, which are sorted as shown."""
    if isinstance(value, tuple) and value:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) else None


def _rest(
    table: Table,
    columns: Sequence[Column],
    numbers: Sequence[int],
    rows: Sequence[tuple[Any, ...]],
) -> str:
    """Write the rows beyond the first ones as data; each cell a text, or a text and its number."""
    lines: list[str] = []
    size = 0
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    for row in rows[MOST_ROWS:]:
        line: list[Any] = []
        for i, column in zip(numbers, columns, strict=True):
            value = row[i]
            text, key = show(value, column.kind), _key(value)
            line.append(text if key is None else [text, key])
        lines.append(encode(line))
        size += len(lines[-1])
        if size > _MOST_DATA:
            break
    # "<" would end the block, whatever stands before it
    data = f"[{','.join(lines)}]".replace("<", "\\u003c")
    left = len(rows) - MOST_ROWS - len(lines)
    files = f"tables/{table.name} .csv and .json"
    told = f'<p class="note more">{len(rows) - MOST_ROWS:,} more rows are in {files}.</p>'
    if left:
        told += f'<p class="note">{left:,} of {len(rows):,} rows are only in {files}.</p>'
    head = f'<script type="application/json" class="rest" data-total="{len(rows)}">'
    return f"{told}{head}{data}</script>"
