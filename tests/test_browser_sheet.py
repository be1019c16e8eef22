"""A set's page in a real browser: clips that play, and that stand still without scripts."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from browser import WIDTHS, open_browser, open_page, overflow, pixels, ready, wait_until
from browser_clips import DURATION_US, HOSTILE, SENSOR, blob_events
from PIL import Image

from evfer import recordings, view
from evfer.pictures import LIGHT, accumulate


@pytest.fixture(scope="module")
def browser():
    with open_browser() as started:
        yield started


@pytest.fixture(scope="module")
def sheet(tmp_path_factory):
    """A contact sheet of a set whose class has a hostile name."""
    folder = tmp_path_factory.mktemp("set") / "DemoDVS"
    entries = []
    for subject in ("A", "B"):
        for label, name in ((1, "happy"), (2, HOSTILE)):
            clip_id = f"{subject}/{label:03d}"
            path = folder / f"{clip_id}.h5"
            path.parent.mkdir(parents=True, exist_ok=True)
            recordings.write(path, blob_events(3000, label), SENSOR, {}, duration_us=DURATION_US)
            entries.append(
                recordings.IndexEntry(
                    clip_id,
                    f"{clip_id}.h5",
                    subject,
                    label,
                    label,
                    name,
                    1,
                    1,
                    1,
                    "",
                    "",
                    "",
                    25.0,
                    9,
                )
            )
    recordings.write_index(folder, entries)
    return view.render(folder, folder.parent / "sheet.html")


@pytest.mark.parametrize("width", WIDTHS)
def test_the_sheet_shows_and_plays_a_row_a_class(browser, sheet, width):
    touch = {"has_touch": True, "is_mobile": True} if width == 390 else {}
    watched = open_page(browser, sheet, width=width, **touch)
    page = ready(watched)
    assert overflow(page) == []
    assert page.locator(".class").count() == 2
    assert page.locator(".tile").count() == 4
    step = "evferGallery.tiles[1].step"
    still = page.evaluate(step)
    if touch:
        page.tap("[data-clip='1']")
    else:
        page.hover("[data-clip='1']")
    wait_until(page, f"{step} !== {still}")
    assert page.evaluate("evferGallery.tiles.map((tile) => tile.playing)").count(True) == 1
    if touch:
        page.tap("[data-clip='1']")
    else:
        page.mouse.move(0, 0)
    wait_until(page, "!evferGallery.tiles.some((tile) => tile.playing)")
    assert page.evaluate(step) == still
    page.click("#all")
    wait_until(page, "evferGallery.tiles.every((tile) => tile.cells && tile.started !== null)")
    watched.check()


def test_the_sheet_s_tiles_hold_the_events(browser, sheet):
    page = ready(open_page(browser, sheet, color_scheme="light"))
    step = page.evaluate("evferGallery.tiles[0].step")
    drawn = pixels(page, "[data-clip='0'] canvas")
    assert drawn.shape == (SENSOR.height, SENSOR.width, 3)
    seen = (drawn != LIGHT.ground).any(axis=-1)
    end = DURATION_US * (step + 1) // 24
    counts = accumulate(blob_events(3000, 1), SENSOR, max(0, min(end - 25_000, end - 50_000)), end)
    np.testing.assert_array_equal(seen, counts.sum(axis=0) > 0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_without_scripts_the_sheet_s_clips_stand_still(browser, sheet, width, scheme):
    played = ready(open_page(browser, sheet, color_scheme=scheme))
    wanted = [pixels(played, f"[data-clip='{k}'] canvas") for k in range(4)]
    assert played.locator("noscript img").count() == 0
    assert played.locator("#bar").is_visible()
    watched = open_page(browser, sheet, width=width, color_scheme=scheme, java_script_enabled=False)
    page = watched.page
    for k, picture in enumerate(wanted):
        still = page.locator(f"[data-clip='{k}'] img")
        assert still.is_visible()
        address = still.evaluate("(image) => image.currentSrc")
        with Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))) as image:
            found = np.asarray(image.convert("RGB")).astype(int)
        assert np.abs(found - picture).max() <= 1
        assert still.bounding_box()["width"] < 260
    # nothing on show that a script would have to answer
    assert page.locator("main button:enabled:visible").count() == 0
    assert page.locator("main input:visible").count() == 0
    assert page.locator("canvas:visible").count() == 0
    assert "tap it" not in page.inner_text("main")
    assert "stands still" in page.inner_text("main")
    watched.check()
