"""The report's figures: scores with intervals, confusion matrices, learning curves.

Each is drawn twice: as PNG on white, and as SVG with placeholder colours. These become the same
as the PNG's in the file beside the report, and those of the style sheet in the page, so that a
figure there follows light and dark.
"""

from __future__ import annotations

import dataclasses
import html
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from evfer.pictures.drawing import fixed_style, png_bytes, shorten, svg_text
from evfer.report.rows import Epoch
from evfer.report.summary import Arena, Group
from evfer.report.words import interval, percent

__all__ = ["Figure", "confusion_figure", "curve_figure", "score_figure", "seats"]

_WIDTH = 5.2
"""Inches; narrow, so that letters stay large enough on a phone."""
_PNG_DPI = 200


@dataclass(frozen=True)
class Figure:
    """One figure in its three forms.

    Args:
        name: file name without ending.
        title: what it shows.
        alt: the same in words for those who cannot see it.
        png: for slides and texts.
        svg: a file of its own, on white.
        inline: SVG for the page, coloured by the page's style sheet.
    """

    name: str
    title: str
    alt: str
    png: bytes
    svg: str
    inline: str


@dataclass(frozen=True)
class _Theme:
    page: str
    ink: str
    faint: str
    grid: str
    contrast: str
    """Text on a full cell."""
    accent: str
    series: tuple[str, ...]


_PRINT = _Theme(
    page="#ffffff",
    ink="#1c1f25",
    faint="#5d6470",
    grid="#d9dce1",
    contrast="#ffffff",
    accent="#0072b2",
    # Okabe and Ito's palette, the yellow left out since it is lost on white
    series=("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9"),
)
# colours that nothing else has, to be found and replaced
_PLACEHOLDERS = _Theme(
    page="#010201",
    ink="#010203",
    faint="#010204",
    grid="#010205",
    contrast="#010206",
    accent="#010207",
    series=tuple(f"#01030{index}" for index in range(len(_PRINT.series))),
)
_PAGE = _Theme(
    page="none",
    ink="var(--ink)",
    faint="var(--faint)",
    grid="var(--grid)",
    contrast="var(--contrast)",
    accent="var(--accent)",
    series=tuple(f"var(--series-{index})" for index in range(len(_PRINT.series))),
)
"""Colours of the page's style sheet, which follow light and dark."""


def seats(arenas: Sequence[Arena]) -> dict[str, int]:
    """Give each group's name a colour by number, the same on every data set."""
    names = dict.fromkeys(group.name for arena in arenas for group in arena.groups)
    return {name: index % len(_PRINT.series) for index, name in enumerate(sorted(names))}


def score_figure(arena: Arena, name: str, colours: Mapping[str, int]) -> Figure:
    """Draw each group's folds as points, their mean and the interval over subjects."""
    groups = [group for group in arena.groups if group.accuracy]

    def draw(theme: _Theme) -> Canvas:
        canvas = Canvas(figsize=(_WIDTH, 0.95 + 0.72 * max(1, len(groups))))
        axes = _axes(canvas, theme)
        for row, group in enumerate(groups):
            colour = theme.series[colours[group.name]]
            _draw_group(axes, theme, group, row, colour)
        _draw_floors(axes, theme, groups)
        axes.set_ylim(len(groups) - 0.35, -0.75)
        axes.set_xlim(0, 100)
        axes.set_yticks([])
        axes.grid(axis="x", color=theme.grid, linewidth=0.7)
        axes.set_xlabel("accuracy, %", color=theme.faint)
        axes.spines[["left", "right", "top"]].set_visible(False)
        return canvas

    said = (
        f"{group.name}: {percent(group.accuracy.mean if group.accuracy else None)}, "
        f"interval {interval(group.interval)}"
        for group in groups
    )
    return _finish(name, f"Accuracy on {arena.name}", "; ".join(said), draw)


def _draw_group(axes: Axes, theme: _Theme, group: Group, row: int, colour: str) -> None:
    scores = [100 * r.accuracy for r in group.rows if r.accuracy is not None]
    if group.interval:
        low, high = (100 * bound for bound in group.interval)
        # the usual ends of a line would make the interval wider than it is
        bar = axes.plot([low, high], [row, row], color=colour, linewidth=9, alpha=0.28)
        bar[0].set_solid_capstyle("butt")
    # folds of equal score stand beside one another, each seen
    for score in sorted(set(scores)):
        count = scores.count(score)
        lifts = (np.arange(count) - (count - 1) / 2) * min(0.09, 0.36 / count)
        axes.plot([score] * count, row + lifts, "o", color=colour, markersize=4.2, alpha=0.75)
    mean = float(np.mean(scores))
    axes.plot([mean, mean], [row - 0.24, row + 0.24], color=theme.ink, linewidth=2.2)
    label, words = shorten(group.name, 44), f"{mean:.1f}%"
    style: dict[str, Any] = {"color": theme.ink, "fontsize": 10, "va": "bottom"}
    axes.text(0.8, row - 0.33, label, weight="bold", **style)
    axes.text(99.2, row - 0.33, words, ha="right", **style)


