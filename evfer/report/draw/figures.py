"""The main figures: scores with intervals, confusion matrices, learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from evfer.bench.row_fields import Epoch
from evfer.pictures.text import shorten
from evfer.report.draw.drawing import WIDTH, Drawing, Figure, abridge, finish
from evfer.report.read.comparison import Comparison
from evfer.report.read.setting import Setting
from evfer.report.say.sentences import interval, percent

__all__ = ["MOST_SETTINGS", "confusion_figure", "curve_figure", "score_figure"]

MOST_SETTINGS = 12
"""Settings that one figure shows; more would be too small to read."""
_MOST_LINES = 60
_MOST_DOTS = 150
"""Results of a setting that are drawn, and told about, one by one."""
_MOST_CLASSES = 40


def score_figure(comparison: Comparison, name: str, colours: Mapping[str, int]) -> Figure | None:
    """Draw each setting's folds as points, their mean and the interval over subjects.

    Returns:
        The figure; None where no row states an accuracy.
    """
    settings = [setting for setting in comparison.settings if setting.accuracy][:MOST_SETTINGS]
    if not settings:
        return None

    def draw(drawing: Drawing) -> None:
        theme, axes = drawing.theme, drawing.axes()
        for row, setting in enumerate(settings):
            _draw_setting(drawing, axes, setting, row, theme.at(colours[setting.name]))
        _draw_floors(drawing, axes, settings)
        axes.set_ylim(len(settings) - 0.35, -0.75)
        axes.set_xlim(-1.5, 101.5)
        axes.set_yticks([])
        axes.grid(axis="x", color=theme.grid, linewidth=0.7)
        axes.set_xlabel("accuracy, %", color=theme.faint)
        axes.spines[["left", "right", "top"]].set_visible(False)

    said = (
        f"{setting.name}: {percent(setting.accuracy.mean if setting.accuracy else None)}, "
        f"interval {interval(setting.interval)}"
        for setting in settings
    )
    size = (WIDTH, 0.85 + 0.62 * len(settings))
    return finish(name, f"Accuracy on {comparison.name}", "; ".join(said), size, draw)


def _draw_setting(drawing: Drawing, axes: Axes, setting: Setting, row: int, colour: str) -> None:
    rows = [r for r in setting.rows if r.accuracy is not None]
    scores = [100 * (r.accuracy or 0.0) for r in rows]
    if setting.interval:
        low, high = (100 * bound for bound in setting.interval)
        # the usual ends of a line would make the interval wider than it is
        (bar,) = axes.plot([low, high], [row, row], color=colour, linewidth=9, alpha=0.28)
        bar.set_solid_capstyle("butt")
        drawing.tip(bar, f"{setting.name}: 95% interval over subjects {interval(setting.interval)}")
    # folds of equal score stand beside one another, each seen
    for score in sorted(set(scores)):
        alike = [r for r, other in zip(rows, scores, strict=True) if other == score]
        lifts = (np.arange(len(alike)) - (len(alike) - 1) / 2) * min(0.09, 0.36 / len(alike))
        if len(rows) > _MOST_DOTS:
            dots = axes.plot([score] * len(alike), row + lifts, "o", color=colour, markersize=3)
            dots[0].set_alpha(0.4)
            continue
        for r, lift in zip(alike, lifts, strict=True):
            (dot,) = axes.plot([score], [row + lift], "o", color=colour, markersize=4.2)
            dot.set_alpha(0.75)
            drawing.tip(dot, f"{setting.name}, {_which(r.fold, r.seed)}: {score:.1f}%")
    mean = float(np.mean(scores))
    (line,) = axes.plot([mean, mean], [row - 0.24, row + 0.24], linewidth=2.2)
    line.set_color(drawing.theme.ink)
    drawing.tip(line, f"{setting.name}: mean over {len(scores)} results {mean:.1f}%")
    label, words = abridge(setting.name, 34), f"{mean:.1f}%"
    style: dict[str, Any] = {"color": drawing.theme.ink, "fontsize": 9, "va": "bottom"}
    axes.text(0.8, row - 0.33, label, weight="bold", **style)
    axes.text(99.2, row - 0.33, words, ha="right", **style)


def _which(fold: int | None, seed: int | None) -> str:
    named = [("fold", fold), ("seed", seed)]
    return ", ".join(f"{word} {n}" for word, n in named if n is not None) or "one result"


def _draw_floors(drawing: Drawing, axes: Axes, settings: Sequence[Setting]) -> None:
    theme = drawing.theme
    styles = {"chance": (0, (4, 3)), "majority": (0, (1, 2))}
    found: dict[str, list[float]] = {}
    for row, setting in enumerate(settings):
        for attribute, style in styles.items():
            value = getattr(setting, attribute)
            if value is not None:
                found.setdefault(attribute, []).append(100 * value)
                # each beside its own setting, so that they do not run through the names
                line = axes.vlines(100 * value, row - 0.3, row + 0.32, zorder=1)
                line.set(color=theme.faint, linewidth=1.1, linestyle=style)
    if not found:
        return
    words = ", ".join(f"{name} {_span(values)}" for name, values in found.items())
    at = max(max(values) for values in found.values())
    # the words stand on the side where there is room
    at, side = (at + 0.8, "left") if at < 60 else (at - 0.8, "right")
    axes.text(at, len(settings) - 0.42, words, color=theme.faint, fontsize=8, ha=side)


def _span(values: Sequence[float]) -> str:
    low, high = f"{min(values):.1f}", f"{max(values):.1f}"
    return low if low == high else f"{low} to {high}"


def confusion_figure(setting: Setting, where: str, name: str) -> Figure | None:
    """Draw counts and the share of each true class that went where; None for too many classes."""
    counts = setting.confusion
    if len(counts) > _MOST_CLASSES:
        return None
    labels = [shorten(label, 14) for label in setting.classes]
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    size = len(labels)

    side = max(2.5, 0.47 * size)

    def draw(drawing: Drawing) -> None:
        theme, axes = drawing.theme, drawing.axes()
        letters = 9 if size <= 8 else max(4, 80 // size)
        for row in range(size):
            for column in range(size):
                share = float(shares[row, column])
                box = Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, linewidth=0)
                box.set_facecolor(theme.accent)
                box.set_alpha(0.05 + 0.95 * share)
                axes.add_patch(box)
                drawing.tip(
                    box,
                    f"true {labels[row]}, predicted {labels[column]}: {counts[row, column]:,} of "
                    f"{int(totals[row, 0]):,} ({share:.0%})",
                )
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
                    fontsize=0.75 * letters,
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

    said = (
        f"{label}: {shares[index, index]:.0%} of {int(totals[index, 0])} right"
        for index, label in enumerate(labels)
    )
    size_inches = (side + 1.15, side + 0.65)
    return finish(name, f"{setting.name} on {where}", "; ".join(said), size_inches, draw)


def curve_figure(setting: Setting, where: str, name: str) -> Figure | None:
    """Draw loss and accuracy over the epochs, one line a fold; None without any curve."""
    curves = [row.curve for row in setting.rows if row.curve]
    if not curves:
        return None

    def draw(drawing: Drawing) -> None:
        theme, colours = drawing.theme, drawing.theme.series
        upper, lower = drawing.axes((2, 1, 1)), drawing.axes((2, 1, 2))
        _draw_curves(drawing, upper, curves, "train_accuracy", colours[0], "training", 100)
        _draw_curves(drawing, upper, curves, "validation_accuracy", colours[1], "validation", 100)
        chosen = [row.selected_epoch for row in setting.rows if row.selected_epoch is not None]
        for epoch in sorted(set(chosen)):
            upper.axvline(epoch, color=theme.faint, linewidth=0.7, linestyle=(0, (1, 2)))
        upper.set_ylim(0, 102)
        upper.set_ylabel("accuracy, %", color=theme.faint)
        if upper.get_legend_handles_labels()[1]:
            upper.legend(loc="lower right", frameon=False, fontsize=9, labelcolor=theme.ink)
        upper.tick_params(labelbottom=False)
        _draw_curves(drawing, lower, curves, "train_loss", colours[0], "training", 1)
        lower.set_ylim(bottom=0)
        lower.set_ylabel("training loss", color=theme.faint)
        lower.set_xlabel("epoch", color=theme.faint)
        for axes in (upper, lower):
            axes.spines[["right", "top"]].set_visible(False)
            axes.grid(color=theme.grid, linewidth=0.6)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        drawing.canvas.align_ylabels()

    last = [curve[-1].train_accuracy for curve in curves]
    known = [value for value in last if value is not None]
    said = f"{len(curves)} folds; training accuracy ends at "
    said += f"{percent(min(known))} to {percent(max(known))}" if known else "an unknown value"
    return finish(name, f"{setting.name} on {where}", said, (WIDTH, 3.5), draw)


def _draw_curves(
    drawing: Drawing,
    axes: Axes,
    curves: Sequence[Sequence[Epoch]],
    attribute: str,
    colour: str,
    label: str,
    scale: float,
) -> None:
    by_epoch: dict[int, list[float]] = {}
    for number, curve in enumerate(curves):
        steps = [(e.epoch, getattr(e, attribute)) for e in curve]
        known = [(epoch, scale * value) for epoch, value in steps if value is not None]
        for epoch, value in known:
            by_epoch.setdefault(epoch, []).append(value)
        # a single epoch makes no line
        marker = "o" if len(known) == 1 else ""
        epochs, values = [epoch for epoch, _ in known], [value for _, value in known]
        if number < _MOST_LINES:
            axes.plot(epochs, values, color=colour, alpha=0.35, linewidth=1, marker=marker)
    if by_epoch:
        all_epochs = sorted(by_epoch)
        means = [float(np.mean(by_epoch[epoch])) for epoch in all_epochs]
        axes.plot(all_epochs, means, color=colour, linewidth=2.2, label=f"{label}, mean of folds")
        if len(all_epochs) <= 100:
            unit = "%" if scale == 100 else ""
            for epoch, mean in zip(all_epochs, means, strict=True):
                (dot,) = axes.plot([epoch], [mean], "o", color=colour, markersize=7, alpha=0)
                drawing.tip(dot, f"epoch {epoch}, {label}: {mean:.3g}{unit}")
