"""Figures beyond the scores: steps, people, confidence and energy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.textpath import TextPath
from matplotlib.ticker import FuncFormatter, MaxNLocator

from evfer.bench.row_fields import RowEnergy
from evfer.report.draw.drawing import WIDTH, Drawing, Figure, abridge, finish
from evfer.report.draw.figures import MOST_SETTINGS
from evfer.report.read.comparison import Comparison
from evfer.report.read.energy import PUBLISHED_ANN_MJ, PUBLISHED_SNN_MJ
from evfer.report.read.setting import Setting
from evfer.report.say.sentences import percent
from evfer.report.say.table import show

__all__ = ["anytime_figure", "calibration_figure", "energy_figure", "subject_figure"]

_MOST_LINES = 6
"""Lines of one drawing; there are as many colours."""
_LEGEND = 8
"""Points of a legend's letters."""
_ROOM = 72 * WIDTH - 48
"""Points of a legend above: it stands over the middle of the axes, beside whose left are words."""
_HANDLE = 40
"""Points that a legend's column takes besides its words."""
_FEW = 5
"""Predictions below which a share says next to nothing."""


def anytime_figure(comparison: Comparison, name: str, colours: Mapping[str, int]) -> Figure | None:
    """Draw accuracy had each clip ended after its step 1, 2, ...; None where no row says it."""
    settings = [setting for setting in comparison.settings if setting.anytime][:_MOST_LINES]
    if not settings:
        return None

    def draw(drawing: Drawing) -> None:
        axes = drawing.axes()
        for setting in settings:
            colour = drawing.theme.at(colours[setting.name])
            for row in setting.rows[:_MOST_LINES]:
                steps = range(1, len(row.anytime) + 1)
                values = [100 * share for share in row.anytime]
                axes.plot(steps, values, color=colour, linewidth=0.9, alpha=0.35)
            steps = range(1, len(setting.anytime) + 1)
            values = [100 * share for share in setting.anytime]
            axes.plot(steps, values, color=colour, linewidth=2.2, label=abridge(setting.name, 30))
            for step, value in zip(steps, values, strict=True):
                (dot,) = axes.plot([step], [value], "o", color=colour, markersize=4.5)
                drawing.tip(dot, f"{setting.name}: {value:.1f}% after step {step}")
        _draw_chance(drawing, axes, settings)
        axes.set_ylim(0, 102)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _label(drawing, axes, "steps seen", "accuracy, %")
        _legend(drawing, axes)

    said = (
        f"{setting.name}: {percent(setting.anytime[0])} after the first step, "
        f"{percent(setting.anytime[-1])} after the last"
        for setting in settings
    )
    return finish(
        name, f"Accuracy after each step on {comparison.name}", "; ".join(said), (WIDTH, 3.1), draw
    )


def subject_figure(comparison: Comparison, name: str, colours: Mapping[str, int]) -> Figure | None:
    """Draw each person's accuracy as a point; None where no row holds predictions."""
    settings = [setting for setting in comparison.settings if len(setting.people) > 1][
        :MOST_SETTINGS
    ]
    if not settings:
        return None

    def draw(drawing: Drawing) -> None:
        theme, axes = drawing.theme, drawing.axes()
        for row, setting in enumerate(settings):
            colour = theme.at(colours[setting.name])
            shares = np.array([100 * person.accuracy for person in setting.people])
            low, middle, high = np.quantile(shares, [0.25, 0.5, 0.75])
            (box,) = axes.plot([low, high], [row, row], color=colour, linewidth=10, alpha=0.2)
            box.set_solid_capstyle("butt")
            drawing.tip(box, f"{setting.name}: half of the people lie in {low:.0f} to {high:.0f}%")
            axes.plot([middle, middle], [row - 0.2, row + 0.2], color=theme.ink, linewidth=2)
            lifts = _spread_out(shares)
            for person, share, lift in zip(setting.people[:400], shares, lifts, strict=False):
                (dot,) = axes.plot([share], [row + lift], "o", color=colour, markersize=4)
                dot.set_alpha(0.7)
                drawing.tip(dot, f"{person.subject}: {share:.1f}% of {person.n} tests")
            label = abridge(setting.name, 38)
            axes.text(
                0.5, row - 0.3, label, color=theme.ink, fontsize=9, weight="bold", va="bottom"
            )
        axes.set_ylim(len(settings) - 0.4, -0.75)
        axes.set_xlim(-2, 102)
        axes.set_yticks([])
        _label(drawing, axes, "accuracy of one person, %", "")
        axes.spines["left"].set_visible(False)

    ranges = (sorted(person.accuracy for person in setting.people) for setting in settings)
    said = (
        f"{setting.name}: {len(shares)} people from {percent(shares[0])} to {percent(shares[-1])}"
        for setting, shares in zip(settings, ranges, strict=True)
    )
    size = (WIDTH, 0.8 + 0.62 * len(settings))
    return finish(name, f"People of {comparison.name}", "; ".join(said), size, draw)