def _draw_floors(axes: Axes, theme: _Theme, groups: Sequence[Group]) -> None:
    styles = {"chance": (0, (4, 3)), "majority": (0, (1, 2))}
    found: dict[str, list[float]] = {}
    for row, group in enumerate(groups):
        for attribute, style in styles.items():
            value = getattr(group, attribute)
            if value is not None:
                found.setdefault(attribute, []).append(100 * value)
                # each beside its own group, so that they do not run through the names
                line = axes.vlines(100 * value, row - 0.3, row + 0.32, zorder=1)
                line.set(color=theme.faint, linewidth=1.1, linestyle=style)
    if not found:
        return
    words = ", ".join(f"{name} {_span(values)}" for name, values in found.items())
    at = max(max(values) for values in found.values())
    # the words stand on the side where there is room
    at, side = (at + 0.8, "left") if at < 60 else (at - 0.8, "right")
    axes.text(at, len(groups) - 0.42, words, color=theme.faint, fontsize=8, ha=side)


def _span(values: Sequence[float]) -> str:
    low, high = f"{min(values):.1f}", f"{max(values):.1f}"
    return low if low == high else f"{low} to {high}"


def confusion_figure(group: Group, where: str, name: str) -> Figure:
    """Draw counts and the share of each true class that went where, over all folds."""
    counts = group.confusion
    labels = [shorten(label, 14) for label in group.classes]
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    size = len(labels)

    def draw(theme: _Theme) -> Canvas:
        side = max(3.6, 0.62 * size)
        canvas = Canvas(figsize=(side + 1.3, side + 0.55))
        axes = _axes(canvas, theme)
        letters = 10 if size <= 8 else max(4, 80 // size)
        for row in range(size):
            for column in range(size):
                share = float(shares[row, column])
                box = Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, linewidth=0)
                box.set_facecolor(theme.accent)
                box.set_alpha(0.05 + 0.95 * share)
                axes.add_patch(box)
                if not counts[row, column]:
                    continue
                colour = theme.contrast if share > 0.8 else theme.ink
                words = f"{share:.0%}"
                axes.text(column, row - 0.04, words, color=colour, fontsize=letters, ha="center")
                count = f"{counts[row, column]:,}"
                axes.text(
                    column,
                    row + 0.12,
                    count,
                    color=colour,
                    fontsize=0.7 * letters,
                    ha="center",
                    va="top",
                )
        axes.set_xlim(-0.5, size - 0.5)
        axes.set_ylim(size - 0.5, -0.5)
        axes.set_xticks(range(size), labels, rotation=35, ha="left", rotation_mode="anchor")
        axes.set_yticks(range(size), labels)
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position("top")
        axes.tick_params(length=0, labelcolor=theme.ink)
        axes.set_xlabel("predicted", color=theme.faint)
        axes.set_ylabel("true", color=theme.faint)
        axes.spines[:].set_visible(False)
        return canvas

    said = (
        f"{label}: {shares[index, index]:.0%} of {int(totals[index, 0])} right"
        for index, label in enumerate(labels)
    )
    return _finish(name, f"{group.name} on {where}", "; ".join(said), draw)


def curve_figure(group: Group, where: str, name: str) -> Figure | None:
    """Draw loss and accuracy over the epochs, one line a fold; None without any curve."""
    curves = [row.curve for row in group.rows if row.curve]
    if not curves:
        return None

    def draw(theme: _Theme) -> Canvas:
        canvas = Canvas(figsize=(_WIDTH, 4.1))
        colours = theme.series
        upper = _axes(canvas, theme, (2, 1, 1))
        lower = _axes(canvas, theme, (2, 1, 2))
        _draw_curves(upper, curves, "train_accuracy", colours[0], "training", 100)
        _draw_curves(upper, curves, "validation_accuracy", colours[1], "validation", 100)
        chosen = [row.selected_epoch for row in group.rows if row.selected_epoch is not None]
        for epoch in sorted(set(chosen)):
            upper.axvline(epoch, color=theme.faint, linewidth=0.7, linestyle=(0, (1, 2)))
        upper.set_ylim(0, 102)
        upper.set_ylabel("accuracy, %", color=theme.faint)
        upper.legend(loc="lower right", frameon=False, fontsize=9, labelcolor=theme.ink)
        upper.tick_params(labelbottom=False)
        _draw_curves(lower, curves, "train_loss", colours[0], "training", 1)
        lower.set_ylim(bottom=0)
        lower.set_ylabel("training loss", color=theme.faint)
        lower.set_xlabel("epoch", color=theme.faint)
        for axes in (upper, lower):
            axes.spines[["right", "top"]].set_visible(False)
            axes.grid(color=theme.grid, linewidth=0.6)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        canvas.align_ylabels()
        return canvas

    last = [curve[-1].train_accuracy for curve in curves]
    known = [value for value in last if value is not None]
    said = f"{len(curves)} folds; training accuracy ends at "
    said += f"{percent(min(known))} to {percent(max(known))}" if known else "an unknown value"
    return _finish(name, f"{group.name} on {where}", said, draw)


