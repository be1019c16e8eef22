"""How the report's figures are drawn: in colours for print, in the page's own, with hover texts.

Each is drawn twice: for PNG and PDF on white, and as SVG with placeholder colours. These become
the same as the PNG's in the file beside the report, and those of the style sheet in the page, so
that a figure there follows light and dark. Marks that carry a text give it as the SVG's `<title>`,
which browsers show on hovering even where scripts are off.
"""

from __future__ import annotations

import dataclasses
import html
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure as Canvas

from evfer.pictures.drawing import fixed_style, png_bytes, svg_text
from evfer.pictures.text import shorten
from evfer.report.read.comparison import Comparison

__all__ = ["PRINT", "WIDTH", "Drawing", "Figure", "Theme", "abridge", "colour_of", "finish"]

WIDTH = 4.0
"""Inches; narrow, so that letters of 8 points stay large enough on a phone and in a column."""
_PNG_DPI = 250
_ON_PAGE = 1.3
"""How much larger than in print a figure may stand on the page."""
_MOST_TIPS = 600
"""Marks of one figure that carry a text; beyond, they would make the page heavy."""


@dataclass(frozen=True)
class Figure:
    """One figure in its forms.

    Args:
        name: file name without ending.
        title: what it shows.
        alt: the same in words for those who cannot see it.
        png: for slides and texts.
        svg: a file of its own, on white.
        pdf: for papers; letters stay letters.
        inline: SVG for the page, coloured by the page's style sheet.
    """

    name: str
    title: str
    alt: str
    png: bytes
    svg: str
    pdf: bytes
    inline: str


@dataclass(frozen=True)
class Theme:
    """Colours of a figure."""

    page: str
    ink: str
    faint: str
    grid: str
    contrast: str
    """Text on a full cell."""
    accent: str
    series: tuple[str, ...]

    def at(self, colour: int) -> str:
        """Give the colour of a colour; colours beyond the last begin anew."""
        return self.series[colour % len(self.series)]


PRINT = Theme(
    page="#ffffff",
    ink="#1c1f25",
    faint="#5d6470",
    grid="#d9dce1",
    contrast="#ffffff",
    accent="#0072b2",
    # Okabe and Ito's palette, the yellow darkened since it is lost on white
    series=("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9"),
)
# colours that nothing else has, to be found and replaced
_PLACEHOLDERS = Theme(
    page="#010201",
    ink="#010203",
    faint="#010204",
    grid="#010205",
    contrast="#010206",
    accent="#010207",
    series=tuple(f"#01030{index}" for index in range(len(PRINT.series))),
)
_PAGE = Theme(
    page="none",
    ink="var(--ink)",
    faint="var(--faint)",
    grid="var(--grid)",
    contrast="var(--contrast)",
    accent="var(--accent)",
    series=tuple(f"var(--series-{index})" for index in range(len(PRINT.series))),
)
"""Colours of the page's style sheet, which follow light and dark."""


@dataclass
class Drawing:
    """A figure while it is drawn.

    Args:
        theme: its colours.
        canvas: matplotlib's figure.
        tips: hover texts by the mark that carries them.
    """

    theme: Theme
    canvas: Canvas
    tips: dict[str, str] = field(default_factory=dict)

    def axes(self, place: tuple[int, int, int] = (1, 1, 1)) -> Axes:
        """Give plain axes in the theme's colours."""
        self.canvas.set_facecolor(self.theme.page)
        axes = self.canvas.add_subplot(*place)
        axes.set_facecolor("none")
        axes.set_axisbelow(True)
        axes.tick_params(colors=self.theme.faint, labelsize=8, length=0)
        axes.xaxis.label.set_fontsize(9)
        axes.yaxis.label.set_fontsize(9)
        for spine in axes.spines.values():
            spine.set_color(self.theme.grid)
        return axes

    def tip(self, artist: Artist, text: str) -> None:
        """Let a mark show a text when it is hovered."""
        if len(self.tips) < _MOST_TIPS:
            name = f"tip-{len(self.tips)}"
            artist.set_gid(name)
            self.tips[name] = shorten(text, 300)


