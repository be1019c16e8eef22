"""Matplotlib without global state: same figure, same bytes; texts from data stay plain text."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

__all__ = ["fixed_style", "png_bytes", "svg_text"]

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