def _spread_out(values: Sequence[float] | np.ndarray) -> list[float]:
    """Lift points of nearly equal value off one another, in turn above and below."""
    seen: dict[int, int] = {}
    lifts = []
    for value in values:
        place = round(float(value) / 2)
        number = seen.get(place, 0)
        seen[place] = number + 1
        lifts.append(min(0.3, 0.07 * ((number + 1) // 2)) * (-1 if number % 2 else 1))
    return lifts


def calibration_figure(
    comparison: Comparison, name: str, colours: Mapping[str, int]
) -> Figure | None:
    """Draw accuracy against confidence; None where no row states confidences."""
    settings = [setting for setting in comparison.settings if setting.calibration][:_MOST_LINES]
    if not settings:
        return None

    def draw(drawing: Drawing) -> None:
        theme, axes = drawing.theme, drawing.axes()
        axes.plot([0, 100], [0, 100], color=theme.faint, linewidth=1, linestyle=(0, (4, 3)))
        for setting in settings:
            bins = [b for b in setting.calibration.bins if b.n] if setting.calibration else []
            colour = theme.at(colours[setting.name])
            points = [(100 * (b.confidence or 0), 100 * (b.accuracy or 0)) for b in bins]
            label = _fit(setting.name, 20, f", ECE {percent(setting.ece)}")
            # one answer alone is right or wrong: joined, such points are a zigzag of chance
            joined = [point for point, b in zip(points, bins, strict=True) if b.n >= _FEW]
            x, y = zip(*joined, strict=True) if joined else ((), ())
            axes.plot(x, y, color=colour, linewidth=1.6, label=label)
            most = max(b.n for b in bins)
            for (sure, right), b in zip(points, bins, strict=True):
                size = 3 + 7 * (b.n / most) ** 0.5
                (dot,) = axes.plot([sure], [right], "o", color=colour, markersize=size)
                dot.set_alpha(0.75 if b.n >= _FEW else 0.3)
                drawing.tip(
                    dot, f"{setting.name}: {b.n} answers, {sure:.0f}% sure, {right:.0f}% right"
                )
        axes.set_xlim(0, 102)
        axes.set_ylim(-2, 102)
        _label(drawing, axes, "confidence, %", "share that is right, %")
        _legend_above(drawing, axes)

    said = (
        f"{setting.name}: expected calibration error {percent(setting.ece)}" for setting in settings
    )
    return finish(
        name,
        f"Confidence on {comparison.name}",
        "; ".join(said),
        (WIDTH, _height(3.1, settings)),
        draw,
    )


_ACCOUNTS = (
    ("full", (("full_mj", "s", "everything that happens"), ("full_mac_mj", "D", "with MACs"))),
    ("paper", (("paper_snn_mj", "o", "with spikes"), ("paper_ann_mj", "^", "without"))),
    ("legacy", (("legacy_snn_mj", "o", "with spikes"), ("legacy_ann_mj", "^", "without"))),
    (
        "without spikes",
        (
            ("dense_ann_mj", "^", "dense"),
            ("sparse_ann_mj", "v", "sparse"),
            ("int8_ann_mj", "P", "8-bit"),
        ),
    ),
)


def energy_figure(comparison: Comparison, name: str, colours: Mapping[str, int]) -> Figure | None:
    """Draw energies by accounting, the published ones beside; None where no row says any."""
    settings = [g for g in comparison.settings if g.energy and _energies(g.energy)][:_MOST_LINES]
    if not settings:
        return None

    def draw(drawing: Drawing) -> None:
        theme, axes = drawing.theme, drawing.axes()
        for number, setting in enumerate(settings):
            colour = theme.at(colours[setting.name])
            lift = 0.5 * (number / max(1, len(settings) - 1) - 0.5) if len(settings) > 1 else 0.0
            axes.plot([], [], "s", color=colour, label=_fit(setting.name, 30))
            for row, (account, parts) in enumerate(_ACCOUNTS):
                for field, marker, words in parts:
                    value = getattr(setting.energy, field)
                    if value:
                        (dot,) = axes.plot([value], [row + lift], marker, color=colour)
                        dot.set_markersize(7)
                        text = f"{setting.name}, {account}, {words}: {show(value, 'energy')} mJ"
                        drawing.tip(dot, text)
        published = [(PUBLISHED_ANN_MJ, "^", "ResNet-18")]
        published += [(value, "o", "Spiking-FER") for value in PUBLISHED_SNN_MJ]
        for value, marker, words in published:
            (dot,) = axes.plot([value], [len(_ACCOUNTS)], marker, color=theme.faint, markersize=7)
            drawing.tip(dot, f"published, {words}: {value:,.2f} mJ")
        axes.set_xscale("log")
        labels = [account for account, _ in _ACCOUNTS] + ["published"]
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylim(len(labels) - 0.5, -0.6)
        axes.tick_params(axis="y", labelcolor=theme.ink)
        axes.axhline(len(_ACCOUNTS) - 0.5, color=theme.grid, linewidth=0.8)
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        _label(drawing, axes, "energy a clip, mJ", "")
        _legend_above(drawing, axes)
        _explain_markers(drawing, axes)

    said = (
        f"{setting.name}: full {show(setting.energy.full_mj, 'energy')} mJ, legacy "
        f"{show(setting.energy.legacy_snn_mj, 'energy')} mJ"
        for setting in settings
        if setting.energy
    )
    return finish(
        name,
        f"Energy a clip on {comparison.name}",
        "; ".join(said),
        (WIDTH, _height(3.5, settings)),
        draw,
    )


def _explain_markers(drawing: Drawing, axes: Axes) -> None:
    upper = axes.get_legend()
    marks = dict.fromkeys((marker, words) for _, parts in _ACCOUNTS for _, marker, words in parts)
    handles = [
        Line2D([], [], linestyle="", marker=marker, color=drawing.theme.faint, label=words)
        for marker, words in marks
        if words != "without"  # as "dense" is drawn, and what it is too
    ]
    axes.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.42, -0.17), ncols=3, frameon=False,
        fontsize=8, labelcolor=drawing.theme.ink, handletextpad=0.2,
    )  # fmt: skip
    if upper:
        # it lies outside the axes, which clip what is added to them
        axes.add_artist(upper).set_clip_on(False)


def _energies(energy: RowEnergy) -> bool:
    return any(getattr(energy, field) for _, parts in _ACCOUNTS for field, _, _ in parts)


def _draw_chance(drawing: Drawing, axes: Axes, settings: Sequence[Setting]) -> None:
    levels = sorted({100 * g.chance for g in settings if g.chance is not None})
    for level in levels[:3]:
        line = axes.axhline(level, color=drawing.theme.faint, linewidth=1, linestyle=(0, (4, 3)))
        drawing.tip(line, f"guessing evenly: {level:.1f}%")


def _label(drawing: Drawing, axes: Axes, below: str, beside: str) -> None:
    theme = drawing.theme
    axes.set_xlabel(below, color=theme.faint)
    if beside:
        axes.set_ylabel(beside, color=theme.faint)
    axes.spines[["right", "top"]].set_visible(False)
    axes.grid(color=theme.grid, linewidth=0.6)


def _legend(drawing: Drawing, axes: Axes) -> None:
    axes.legend(loc="lower right", frameon=False, fontsize=8, labelcolor=drawing.theme.ink)


def _legend_above(drawing: Drawing, axes: Axes) -> None:
    axes.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=_columns(axes), frameon=False,
        fontsize=_LEGEND, labelcolor=drawing.theme.ink,
    )  # fmt: skip


def _columns(axes: Axes) -> int:
    """Give two columns where the names leave room for them, else one."""
    widest = max(map(_width, axes.get_legend_handles_labels()[1]), default=0.0)
    return 2 if 2 * (widest + _HANDLE) <= _ROOM else 1


def _fit(name: str, length: int, tail: str = "") -> str:
    """Abridge a name so that it and its tail fit a legend of one column."""
    while length > 3 and _width(abridge(name, length) + tail) > _ROOM - _HANDLE:
        length -= 1
    return abridge(name, length) + tail


def _width(text: str) -> float:
    """Measure a legend's text, in points."""
    return float(TextPath((0, 0), text, size=_LEGEND).get_extents().width) if text.strip() else 0.0


def _height(inches: float, settings: Sequence[Setting]) -> float:
    """Give a figure's height with room for a legend's lines above it."""
    return inches + 0.16 * max(0, len(settings) - 2)
