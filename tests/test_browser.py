"""Pages in a real browser: they open from disk, fetch nothing, play, sort, and overflow nowhere."""

from __future__ import annotations

import base64
import json
import zlib

import numpy as np
import pytest
from browser import (
    WIDTHS,
    open_browser,
    open_page,
    overflow,
    pixels,
    ready,
    typed_array,
    wait_until,
)
from browser_clips import DURATION_US, HOSTILE, SENSOR, blob_events

from evfer import view
from evfer.events import EVENT_DTYPE
from evfer.frames import FramesParams, to_frames
from evfer.pictures import DARK, LIGHT, accumulate, event_picture
from evfer.region import Region
from evfer.transforms import build, parse_names, sample_rng
from evfer.transforms.presets import AUGMENTATIONS

OFF_CENTRE = "mirror_events(p=1.0,midline=20)"


EVENTS = blob_events()


@pytest.fixture(scope="module")
def browser():
    with open_browser() as started:
        yield started


@pytest.fixture(scope="module")
def player(tmp_path_factory):
    """A player's page with frames beside the events, of a clip with a hostile name."""
    frames = np.zeros((6, 44, 60), np.uint8)
    for i, frame in enumerate(frames):
        frame[:, 8 * i : 8 * i + 12] = 200
    return view.render_events(
        EVENTS,
        SENSOR,
        tmp_path_factory.mktemp("player") / "clip.html",
        params=view.ViewParams(slowdown=1),
        duration_us=DURATION_US,
        frames=frames,
        frame_times_s=np.arange(6) / 10,
        title=HOSTILE,
        subtitle="S001/004",
        player=view.PlayerParams(
            FramesParams(n_steps=5, size=32),
            "ours",
            parse_names("best_common"),
            eda=((HOSTILE, parse_names("code_default")), ("off-centre", parse_names(OFF_CENTRE))),
            seed=7,
        ),
    )


@pytest.fixture(scope="module")
def opened(browser, player):
    """A player that several tests use one after another."""
    watched = open_page(browser, player)
    ready(watched)
    return watched


def columns(page):
    """The events that the page has now."""
    return [
        typed_array(page, f"{kind}.from(evferPlayer.events.{name})", dtype)
        for name, kind, dtype in (
            ("x", "Uint16Array", "<u2"),
            ("y", "Uint16Array", "<u2"),
            ("p", "Uint8Array", "u1"),
            ("t", "Float64Array", "<f8"),
        )
    ]


def steps(page):
    """The frames that the page has now, shape (t, 2, h, w)."""
    shape = page.evaluate(
        "(({ steps, height, width }) => [steps, 2, height, width])(evferPlayer.frames)"
    )
    return typed_array(page, "Float32Array.from(evferPlayer.frames.data)", "<f4").reshape(shape)


def set_time(page, us):
    page.evaluate("(us) => { evferPlayer.play(false); evferPlayer.seek(us); }", us)


def now(page):
    return page.evaluate("() => evferPlayer.state.time")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_player_opens_and_overflows_nowhere(browser, player, width, scheme):
    watched = open_page(browser, player, width=width, color_scheme=scheme)
    page = ready(watched)
    assert overflow(page) == []
    page.select_option("#augmentation", label="recipe ours")
    page.click("summary")
    assert overflow(page) == []
    assert page.locator("#augmentation option").nth(2).evaluate("(e) => e.text") == HOSTILE
    assert page.inner_text("h1").startswith("</script><script>alert(1)")
    assert page.locator("#fault").is_hidden()
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(18, 20, 24)")
    watched.check()


def test_play_pause_and_the_end(browser, player):
    watched = open_page(browser, player)
    page = ready(watched)
    set_time(page, 0)
    page.click("#big")
    wait_until(page, "evferPlayer.state.time > 100000")
    assert page.inner_text("#play") == "Pause"
    page.click("#play")
    halted = now(page)
    page.wait_for_timeout(120)
    assert now(page) == halted
    page.uncheck("#loop")
    page.click("#play")
    wait_until(page, "!evferPlayer.state.playing")
    assert now(page) == DURATION_US
    assert page.inner_text("#clock").startswith("0.600 s of 0.600 s")
    page.click("#play")  # from the end it begins anew
    wait_until(page, "evferPlayer.state.playing && evferPlayer.state.time < 590000")
    watched.check()


