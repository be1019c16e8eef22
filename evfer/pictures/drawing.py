"""Matplotlib without global state: same figure, same bytes; texts from data stay plain text."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterator
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

__all__ = ["fixed_style", "png_bytes", "shorten", "svg_text"]

_STYLE: Any = {
    # "$" in a class or clip name is no formula
    "text.parse_math": False,
    "text.usetex": False,
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "axes.unicode_minus": True,
    # text stays text, so that it can be searched, copied and shown in the reader's own font
    "svg.fonttype": "none",
    # names inside the file come from this and not from chance
    "svg.hashsalt": "evfer",
    "axes.formatter.use_mathtext": False,
    "axes.formatter.useoffset": False,
    "path.simplify": True,
}
_UNPRINTABLE = re.compile(
    r"[^\t\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\x7f-\x9f]"
    # marks that turn the direction of the text around them
    r"|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


@contextlib.contextmanager
def fixed_style() -> Iterator[None]:
    """Draw and save with settings of our own, whatever the user's matplotlib is set to."""
    with warnings.catch_warnings(), matplotlib.rc_context():
        # a name in a script that the font lacks is drawn as boxes, which harms nothing else
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def png_bytes(figure: Figure, dpi: float) -> bytes:
    """Give a figure as PNG; call it inside `fixed_style`."""
    buffer = io.BytesIO()
    # not savefig, which draws twice; matplotlib's own name and version would change the bytes
    figure.set_dpi(dpi)
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def svg_text(figure: Figure) -> str:
    """Give a figure as SVG; call it inside `fixed_style`."""
    buffer = io.BytesIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    return buffer.getvalue().decode("utf-8")


def shorten(text: str, length: int) -> str:
    """Give a text without unprintable characters and at most so many characters long.

    Example:
        >>> shorten("a very long name", 8)
        'a very …'
    """
    clean = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)
    return clean if len(clean) <= length else clean[: length - 1] + "…"
