"""Figures of a study of augmentations: its sets, their effects, and the comparison A, B, C.

They are the published study's figures 4, 5 and 6, redrawn on the rows at hand; numbers of the
published ones are not beside them, since they stand nowhere but in bar charts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evfer.pictures.text import shorten
from evfer.report.draw.drawing import WIDTH, Drawing, Figure, finish
from evfer.report.read.studies import AugmentationStudy, Variant
from evfer.report.say.sentences import interval, percent, points, probability, study_range

__all__ = ["effects_figure", "sets_figure", "steps_figure"]

_MOST_SETS = 40
_MOST_DOTS = 8
"""Augmentations that are told by dots; with more, sets are named."""
_SIGNIFICANT = 0.05


def sets_figure(study: AugmentationStudy, name: str) -> Figure:
    """Draw a bar for each set of augmentations, its folds as points, the best first."""
    variants = study.variants[:_MOST_SETS]
    chance = study.comparison.settings[0].chance

    # a dot for each augmentation of a set takes less room than their names
    dots = study.factors if len(study.factors) <= _MOST_DOTS else ()

    def draw(drawing: Drawing) -> None:
        theme, axes = drawing.theme, drawing.axes()
        for row, variant in enumerate(variants):
            mean = 100 * variant.mean
            colour = theme.series[0] if variant.names else theme.series[1]
            (bar,) = axes.barh([row], [mean], height=0.7, color=colour, alpha=0.35)
            drawing.tip(bar, _describe(variant))
            scores = [100 * r.accuracy for r in variant.setting.rows if r.accuracy is not None]
            axes.plot(scores, [row] * len(scores), "o", color=colour, markersize=2.2, alpha=0.8)
            axes.plot([mean, mean], [row - 0.35, row + 0.35], color=theme.ink, linewidth=1.6)
            axes.text(101, row, f"{mean:.1f}", color=theme.ink, fontsize=7, va="center")
            for place, factor in enumerate(dots):
                inside = factor in variant.factors
                x, ink = _dot(place, dots), theme.ink if inside else theme.grid
                axes.plot([x], [row], "o", color=ink, markersize=4 if inside else 2)
        for place, factor in enumerate(dots):
            x, word = _dot(place, dots), shorten(factor, 16)
            style: Any = {"rotation": 90, "ha": "center", "va": "bottom", "fontsize": 8}
            axes.text(x, -0.8, word, color=theme.ink, **style)
        if chance is not None:
            below, above = len(variants) - 0.5, -0.5
            axes.vlines(100 * chance, below, above, color=theme.faint, linewidth=1, linestyle=":")
        if dots:
            axes.set_yticks([])
        else:
            axes.set_yticks(range(len(variants)), [shorten(v.label, 34) for v in variants])
            axes.tick_params(axis="y", labelcolor=theme.ink, labelsize=7)
        room = max((len(shorten(factor, 16)) for factor in dots), default=0)
        axes.set_ylim(len(variants) - 0.4, -0.8 - 0.42 * room)
        axes.set_xlim(_dot(-0.6, dots) if dots else 0, 112)
        axes.set_xticks(range(0, 101, 20))
        axes.set_xlabel("accuracy, %", color=theme.faint)
        axes.spines[["left", "right", "top"]].set_visible(False)
        axes.vlines(range(0, 101, 20), len(variants) - 0.4, -0.5, color=theme.grid, linewidth=0.6)

    said = f"{len(study.variants)} sets of augmentations: {study_range(study)}"
    title = f"{study.model} by augmentations on {study.comparison.name}"
    return finish(name, title, said, (WIDTH, 1.3 + 0.18 * len(variants)), draw)


def _dot(place: float, dots: Sequence[str]) -> float:
    return -7.5 * (len(dots) - place) + 1.5


def _describe(variant: Variant) -> str:
    text = f"{variant.label}: {percent(variant.mean)} over {len(variant.setting.rows)} results"
    if variant.setting.interval:
        text += f", interval {interval(variant.setting.interval)}"
    return text


def effects_figure(study: AugmentationStudy, name: str) -> Figure | None:
    """Draw what each augmentation adds, with intervals; None where nothing could be fitted."""
    fits = [fit for fit in (study.ols, study.mixed) if fit.effects]
    names = list(dict.fromkeys(e.name for fit in fits for e in fit.effects[1:]))
    if not names:
        return None
    words = {"ols": "least squares, as published", "mixed": "mixed model, splits random"}

    def draw(drawing: Drawing) -> None:
        theme, axes = drawing.theme, drawing.axes()
        axes.axvline(0, color=theme.faint, linewidth=1)
        for number, fit in enumerate(fits):
            colour, lift = theme.series[number], 0.26 * (number - (len(fits) - 1) / 2)
            axes.plot([], [], "o", color=colour, label=words[fit.method])
            for effect in fit.effects[1:]:
                row = names.index(effect.name) + lift
                values = [100 * v for v in (effect.low, effect.high, effect.estimate)]
                axes.plot(values[:2], [row, row], color=colour, linewidth=2)
                (dot,) = axes.plot([values[2]], [row], "o", color=colour, markersize=7)
                if effect.p_value >= _SIGNIFICANT:
                    dot.set_markerfacecolor(theme.page)
                drawing.tip(
                    dot,
                    f"{effect.name}, {words[fit.method]}: {points(effect.estimate)} points "
                    f"({points(effect.low)} to {points(effect.high)}), p "
                    f"{probability(effect.p_value)}",
                )
        axes.set_yticks(range(len(names)), [shorten(item, 34) for item in names])
        axes.tick_params(axis="y", labelcolor=theme.ink)
        axes.set_ylim(len(names) - 0.5, -0.6)
        axes.set_xlabel("effect on accuracy, percentage points", color=theme.faint)
        axes.spines[["left", "right", "top"]].set_visible(False)
        axes.grid(axis="x", color=theme.grid, linewidth=0.6)
        axes.legend(
            loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=1, frameon=False,
            fontsize=9, labelcolor=theme.ink,
        )  # fmt: skip

    said = (
        f"{e.name} {points(e.estimate)} points, p {probability(e.p_value)}"
        for e in fits[0].effects[1:]
    )
    title = f"Effects of augmentations on {study.model}, {study.comparison.name}"
    return finish(name, title, "; ".join(said), (WIDTH, 1.2 + 0.42 * len(names)), draw)


def steps_figure(study: AugmentationStudy, name: str) -> Figure | None:
    """Draw A, B and C side by side; None where fewer than two of them have results."""
    if len(study.steps) < 2:
        return None

    def draw(drawing: Drawing) -> None:
        theme, axes = drawing.theme, drawing.axes()
        for place, step in enumerate(study.steps):
            colour, variant = theme.at(place), step.variant
            mean = 100 * variant.mean
            bars = axes.bar([place], [mean], width=0.62, color=colour, alpha=0.3)
            drawing.tip(bars[0], f"{step.letter}, {_describe(variant)}")
            if variant.setting.interval:
                low, high = (100 * bound for bound in variant.setting.interval)
                axes.plot([place, place], [low, high], color=colour, linewidth=2.4)
            scores = [100 * r.accuracy for r in variant.setting.rows if r.accuracy is not None]
            sides = place + np.linspace(-0.2, 0.2, len(scores))
            for row, side, score in zip(variant.setting.rows, sides, scores, strict=False):
                (dot,) = axes.plot([side], [score], "o", color=colour, markersize=4)
                drawing.tip(dot, f"{step.letter}, fold {row.fold}: {score:.1f}%")
            axes.plot([place - 0.31, place + 0.31], [mean, mean], color=theme.ink, linewidth=2)
            axes.text(place, 2, f"{mean:.1f}%", color=theme.ink, fontsize=9, ha="center")
        labels = [
            f"{step.letter}\n" + shorten(step.variant.label, 60).replace("+", " +\n")
            for step in study.steps
        ]
        axes.set_xticks(range(len(labels)), labels)
        axes.tick_params(axis="x", labelcolor=theme.ink, labelsize=9)
        axes.set_ylim(0, 100)
        axes.set_xlim(-0.6, len(labels) - 0.4)
        axes.set_ylabel("accuracy, %", color=theme.faint)
        axes.spines[["right", "top"]].set_visible(False)
        axes.grid(axis="y", color=theme.grid, linewidth=0.6)

    said = (f"{s.letter} ({s.variant.label}): {percent(s.variant.mean)}" for s in study.steps)
    title = f"A, B and C: {study.model} on {study.comparison.name}"
    return finish(name, title, "; ".join(said), (WIDTH, 3.4), draw)