def colour_of(comparisons: Sequence[Comparison]) -> dict[str, int]:
    """Give each setting's name a colour by number, the same on every data set."""
    names = dict.fromkeys(
        setting.name for comparison in comparisons for setting in comparison.settings
    )
    return {name: index % len(PRINT.series) for index, name in enumerate(sorted(names))}


def abridge(name: str, length: int) -> str:
    """Give a setting's name at most so many characters long, its end kept.

    Names of one model's settings begin alike and differ at their ends.

    Examples:
        >>> abridge("m, common(hflip+noise)", 14)
        'm, c…ip+noise)'
    """
    clean = shorten(name, len(name) + 1)
    head = length // 3
    return clean if len(clean) <= length else f"{clean[:head]}…{clean[head + 1 - length :]}"


def finish(
    name: str,
    title: str,
    alt: str,
    size: tuple[float, float],
    draw: Callable[[Drawing], None],
) -> Figure:
    """Draw a figure in all its forms.

    Args:
        name: file name without ending.
        title: what it shows.
        alt: the same in words.
        size: width and height in inches.
        draw: draws it; called once for each set of colours.
    """
    with fixed_style():
        printed = Drawing(PRINT, Canvas(figsize=size))
        draw(printed)
        printed.canvas.set_layout_engine("constrained")
        png = png_bytes(printed.canvas, _PNG_DPI)
        printed.canvas.set_layout_engine("none")
        pdf = _pdf_bytes(printed.canvas)
        # laying out takes as long as drawing, so the second takes over the places of the first
        placed = Drawing(_PLACEHOLDERS, Canvas(figsize=size))
        draw(placed)
        for axes, model in zip(placed.canvas.axes, printed.canvas.axes, strict=True):
            axes.set_position(model.get_position())
        svg = _add_titles(svg_text(placed.canvas), placed.tips)
    return Figure(name, title, alt, png, _colour(svg, PRINT), pdf, _inline(svg, name, title, alt))


def _pdf_bytes(canvas: Canvas) -> bytes:
    import matplotlib

    # publishers refuse the drawn letters that are matplotlib's default
    with matplotlib.rc_context({"pdf.fonttype": 42}):
        buffer = io.BytesIO()
        about: Any = {"CreationDate": None, "Producer": None, "Creator": None}
        FigureCanvasPdf(canvas).print_pdf(buffer, metadata=about)
        return buffer.getvalue()


_TIP = re.compile(r'<g id="(tip-\d+)">')


def _add_titles(svg: str, tips: Mapping[str, str]) -> str:
    def give(found: re.Match[str]) -> str:
        text = html.escape(tips.get(found[1], ""), quote=False)
        return f'<g class="tip"><title>{text}</title>'

    return _TIP.sub(give, svg)


def _colour(svg: str, theme: Theme) -> str:
    for item in dataclasses.fields(theme):
        old, new = getattr(_PLACEHOLDERS, item.name), getattr(theme, item.name)
        pairs = [(old, new)] if isinstance(old, str) else zip(old, new, strict=True)
        for placeholder, colour in pairs:
            svg = svg.replace(placeholder, colour)
    return svg


_TAG_ID = re.compile(r'(\bid="|url\(#|xlink:href="#)')


def _inline(svg: str, name: str, title: str, alt: str) -> str:
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
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r">\s+<", "><", _colour(body, _PAGE))
    pixels = float(width[1]) * 4 / 3 * _ON_PAGE
    return (
        f'<svg class="figure" viewBox="{view_box[1]}" style="max-width:{pixels:.0f}px" role="img" '
        f'aria-label="{html.escape(f"{title}. {alt}")}">{body}'
    )