def test_speed_is_what_it_says(browser, player):
    page = ready(open_page(browser, player))
    rates = {}
    for place, words in ((0, "0.1"), (7, "1")):
        page.evaluate(
            "(place) => { const slider = document.getElementById('speed');"
            " slider.value = place; slider.dispatchEvent(new Event('input')); }",
            place,
        )
        assert page.inner_text("#speed-words")[:-1] == words
        # frames' own clock, so that a slow machine does not count
        rates[words] = page.evaluate(
            "() => new Promise((done) => { evferPlayer.play(false); evferPlayer.seek(0);"
            " evferPlayer.play(true); let began = null, from = 0; const look = (now) => {"
            " if (began === null && evferPlayer.state.last !== null)"
            " { began = evferPlayer.state.last; from = evferPlayer.state.time; }"
            " if (began !== null && evferPlayer.state.last - began > 150) {"
            " done((evferPlayer.state.time - from) / (1000 * (evferPlayer.state.last - began)));"
            " evferPlayer.play(false); } else requestAnimationFrame(look); };"
            " requestAnimationFrame(look); })"
        )
    assert 0.05 < rates["0.1"] <= 0.101
    assert 0.5 < rates["1"] <= 1.01


def test_scrubbing_by_mouse_and_keys(browser, player):
    watched = open_page(browser, player)
    page = ready(watched)
    box = page.locator("#scrub").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 4, middle)
    page.mouse.down()
    assert abs(now(page) - DURATION_US / 4) < 3000
    page.mouse.move(box["x"] + box["width"] / 2, middle, steps=3)
    page.mouse.up()
    page.mouse.move(box["x"], middle)
    assert abs(now(page) - DURATION_US / 2) < 3000
    set_time(page, 100_000)
    page.focus("#scrub")
    for keys, wanted in (
        (["ArrowRight"] * 2, 120_000),
        (["Shift+ArrowRight"], 220_000),
        (["ArrowLeft"], 210_000),
        (["End"], DURATION_US),
        (["Home", "ArrowLeft"], 0),
    ):
        for key in keys:
            page.keyboard.press(key)
        assert now(page) == wanted
    assert page.get_attribute("#scrub", "aria-valuetext") == "0.000 s of 0.600 s"
    page.keyboard.press("Space")
    wait_until(page, "evferPlayer.state.playing && evferPlayer.state.time > 0")
    page.keyboard.press("Space")
    assert not page.evaluate("evferPlayer.state.playing")
    page.focus("#play")  # a button has the space for itself
    page.keyboard.press("Space")
    assert page.evaluate("evferPlayer.state.playing")
    watched.check()


def test_scrubbing_by_touch(browser, player):
    watched = open_page(browser, player, width=390, has_touch=True, is_mobile=True)
    page = ready(watched)
    box = page.locator("#scrub").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] * 0.75, box["y"] + 20)
    assert abs(now(page) - 0.75 * DURATION_US) < 5000
    page.tap("#big")
    wait_until(page, "evferPlayer.state.playing")
    watched.check()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_picture_is_the_one_that_python_paints(browser, player, scheme):
    page = ready(open_page(browser, player, color_scheme=scheme))
    colours = LIGHT if scheme == "light" else DARK
    set_time(page, 310_000)
    counts = accumulate(EVENTS, SENSOR, 260_000, 310_000)
    painted = event_picture(counts, colours)
    assert np.abs(pixels(page, "#events").astype(int) - painted).max() <= 1
    page.uncheck("#show-0")
    assert not page.evaluate("evferPlayer.state.shows")[0]
    counts[0] = 0
    painted = event_picture(counts, colours)
    assert np.abs(pixels(page, "#events").astype(int) - painted).max() <= 1
    page.fill("#colour-1", "#00ff00")
    green = (pixels(page, "#events").astype(int) - (0, 255, 0)) == 0
    assert green[counts[1] > 8].all()
    page.click("#reset")
    assert np.abs(pixels(page, "#events").astype(int) - painted).max() <= 1


def test_the_frame_on_show_is_that_of_the_moment(browser, player):
    page = ready(open_page(browser, player))
    for us, number in ((0, 0), (99_000, 0), (100_000, 1), (470_000, 4), (600_000, 5)):
        set_time(page, us)
        bright = pixels(page, "#source")[20, :, 0] > 120
        assert abs(np.flatnonzero(bright).mean() - (8 * number + 5.5)) < 1


def painted(page, step):
    """The colours of one step's canvas."""
    return pixels(page, f"#steps li:nth-child({step + 1}) canvas")


def check_painting(page, frames):
    """Compare the canvases with frames of ones and zeros, by the colours of the dark ground."""
    ground, on, off = (np.array(getattr(DARK, part)) for part in ("ground", "on", "off"))
    for step, (negative, positive) in enumerate(frames.astype(bool)):
        wanted = np.empty((*negative.shape, 3))
        wanted[:] = ground
        wanted[positive], wanted[negative] = on, off
        wanted[positive & negative] = (on + off) / 2
        assert np.abs(painted(page, step) - wanted).max() <= 1


