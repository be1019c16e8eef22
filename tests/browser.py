"""A headless browser for tests of pages: what it fetches, complains of and lets overflow."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import time
from dataclasses import dataclass, field

import numpy as np
import pytest

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")
WIDTHS = (390, 1440)
ARGUMENTS = [
    "--no-sandbox",  # of no use to pages that we wrote, and impossible for root in a container
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--force-color-profile=srgb",
]


def find_browser():
    """Give a Chromium's path: $EVFER_BROWSER, else the first on the path; None without."""
    named = os.environ.get("EVFER_BROWSER")
    return named or next((path for path in map(shutil.which, NAMES) if path), None)


@contextlib.contextmanager
def open_browser():
    """Start a headless Chromium, or skip the test and say why."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="no playwright: pip install playwright"
    )
    path = find_browser()
    if path is None:
        pytest.skip("no Chromium on the path: install chromium, or set EVFER_BROWSER to one")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Watched:
    """A page, and what it did that it should not."""

    page: object
    fetched: list = field(default_factory=list)
    complaints: list = field(default_factory=list)

    def check(self):
        """Fail if the page fetched anything or complained."""
        assert self.fetched == []
        assert self.complaints == []


def open_page(browser, path, *, width=1440, script=None, **settings):
    """Open a file from disk in a context of its own; the network is off and watched."""
    height = 844 if width < 600 else 900
    context = browser.new_context(viewport={"width": width, "height": height}, **settings)
    context.set_default_timeout(20_000)
    context.set_offline(True)
    if script:
        context.add_init_script(script)
    page = context.new_page()
    watched = Watched(page)
    address = path.resolve().as_uri()

    def on_request(request):
        if request.url != address and not request.url.startswith(("data:", "blob:")):
            watched.fetched.append(request.url)

    def on_console(message):
        if message.type in ("error", "warning"):
            watched.complaints.append(message.text)

    page.on("request", on_request)
    page.on("console", on_console)
    page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    page.goto(address)
    return watched


def overflow(page):
    """Give what sticks out of the page at its right, but for what a scrolling box holds."""
    return page.evaluate(
        """() => {
          const room = document.documentElement.clientWidth;
          if (document.documentElement.scrollWidth > room) {
            const wide = [...document.body.querySelectorAll("*")]
              .filter((e) => e.getBoundingClientRect().right > room + 1)
              .map((e) => `${e.tagName}.${e.className} ${e.id}`);
            return [`page ${document.documentElement.scrollWidth} in ${room}`, ...wide.slice(0, 8)];
          }
          return [];
        }"""
    )


def wait_until(page, expression, seconds=20.0):
    """Wait until an expression is true; the page's policy forbids the browser to evaluate it."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"after {seconds} s still not: {expression}"
        page.wait_for_timeout(15)


def typed_array(page, expression, dtype):
    """Give a typed array of the page; number by number would take a hundred times as long."""
    text = page.evaluate(
        f"() => {{ const array = {expression};"
        " const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);"
        " let text = ''; for (let i = 0; i < bytes.length; i += 8192)"
        " text += String.fromCharCode(...bytes.subarray(i, i + 8192)); return btoa(text); }"
    )
    return np.frombuffer(base64.b64decode(text), dtype)


def ready(watched):
    """Wait until a page of clips shows them."""
    watched.page.wait_for_selector("html[data-ready]", state="attached")
    return watched.page


def pixels(page, selector):
    """A canvas's colours, shape (h, w, 3)."""
    canvas = f"document.querySelector({json.dumps(selector)})"
    size = page.evaluate(f"[{canvas}.height, {canvas}.width]")
    data = typed_array(
        page, f"{canvas}.getContext('2d').getImageData(0, 0, {size[1]}, {size[0]}).data", "u1"
    )
    return data.reshape(*size, 4)[..., :3]