def _draw_curves(
    axes: Axes,
    curves: Sequence[Sequence[Epoch]],
    attribute: str,
    colour: str,
    label: str,
    scale: float,
) -> None:
    by_epoch: dict[int, list[float]] = {}
    for curve in curves:
        steps = [(e.epoch, getattr(e, attribute)) for e in curve]
        known = [(epoch, scale * value) for epoch, value in steps if value is not None]
        for epoch, value in known:
            by_epoch.setdefault(epoch, []).append(value)
        # a single epoch makes no line
        marker = "o" if len(known) == 1 else ""
        epochs, values = [epoch for epoch, _ in known], [value for _, value in known]
        axes.plot(epochs, values, color=colour, alpha=0.35, linewidth=1, marker=marker)
    if by_epoch:
        all_epochs = sorted(by_epoch)
        means = [float(np.mean(by_epoch[epoch])) for epoch in all_epochs]
        axes.plot(all_epochs, means, color=colour, linewidth=2.2, label=f"{label}, mean of folds")


def _axes(canvas: Canvas, theme: _Theme, place: tuple[int, int, int] = (1, 1, 1)) -> Axes:
    canvas.set_facecolor(theme.page)
    axes = canvas.add_subplot(*place)
    axes.set_facecolor("none")
    axes.set_axisbelow(True)
    axes.tick_params(colors=theme.faint, labelsize=9, length=0)
    for spine in axes.spines.values():
        spine.set_color(theme.grid)
    return axes


def _finish(name: str, title: str, alt: str, draw: Callable[[_Theme], Canvas]) -> Figure:
    with fixed_style():
        printed = draw(_PRINT)
        printed.set_layout_engine("constrained")
        png = png_bytes(printed, _PNG_DPI)
        # laying out takes as long as drawing, so the second takes over the places of the first
        placed = draw(_PLACEHOLDERS)
        for axes, model in zip(placed.axes, printed.axes, strict=True):
            axes.set_position(model.get_position())
        svg = svg_text(placed)
    return Figure(name, title, alt, png, _colour(svg, _PRINT), _inline(svg, name, alt))


def _colour(svg: str, theme: _Theme) -> str:
    for field in dataclasses.fields(theme):
        old, new = getattr(_PLACEHOLDERS, field.name), getattr(theme, field.name)
        pairs = [(old, new)] if isinstance(old, str) else zip(old, new, strict=True)
        for placeholder, colour in pairs:
            svg = svg.replace(placeholder, colour)
    return svg


_TAG_ID = re.compile(r'(\bid="|url\(#|xlink:href="#)')


def _inline(svg: str, name: str, alt: str) -> str:
    """Make matplotlib's SVG part of an HTML page.

    Names inside get the figure's own in front, since they must be unique on a page; the style of
    every element, which would reach beyond the figure, goes, and so does what only files need.
    """
    body = svg[svg.index("<svg") :]
    head_end = body.index(">") + 1
    view_box = re.search(r'viewBox="([\d. -]+)"', body[:head_end])
    width = re.search(r'width="([\d.]+)pt"', body[:head_end])
    assert view_box is not None  # matplotlib always writes both
    assert width is not None
    body = re.sub(r"<metadata>.*?</metadata>", "", body[head_end:], flags=re.DOTALL)
    body = re.sub(r"<defs>\s*<style[^>]*>[^<]*</style>\s*</defs>", "", body)
    body = _TAG_ID.sub(rf"\1{name}-", body).replace("xlink:href", "href")
    body = body.replace("'DejaVu Sans', sans-serif", "var(--sans)").replace(
        "'DejaVu Sans'", "var(--sans)"
    )
    body = _colour(body, _PAGE)
    pixels = float(width[1]) * 4 / 3
    return (
        f'<svg class="figure" viewBox="{view_box[1]}" style="max-width:{pixels:.0f}px" role="img" '
        f'aria-label="{html.escape(alt)}">{body}'
    )