def test_the_canvases_show_the_frames_that_evfer_made(browser, player):
    watched = open_page(browser, player, color_scheme="dark")
    page = ready(watched)
    for number, n_steps in ((1, 1), (2, 2), (0, 5)):
        page.select_option("#framing", str(number))
        page.evaluate("evferPlayer.settled")
        wanted = to_frames(EVENTS, SENSOR, n_steps=n_steps, size=32)
        np.testing.assert_array_equal(steps(page), wanted)
        assert page.locator("#steps li").count() == n_steps
    check_painting(page, wanted)
    watched.check()


@pytest.mark.parametrize("name", ["recipe ours", "code_default", "off-centre", *AUGMENTATIONS])
def test_augmentations_are_those_of_training(opened, name):
    tables = {
        "recipe ours": parse_names("best_common"),
        "code_default": parse_names("code_default"),
        "off-centre": parse_names(OFF_CENTRE),
    }.get(name, ({"name": name},))
    always = name in ("hflip", "noise", "reverse", "mirror", "mirror_events")
    augmentation = build([{**t, "p": 1.0} for t in tables] if always else tables)
    page = opened.page
    offered = ["none", "recipe ours", "code_default", "off-centre", *AUGMENTATIONS]
    page.select_option("#framing", "1")  # of another number of steps
    page.select_option("#augmentation", index=offered.index(name))
    assert page.input_value("#framing") == "0"
    n_draws = page.locator("#draws button").count()
    assert n_draws == (1 if name in ("hflip", "reverse") else 4)
    for draw in range(n_draws):
        if n_draws > 1:
            page.click(f"#draws button:nth-child({draw + 1})")
        page.evaluate("evferPlayer.settled")
        rng = sample_rng(7, 0, "S001/004", draw)
        events = augmentation.on_events(EVENTS, SENSOR, rng)
        region = augmentation.on_region(SENSOR, rng)
        frames = to_frames(events, SENSOR, n_steps=5, size=32, region=region)
        np.testing.assert_array_equal(steps(page), augmentation.on_frames(frames, rng))
        moved = region != Region(0, 0, SENSOR.width, SENSOR.height)
        outlined = moved and not augmentation.of_stage("events")
        assert page.locator("#region").is_visible() == outlined
        words = page.inner_text("#augmentation-words")
        # what is forced is told; all else is what training draws
        assert ("Always acting here" in words) == always
        assert ("Drawn as training" in words) != always
        assert f"{len(events):,} events of {len(EVENTS):,}" in words
        assert not always or f"training does so with p = {build(tables).steps[0].p:g} " in words
    page.select_option("#augmentation", label="none")
    page.evaluate("evferPlayer.settled")
    assert page.evaluate("evferPlayer.events.n") == len(EVENTS)
    opened.check()


def test_pages_open_where_browsers_cannot_inflate(browser, player):
    watched = open_page(browser, player, script="delete window.DecompressionStream;")
    page = ready(watched)
    for found, field in zip(columns(page), ("x", "y", "p", "t"), strict=True):
        np.testing.assert_array_equal(found, EVENTS[field])
    rng = np.random.default_rng(0)
    samples = [
        b"",
        b"a",
        bytes(100_000),
        rng.bytes(70_000),
        json.dumps(list(range(3000))).encode(),
        np.cumsum(rng.integers(0, 3, 40_000)).astype("<u2").tobytes(),
    ]
    for sample in samples:
        for level in (0, 1, 9):  # stored, fast, best
            for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED):
                packer = zlib.compressobj(level, zlib.DEFLATED, 15, 9, strategy)
                packed = packer.compress(sample) + packer.flush()
                text = base64.b64encode(packed).decode("ascii")
                unpacked = typed_array(
                    page, f"evferPlayer.inflateHere(evferPlayer.fromBase64('{text}'))", "u1"
                )
                assert unpacked.tobytes() == sample
    watched.check()


def test_a_clip_without_events_opens(browser, tmp_path):
    path = view.render_events(np.zeros(0, EVENT_DTYPE), SENSOR, tmp_path / "empty.html", title="-")
    watched = open_page(browser, path, width=390)
    page = ready(watched)
    for name in AUGMENTATIONS:
        page.select_option("#augmentation", label=name)
    page.click("#play")
    page.wait_for_timeout(100)
    assert overflow(page) == []
    watched.check()


def test_damaged_data_is_told(browser, player, tmp_path):
    text = player.read_text(encoding="utf-8")
    start = text.index('"t":{"n":')
    start = text.index('"data":"', start) + 200
    damaged = tmp_path / "damaged.html"
    damaged.write_text(text[:start] + "AAAA" + text[start + 4 :], encoding="utf-8")
    page = open_page(browser, damaged).page
    page.wait_for_selector("#fault:not([hidden])")
    assert "cannot show its clip" in page.inner_text("#fault")


def test_without_scripts_a_picture_stands_in(browser, player):
    watched = open_page(browser, player, java_script_enabled=False)
    assert watched.page.locator("img.still").is_visible()
    watched.check()
