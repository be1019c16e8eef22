"""Self-contained pages: script, style and data in one file that fetches nothing.

The page's own policy (Content-Security-Policy) allows this one script and this one style, named by
their digests, and pictures inside the file; anything else the browser refuses. All data stands in
one JSON block that is never run, in which no text can end the block.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from evfer.files import write_text
from evfer.pictures import GROUNDS, Colours

__all__ = ["json_block", "picture_address", "write_page"]

_FOLDER = "web"
_QUALITY = 82


def write_page(
    path: Path,
    template: str,
    scripts: Sequence[str],
    data: Mapping[str, Any],
    **values: Any,
) -> None:
    """Write a page, whole or not at all.

    Args:
        path: the file.
        template: its template's name.
        scripts: names of the script's parts, in order; one scope holds them all.
        data: for the script, as plain data.
        values: for the template; every text among them is escaped.

    Raises:
        OutputError: if `path` cannot be written.
    """
    script = "\n".join(['"use strict";', "(() => {", *map(_asset, scripts), "})();"])
    style = _colour_style() + _asset("page.css")
    environment = Environment(
        loader=PackageLoader("evfer.view", _FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template(template).render(
        policy=_policy(script, style),
        script=Markup(script),
        style=Markup(style),
        data=Markup(json_block(data)),
        **values,
    )
    write_text(path, text)


def json_block(data: Mapping[str, Any]) -> str:
    r"""Write data as JSON that can stand inside a script element.

    Examples:
        >>> json_block({"name": "</script>"})
        '{"name":"\\u003c/script\\u003e"}'
    """
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def picture_address(
    pixels: NDArray[np.uint8], kind: str, size: tuple[int, int] | None = None
) -> str:
    """Give a picture as an address that holds it.

    Args:
        pixels: grey, shape (h, w), or red, green and blue, shape (h, w, 3).
        kind: "PNG" or "JPEG".
        size: width and height that it is brought to; None keeps its own.
    """
    image = Image.fromarray(pixels)
    if size and size != image.size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=_QUALITY, optimize=True)
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"data:image/{kind.lower()};base64,{text}"


def _asset(name: str) -> str:
    return resources.files("evfer.view").joinpath(_FOLDER, name).read_text(encoding="utf-8")


def _policy(script: str, style: str) -> str:
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_digest(script)}'",
            f"style-src '{_digest(style)}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _colour_style() -> str:
    """Give the colours of event pictures as custom properties, for either theme."""
    rules = {
        name: "".join(
            f"--{part}:{Colours.web(getattr(colours, part))};"
            for part in ("on", "off", "ground", "page", "ink", "faint")
        )
        for name, colours in GROUNDS.items()
    }
    light, dark = rules["light"], rules["dark"]
    return (
        f":root{{color-scheme:light;{light}}}\n"
        f"@media (prefers-color-scheme: dark){{:root{{color-scheme:dark;{dark}}}}}\n"
        f":root[data-theme=light]{{color-scheme:light;{light}}}\n"
        f":root[data-theme=dark]{{color-scheme:dark;{dark}}}\n"
    )
